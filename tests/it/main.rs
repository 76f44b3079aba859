//! Integration tests: behaviour over every transport.
