use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use dask_proto::Moment;

use super::digest::Digest;
use super::ending::Ending;
use super::file::{Header, ReadError, Reader, Tag};
use crate::state::{Event, Instruction};

/// A recording that is being read.
pub struct Recording {
    header: Header,
    reader: Reader,
    /// An event whose outcome is not read yet.
    event: Option<(Moment, Event)>,
    ending: Option<Ending>,
}

/// An event, and what followed from it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// When it was handled.
    pub now: Moment,
    /// What happened.
    pub event: Event,
    /// What followed; `None` where the recording ends before.
    pub outcome: Option<Outcome>,
}

/// What followed from an event.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Outcome {
    /// A digest of every instruction, in their order.
    pub digests: Vec<Digest>,
    /// The instructions themselves; empty unless they were recorded too.
    pub instructions: Vec<Instruction>,
}

impl Recording {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// When it cannot be read, is no recording, or is one of another version.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let open = |source| ReadError::Open { path: path.to_owned(), source };
        let file = File::open(path).map_err(open)?;
        let len = file.metadata().map_err(open)?.len();
        Self::read_from(Box::new(BufReader::new(file)), len)
    }

    /// Reads the header of a recording of so many bytes.
    pub(super) fn read_from(input: Box<dyn Read + Send>, len: u64) -> Result<Self, ReadError> {
        let (reader, header) = Reader::new(input, len)?;
        Ok(Self { header, reader, event: None, ending: None })
    }

    /// What it starts with.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its length in bytes.
    #[must_use]
    pub fn byte_len(&self) -> u64 {
        self.reader.len
    }

    /// How many bytes have been read.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.reader.at
    }

    /// How it ends; `None` while there may be more.
    #[must_use]
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// When the file is damaged or cannot be read.
    pub fn read(&mut self) -> Result<Option<Recorded>, ReadError> {
        if self.ending.is_some() {
            return Ok(None);
        }
        let mut instructions = Vec::new();
        loop {
            let Some(entry) = self.reader.next()? else {
                self.ending = Some(Ending::Missing);
                break;
            };
            let at = entry.at;
            match (entry.tag, self.event.take()) {
                (Tag::Event, None) => self.event = Some(entry.decode()?),
                (Tag::Instruction, event @ Some(_)) => {
                    instructions.push(entry.decode()?);
                    self.event = event;
                }
                (Tag::Outcome, Some((now, event))) => {
                    let outcome = Outcome { digests: entry.decode()?, instructions };
                    return Ok(Some(Recorded { now, event, outcome: Some(outcome) }));
                }
                (Tag::End, event) => {
                    self.event = event;
                    self.ending = Some(entry.decode()?);
                    break;
                }
                _ => return Err(ReadError::Order { at }),
            }
        }
        let last = self.event.take();
        Ok(last.map(|(now, event)| Recorded { now, event, outcome: None }))
    }
}
