use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits::MAX_ADDRESS_BYTES;

/// Where a peer listens: `scheme://rest`, such as `tcp://127.0.0.1:8786` or `inproc://7`.
///
/// The scheme picks the transport. Text without a scheme is a TCP address, as in Dask. Cloning
/// copies a pointer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    text: Arc<str>,
    scheme: usize,
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseAddressError {
    /// Nothing stands before or behind `://`.
    #[error("{text:?} is no address: expected scheme://address, such as tcp://127.0.0.1:8786")]
    Incomplete {
        /// The text as given.
        text: String,
    },
    /// The scheme has a character other than a letter, a digit, `+`, `-` or `.`.
    #[error("{text:?} is no address: its scheme may hold letters, digits, '+', '-' and '.' only")]
    Scheme {
        /// The text as given.
        text: String,
    },
    /// The text is longer than [`MAX_ADDRESS_BYTES`].
    #[error("an address of {bytes} bytes is over the limit of {MAX_ADDRESS_BYTES} bytes")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
}

impl Address {
    /// What stands before `://`: the name of the transport.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.text[..self.scheme]
    }

    /// What stands behind `://`: the transport's own notation, `host:port` for TCP.
    #[must_use]
    pub fn rest(&self) -> &str {
        &self.text[self.scheme + 3..]
    }

    /// The whole address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands behind `://` up to the last colon: the host, for transports that have one.
    #[must_use]
    pub fn host(&self) -> &str {
        self.rest().rsplit_once(':').map_or(self.rest(), |(host, _)| host)
    }

    /// The same port of another host, for transports that have them; one of IPv6 needs no brackets.
    ///
    /// # Errors
    /// When the host makes no address.
    pub fn with_host(&self, host: &str) -> Result<Self, ParseAddressError> {
        let is_bare_ipv6 = host.contains(':') && !host.starts_with('[');
        let host = if is_bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
        let port = self.rest().rsplit_once(':').map(|(_, port)| port);
        let port = port.map_or_else(String::new, |port| format!(":{port}"));
        format!("{}://{host}{port}", self.scheme()).parse()
    }
}

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, ParseAddressError> {
        let text = text.trim();
        let default = if text.contains("://") { "" } else { "tcp://" };
        // With the scheme: what is accepted here is accepted by the peer that it is sent to.
        let bytes = default.len() + text.len();
        if bytes > MAX_ADDRESS_BYTES {
            return Err(ParseAddressError::TooLong { bytes });
        }
        let full = [default, text].concat();
        let scheme = full.find("://").unwrap_or_default();
        if scheme == 0 || full.len() == scheme + 3 {
            return Err(ParseAddressError::Incomplete { text: text.to_owned() });
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
        if !full[..scheme].chars().all(legal) {
            return Err(ParseAddressError::Scheme { text: text.to_owned() });
        }
        Ok(Self { text: full.into(), scheme })
    }
}

/// For verbs that name workers: by their names, hosts or addresses.
impl From<&Address> for String {
    fn from(address: &Address) -> Self {
        String::from(&*address.text)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        Self::from(&address)
    }
}

impl AsRef<str> for Address {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_replaced_and_the_port_stays() {
        let with = |text: &str, host: &str| {
            let address: Address = text.parse().unwrap();
            address.with_host(host).map(|address| address.to_string())
        };
        assert_eq!(with("0.0.0.0:80", "10.0.0.1").unwrap(), "tcp://10.0.0.1:80");
        assert_eq!(with("[::]:80", "fe80::1").unwrap(), "tcp://[fe80::1]:80");
        assert_eq!(with("[::]:80", "[fe80::1]").unwrap(), "tcp://[fe80::1]:80");
        assert!(with("0.0.0.0:80", &"x".repeat(MAX_ADDRESS_BYTES)).is_err());
    }

    #[test]
    fn a_bare_address_is_tcp() {
        let address: Address = "127.0.0.1:8786".parse().expect("an address");
        assert_eq!(address.to_string(), "tcp://127.0.0.1:8786");
        assert_eq!((address.scheme(), address.host()), ("tcp", "127.0.0.1"));
    }

    #[test]
    fn an_ipv6_host_keeps_its_brackets() {
        let address: Address = "tcp://[::1]:80".parse().expect("an address");
        assert_eq!((address.host(), address.rest()), ("[::1]", "[::1]:80"));
    }

    #[test]
    fn text_that_is_no_address_is_refused() {
        for text in ["", "tcp://", "://x", "a b://x"] {
            assert!(text.parse::<Address>().is_err(), "{text:?}");
        }
        let long = "x".repeat(MAX_ADDRESS_BYTES + 1 - "tcp://".len());
        assert!(matches!(long.parse::<Address>(), Err(ParseAddressError::TooLong { .. })));
    }
}
