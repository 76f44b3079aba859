use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use dask_proto::limits::MAX_AGENT_TOKENS;
use dask_proto::program::{ProgramId, TokenId, Voucher};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What is hashed for the id of a token, and before the program for a voucher: so that one never
/// passes for the other.
const ID: &[u8] = b"dask token id";
const PROGRAM: &[u8] = b"dask program ";

/// A secret that clients and agents share. It is never printed, and never leaves its process: what
/// others see are its [id](Token::id) and [vouchers](Token::vouch).
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token; white space around it does not count. `None` if nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }

    /// What it is called in public.
    #[must_use]
    pub fn id(&self) -> TokenId {
        let digest = self.keyed().chain_update(ID).finalize().into_bytes();
        TokenId(std::array::from_fn(|i| digest[i]))
    }

    /// Shows that who knows the token wants this program to run.
    #[must_use]
    pub fn vouch(&self, program: ProgramId) -> Voucher {
        let mac = self.keyed().chain_update(PROGRAM).chain_update(program.0);
        Voucher { token: self.id(), tag: mac.finalize().into_bytes().into() }
    }

    /// Whether a voucher for this program was made with this token. How long that takes does not
    /// depend on how much of it is right.
    fn has_made(&self, voucher: &Voucher, program: ProgramId) -> bool {
        let mac = self.keyed().chain_update(PROGRAM).chain_update(program.0);
        mac.verify_slice(&voucher.tag).is_ok()
    }

    fn keyed(&self) -> Hmac<Sha256> {
        Hmac::new_from_slice(self.0.as_bytes()).expect("a key may have any length")
    }
}

/// Without the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?})", self.id())
    }
}

/// The tokens that an agent allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// A file has no list of tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensError {
    /// It cannot be read.
    #[error("the tokens in {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There are too many.
    #[error("{} has {count} tokens, and may have {MAX_AGENT_TOKENS}", path.display())]
    TooMany {
        /// The file.
        path: PathBuf,
        /// How many.
        count: usize,
    },
}

impl Tokens {
    /// Those of a file, one a line; lines with nothing on them do not count.
    ///
    /// # Errors
    /// When it cannot be read or has too many.
    pub fn read(path: &Path) -> Result<Self, TokensError> {
        let failed = |source| TokensError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(failed)?;
        let tokens: Vec<Token> = text.lines().filter_map(Token::new).collect();
        if tokens.len() > MAX_AGENT_TOKENS {
            return Err(TokensError::TooMany { path: path.to_owned(), count: tokens.len() });
        }
        Ok(Self(tokens))
    }

    /// What they are called in public.
    #[must_use]
    pub fn ids(&self) -> Vec<TokenId> {
        self.0.iter().map(Token::id).collect()
    }

    /// Whether one of them vouches for a program.
    #[must_use]
    pub fn allow(&self, voucher: Option<&Voucher>, program: ProgramId) -> bool {
        voucher.is_some_and(|voucher| self.0.iter().any(|token| token.has_made(voucher, program)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "what is unexpected fails the test")]

    use super::*;

    const PROGRAM: ProgramId = ProgramId([1; 32]);

    fn token(text: &str) -> Token {
        Token::new(text).unwrap()
    }

    #[test]
    fn a_voucher_is_good_for_one_program_and_one_token() {
        let voucher = token("secret").vouch(PROGRAM);
        assert!(token(" secret\n").has_made(&voucher, PROGRAM));
        assert!(!token("secret").has_made(&voucher, ProgramId([2; 32])));
        assert!(!token("other").has_made(&voucher, PROGRAM));
        for bit in 0..256 {
            let mut forged = voucher;
            forged.tag[bit / 8] ^= 1 << (bit % 8);
            assert!(!token("secret").has_made(&forged, PROGRAM));
        }
        // That of the token is none of any program.
        assert_ne!(voucher.tag[..8], token("secret").id().0);
    }

    #[test]
    fn vouchers_are_the_same_on_every_machine() {
        let Voucher { token: TokenId(id), tag } = token("secret").vouch(PROGRAM);
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(hex(&id), "b91c037a67d0332f");
        assert_eq!(hex(&tag), "d507750bd28032635590b12c7b9c334cae14c074a1e3af500aee86ed0c9d50d5");
    }

    #[test]
    fn what_is_printed_does_not_tell_the_token() {
        let tokens = Tokens(vec![token("hunter2")]);
        let voucher = token("hunter2").vouch(PROGRAM);
        for text in [format!("{tokens:?}"), format!("{voucher:?}")] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn a_file_has_a_token_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "one\n\n  two \r\n").unwrap();
        let tokens = Tokens::read(file.path()).unwrap();
        assert_eq!(tokens, Tokens(vec![token("one"), token("two")]));
        assert!(tokens.allow(Some(&token("two").vouch(PROGRAM)), PROGRAM));
        assert!(!tokens.allow(Some(&token("three").vouch(PROGRAM)), PROGRAM));
        assert!(!tokens.allow(None, PROGRAM));
        std::fs::write(&file, "x\n".repeat(MAX_AGENT_TOKENS + 1)).unwrap();
        assert!(matches!(Tokens::read(file.path()), Err(TokensError::TooMany { .. })));
        assert!(Tokens::read(Path::new("/nowhere")).unwrap_err().to_string().contains("/nowhere"));
        // Nobody's program runs where nobody has a token.
        assert!(!Tokens::default().allow(Some(&token("one").vouch(PROGRAM)), PROGRAM));
    }
}
