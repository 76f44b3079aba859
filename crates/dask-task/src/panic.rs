//! Panics of tasks. A panic's place is known to the panic hook alone, which runs on the panicking
//! thread before the unwinding: it leaves the place for [`catch`] to collect.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::sync::Once;

use crate::backtrace::of_user;

/// A panic that was caught.
#[derive(Debug)]
#[non_exhaustive]
pub struct Panic {
    /// The message of the panic.
    pub message: String,
    /// Where it panicked, `file:line:column`.
    pub location: Option<String>,
    /// The user's part of the stack at the panic, when `RUST_BACKTRACE` asks for one; all of it
    /// with `RUST_BACKTRACE=full`.
    pub backtrace: Option<String>,
}

#[derive(Default)]
struct Place {
    location: Option<String>,
    backtrace: Option<String>,
}

thread_local! {
    /// How many calls of [`catch`] the thread is in.
    static WATCHES: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// Runs code of the user: its panic is kept and not printed. Calls may be nested.
///
/// # Errors
/// When it panics.
pub fn catch<T>(code: impl FnOnce() -> T) -> Result<T, Panic> {
    install_hook();
    WATCHES.set(WATCHES.get() + 1);
    let outcome = std::panic::catch_unwind(AssertUnwindSafe(code));
    // However it ended, a panic that follows is nobody's.
    WATCHES.set(WATCHES.get() - 1);
    let place = PLACE.take();
    outcome.map_err(|cause| {
        let Place { location, backtrace } = place.unwrap_or_default();
        Panic { message: text(&*cause), location, backtrace }
    })
}

fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if WATCHES.get() == 0 {
                return previous(info);
            }
            let backtrace = Backtrace::capture();
            let captured = backtrace.status() == BacktraceStatus::Captured;
            PLACE.set(Some(Place {
                location: info.location().map(ToString::to_string),
                backtrace: captured.then(|| of_user(&backtrace.to_string())),
            }));
        }));
    });
}

fn text(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| cause.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the panic has no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_watched_after_code_that_did_not_panic() {
        assert_eq!(catch(|| 5).expect("it works"), 5);
        let later = std::panic::catch_unwind(|| panic!("not the task's"));
        assert!(later.is_err() && PLACE.take().is_none());
    }

    #[test]
    fn a_panic_around_code_that_is_caught_itself_has_its_place() {
        let outer = catch(|| {
            let inner = catch(|| panic!("inner")).map(drop);
            assert_eq!(inner.expect_err("it panics").message, "inner");
            panic!("outer");
        });
        let outer = outer.map(drop).expect_err("it panics");
        assert_eq!(outer.message, "outer");
        assert!(outer.location.expect("a location").contains("panic.rs:"));
    }
}
