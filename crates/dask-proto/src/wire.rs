//! [`Frames`](crate::Frames) ⇄ a byte stream.
