use std::error::Error;

use crate::Failure;

/// What a task returns in `Err` to be run elsewhere: Dask's `Reschedule`. Also as the cause of
/// another error.
///
/// The scheduler gives the task to the best of the other workers that may run it, and to the same
/// one if there is no other. It is no failure, so no retry is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task asks to be run elsewhere")]
pub struct Reschedule;

/// This many causes of an error are looked at: one that is its own cause would never end.
const CAUSES: usize = 32;

impl Failure {
    /// Whether the task asks to be run elsewhere.
    #[must_use]
    pub fn is_reschedule(&self) -> bool {
        let error = match self {
            Self::Returned(error) => error,
            Self::Inside(_, failure) => return failure.is_reschedule(),
            Self::Panicked(_) | Self::Input(_) => return false,
        };
        let mut next: Option<&(dyn Error + 'static)> = Some(error.as_ref());
        for _ in 0..CAUSES {
            let Some(error) = next else { return false };
            if error.is::<Reschedule>() {
                return true;
            }
            next = error.source();
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure;

    #[test]
    fn a_wish_to_be_run_elsewhere_is_found_below_other_errors() {
        #[derive(Debug, thiserror::Error)]
        #[error("not here")]
        struct NotHere(#[source] Reschedule);
        assert!(failure(Reschedule).is_reschedule());
        assert!(failure(NotHere(Reschedule)).is_reschedule());
        assert!(!failure("the task asks to be run elsewhere").is_reschedule());
    }
}
