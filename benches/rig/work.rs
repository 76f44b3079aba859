//! Work for processors, of which the same amount takes the same time everywhere.

/// Rounds of [`work`] that take a processor of today some 50 microseconds.
pub const FIFTY_MICROSECONDS: u32 = 25_000;

/// Computes, and nothing else: each round needs the one before it (Marsaglia's xorshift).
#[must_use]
pub fn work(seed: i64, rounds: u32) -> i64 {
    (0..rounds).fold(seed, |mut x, _| {
        x ^= x << 13;
        x ^= x >> 7;
        x ^ (x << 17)
    })
}
