//! How long to wait before trying again, so that what fails at once does not take the machine with
//! it.

use std::time::Duration;

/// The first pause, and the longest: each is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// How long to wait before trying again what went wrong this many times in a row.
#[must_use]
pub fn pause(failures: u32) -> Duration {
    if failures == 0 {
        return Duration::ZERO;
    }
    let doubled = 1u32.checked_shl(failures - 1).unwrap_or(u32::MAX);
    FIRST.saturating_mul(doubled).min(LONGEST)
}

/// Whether something that ran for so long counts as having worked.
#[must_use]
pub fn has_worked(ran: Duration) -> bool {
    ran > LONGEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        let millis = |failures| pause(failures).as_millis();
        assert_eq!([0, 1, 2, 3].map(millis), [0, 100, 200, 400]);
        assert_eq!([7, 8, 40, u32::MAX].map(millis), [6400, 10_000, 10_000, 10_000]);
    }
}
