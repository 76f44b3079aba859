use std::fmt::Write;

use dask_proto::Moment;

use crate::dice::mix;

/// What happened, line by line, for those who want to know.
#[derive(Debug, Default)]
pub(crate) enum Trace {
    /// Nobody does.
    #[default]
    Off,
    /// As one number, to compare.
    Digest(u64),
    /// On standard output.
    Print,
}

impl Trace {
    pub(crate) fn note(&mut self, now: Moment, line: impl FnOnce() -> String) {
        match self {
            Self::Off => {}
            Self::Digest(digest) => {
                let mut text = line();
                // Writing to a string cannot fail.
                let _ = write!(text, "{now}");
                *digest = text.bytes().fold(*digest, |d, byte| mix(d, u64::from(byte)));
            }
            Self::Print => println!("{now} {}", line()),
        }
    }
}
