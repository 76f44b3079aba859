use std::time::Duration;

/// A generator of numbers: the same seed, the same numbers, on every machine (splitmix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed, 0x51_u64))
    }

    /// A number below `end`, or zero if there is none.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).expect("a usize has at most 64 bits");
        usize::try_from(self.next() % end).expect("below a usize")
    }

    /// Whether something of so many percent happens.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        let index = self.below(from.len());
        from.get(index)
    }

    /// A time of `least..=most` microseconds; short times are as likely as long ones.
    pub(crate) fn micros(&mut self, least: u64, most: u64) -> Duration {
        let doublings = (most / least.max(1)).max(1).ilog2();
        let doubled = u32::try_from(self.below(doublings as usize + 1)).expect("at most 64");
        let scale = least.max(1) << doubled;
        Duration::from_micros((scale + self.next() % scale).min(most))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0, 0)
    }
}

/// One number of two, different for different ones as far as 64 bits allow.
pub(crate) fn mix(one: u64, other: u64) -> u64 {
    let mut z = one ^ other.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
