//! The token: 128 bits that stand for a value.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{Serialize, Serializer};

/// The name of a value: the first 128 bits of SHA-256 over its canonical encoding.
///
/// It displays as 32 lower-case hexadecimal digits. Serde sees that text in human-readable formats
/// and 16 bytes in all others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token([u8; 16]);

impl Token {
    /// The token with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Token(bytes)
    }

    /// The token's bytes, in the order in which they are displayed.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Calls `use_it` with the 32 digits. They live on the stack: keys are made by the million.
    pub(crate) fn with_hex<R>(&self, use_it: impl FnOnce(&str) -> R) -> R {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 0xf)];
        }
        use_it(std::str::from_utf8(&hex).expect("hexadecimal digits are ASCII"))
    }
}

/// A text is not a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseTokenError {
    /// The text has another length than 32 bytes.
    #[error("a token has 32 hexadecimal digits, not {found}")]
    Length {
        /// The length of the text in bytes.
        found: usize,
    },
    /// The text contains something else than the digits `0` to `9` and `a` to `f`.
    #[error("byte {position} of the token is not a lower-case hexadecimal digit")]
    Digit {
        /// The place of the first such byte, counted from 0.
        position: usize,
    },
}

impl FromStr for Token {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, ParseTokenError> {
        if text.len() != 32 {
            return Err(ParseTokenError::Length { found: text.len() });
        }
        let mut bytes = [0; 16];
        for (position, digit) in text.bytes().enumerate() {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return Err(ParseTokenError::Digit { position }),
            };
            bytes[position / 2] = bytes[position / 2] << 4 | nibble;
        }
        Ok(Token(bytes))
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|hex| f.pad(hex))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_hex(|hex| f.write_str(hex))
    }
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            self.with_hex(|hex| serializer.serialize_str(hex))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(HexVisitor)
        } else {
            <[u8; 16]>::deserialize(deserializer).map(Token)
        }
    }
}

struct HexVisitor;

impl de::Visitor<'_> for HexVisitor {
    type Value = Token;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a token of 32 hexadecimal digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Token, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error as ValueError, StrDeserializer};

    use super::*;

    const TOKEN: Token = Token([
        0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee,
        0x0f,
    ]);
    const HEX: &str = "00112233445566778899aabbccddee0f";

    fn from_readable(text: &str) -> Result<Token, ValueError> {
        let deserializer: StrDeserializer<'_, ValueError> = text.into_deserializer();
        Token::deserialize(deserializer)
    }

    #[test]
    fn displays_as_hexadecimal_digits_and_parses_back() {
        assert_eq!(TOKEN.to_string(), HEX);
        assert_eq!(format!("{TOKEN:?}"), HEX);
        assert_eq!(HEX.parse(), Ok(TOKEN));
        assert_eq!(Token::from_bytes(*TOKEN.as_bytes()), TOKEN);
    }

    #[test]
    fn parsing_refuses_anything_but_its_own_form() {
        let length = |found| Err(ParseTokenError::Length { found });
        let digit = |position| Err(ParseTokenError::Digit { position });
        assert_eq!("".parse::<Token>(), length(0));
        assert_eq!(HEX[1..].parse::<Token>(), length(31));
        assert_eq!(format!("{HEX}0").parse::<Token>(), length(33));
        assert_eq!(HEX.to_uppercase().parse::<Token>(), digit(20));
        assert_eq!(HEX.replace("ee", "é").parse::<Token>(), digit(28));
        assert_eq!(HEX.replacen('0', "+", 1).parse::<Token>(), digit(0));
    }

    #[test]
    fn is_sixteen_bytes_in_binary_formats() {
        let bytes = bincode::serialize(&TOKEN).unwrap();
        assert_eq!(bytes, TOKEN.as_bytes());
        assert_eq!(bincode::deserialize::<Token>(&bytes).unwrap(), TOKEN);
        assert!(bincode::deserialize::<Token>(&bytes[1..]).is_err());
    }

    #[test]
    fn is_its_text_in_readable_formats() {
        struct Readable;
        impl fmt::Display for Readable {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                TOKEN.serialize(f)
            }
        }
        assert_eq!(Readable.to_string(), HEX);
        assert_eq!(from_readable(HEX), Ok(TOKEN));
        let error = from_readable("abc").unwrap_err();
        assert_eq!(error.to_string(), "a token has 32 hexadecimal digits, not 3");
    }
}
