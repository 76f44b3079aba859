//! Deterministic names for values: canonical encoding, SHA-256, task keys.
