//! Integration tests: behaviour over every transport.

mod transport;
