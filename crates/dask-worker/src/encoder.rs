use bytes::{BufMut, BytesMut};
use dask_proto::limits::INLINE_RESULT_BYTES;
use dask_proto::{Payload, ValueError};

/// Encodes values one after the other. Small ones share memory, which spares an allocation and, as
/// what is encoded is mostly dropped on another thread, a lock of the allocator each.
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    buffer: BytesMut,
}

/// The memory that small values share.
const BUFFER_BYTES: usize = 8 << 10;

impl Encoder {
    /// The value in a form that can leave the process.
    ///
    /// # Errors
    /// When its own `Serialize` fails.
    pub(crate) fn encode(&mut self, value: &Payload) -> Result<Payload, ValueError> {
        let object = match value {
            Payload::Object(object) if object.nbytes() <= INLINE_RESULT_BYTES => object,
            other => return other.encoded(),
        };
        if self.buffer.capacity() < INLINE_RESULT_BYTES as usize {
            self.buffer = BytesMut::with_capacity(BUFFER_BYTES);
        }
        let written = object.encode_to(&mut (&mut self.buffer).writer());
        // Also what was written before it failed.
        let encoded = Payload::taken_from(&mut self.buffer);
        written.map(|()| encoded)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn bytes(encoder: &mut Encoder, value: &Payload) -> Bytes {
        let encoded = encoder.encode(value).expect("it encodes");
        encoded.to_bytes().expect("it is encoded")
    }

    #[test]
    fn small_and_large_values_are_encoded_as_they_always_are() {
        let mut encoder = Encoder::default();
        for round in 0..5000_u64 {
            let small = dask_task::live((round, "text".to_owned()));
            assert_eq!(bytes(&mut encoder, &small), small.to_bytes().expect("it encodes"));
        }
        let large = dask_task::live(vec![1.5_f64; 10_000]);
        assert_eq!(bytes(&mut encoder, &large), large.to_bytes().expect("it encodes"));
    }

    #[test]
    fn a_value_that_fails_leaves_nothing_to_the_next() {
        #[derive(Clone, serde::Deserialize)]
        struct Half;
        impl serde::Serialize for Half {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = serializer.serialize_tuple(2)?;
                tuple.serialize_element(&7_u64)?;
                Err(serde::ser::Error::custom("only half of it"))
            }
        }
        let mut encoder = Encoder::default();
        assert!(encoder.encode(&dask_task::live(Half)).is_err());
        let next = dask_task::live(1_u8);
        assert_eq!(bytes(&mut encoder, &next), next.to_bytes().expect("it encodes"));
    }
}
