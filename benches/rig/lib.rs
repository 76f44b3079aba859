//! What the benchmark programs share.
//!
//! Each program measures on request: `cargo xtask bench` starts it, writes questions to its
//! standard input and reads one line of JSON for each. The programs of other systems under `peer/`
//! answer the same questions with the same figures, so that all can be asked in turn.

pub mod figures;
pub mod process;
pub mod question;
pub mod work;
