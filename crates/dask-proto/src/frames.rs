use std::sync::Arc;

use bytes::Bytes;

use crate::payload::Object;

/// One batch on a connection: a list of byte frames, sent and received as a whole and in order.
///
/// A transport that [shares memory](crate::codec::Carriage::Objects) between its ends also moves
/// `objects`, live values by reference; on every other transport the list is empty.
#[derive(Clone, Default)]
pub struct Frames {
    /// The frames, in order. A frame may be empty.
    pub bytes: Vec<Bytes>,
    /// Values that pass by reference, between peers in one process only.
    pub objects: Vec<Arc<dyn Object>>,
}

impl Frames {
    /// A batch of byte frames.
    #[must_use]
    pub fn new(bytes: Vec<Bytes>) -> Self {
        Self { bytes, objects: Vec::new() }
    }

    /// The sum of the frames' lengths in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.bytes.iter().map(|frame| frame.len() as u64).sum()
    }
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let lengths: Vec<usize> = self.bytes.iter().map(Bytes::len).collect();
        f.debug_struct("Frames")
            .field("lengths", &lengths)
            .field("objects", &self.objects.len())
            .finish()
    }
}
