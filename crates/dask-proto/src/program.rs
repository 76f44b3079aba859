//! Programs that travel to the hosts whose workers run them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Which program it is: the SHA-256 of its executable.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProgramId(pub [u8; 32]);

impl ProgramId {
    /// The first digits, which tell the programs of a cluster apart for people.
    #[must_use]
    pub fn short(&self) -> String {
        self.0[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// All digits: the name of its file in a cache.
impl fmt::Display for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ProgramId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// A text is not the 64 hexadecimal digits of a program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a SHA-256 in 64 hexadecimal digits")]
pub struct ParseProgramIdError {
    text: String,
}

impl FromStr for ProgramId {
    type Err = ParseProgramIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseProgramIdError { text: text.chars().take(80).collect() };
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(wrong());
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            let digit =
                |at: usize| char::from(pair[at]).to_digit(16).and_then(|d| d.try_into().ok());
            let (high, low): (u8, u8) = digit(0).zip(digit(1)).ok_or_else(wrong)?;
            *byte = high << 4 | low;
        }
        Ok(Self(id))
    }
}

/// A program that travels: what an agent has to know to have it and to run it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Executable {
    /// Which it is.
    pub id: ProgramId,
    /// Bytes of its file.
    pub bytes: u64,
    /// The name of its file, for people.
    pub name: String,
    /// The target that it was built for, as of [`target`].
    pub target: String,
}

/// Which token: what it is called in public. It does not tell the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 8]);

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Somebody who knows a token wants one program to run. It is good for that program and no other,
/// so it is of little use to whoever reads it on the way.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// Which token.
    pub token: TokenId,
    /// HMAC-SHA256 of the program's id, keyed with the token.
    pub tag: [u8; 32],
}

impl fmt::Debug for Voucher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a voucher of token {:?}", self.token)
    }
}

/// The target of this build: `x86_64-linux-gnu`.
#[must_use]
pub fn target() -> String {
    let environment = if cfg!(target_env = "gnu") {
        "-gnu"
    } else if cfg!(target_env = "musl") {
        "-musl"
    } else if cfg!(target_env = "msvc") {
        "-msvc"
    } else {
        ""
    };
    format!("{}-{}{environment}", std::env::consts::ARCH, std::env::consts::OS)
}

/// Whether a program for one target runs on a host of another. One that is linked against musl
/// brings all that it needs.
#[must_use]
pub fn runs_on(program: &str, host: &str) -> bool {
    fn without_environment(target: &str) -> &str {
        let mut dashes = target.match_indices('-');
        dashes.nth(1).map_or(target, |(at, _)| &target[..at])
    }
    let is_static = program.ends_with("-musl");
    program == host || (is_static && without_environment(program) == without_environment(host))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

    use super::*;

    #[test]
    fn an_id_is_its_digits() {
        let id = ProgramId(std::array::from_fn(|i| i as u8 * 7));
        assert_eq!(id.to_string().parse::<ProgramId>().unwrap(), id);
        assert!(id.to_string().starts_with(&id.short()));
    }

    #[test]
    fn other_texts_are_no_ids() {
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64), &"é".repeat(32)]
        {
            assert!(text.parse::<ProgramId>().is_err(), "{text}");
        }
    }

    #[test]
    fn programs_run_on_their_target() {
        assert!(runs_on(&target(), &target()));
        assert!(runs_on("x86_64-linux-musl", "x86_64-linux-gnu"));
        for (program, host) in [
            ("x86_64-linux-gnu", "x86_64-linux-musl"),
            ("aarch64-linux-musl", "x86_64-linux-gnu"),
            ("x86_64-macos", "x86_64-linux-gnu"),
            ("", "x86_64-linux-gnu"),
        ] {
            assert!(!runs_on(program, host), "{program} on {host}");
        }
    }
}
