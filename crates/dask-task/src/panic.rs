//! Where a task panicked. A panic's place is known to the panic hook alone, which runs on the
//! panicking thread before the unwinding: it leaves the place for [`place`] to collect.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::sync::Once;

/// Where a panic happened.
#[derive(Debug, Default)]
pub(crate) struct Place {
    pub(crate) location: Option<String>,
    pub(crate) backtrace: Option<String>,
}

thread_local! {
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<Place>> = const { RefCell::new(None) };
}

/// From now on a panic on this thread is a task's: it is kept for [`place`] and not printed.
pub(crate) fn watch() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !WATCHED.get() {
                return previous(info);
            }
            let backtrace = Backtrace::capture();
            let captured = backtrace.status() == BacktraceStatus::Captured;
            PLACE.set(Some(Place {
                location: info.location().map(ToString::to_string),
                backtrace: captured.then(|| backtrace.to_string()),
            }));
        }));
    });
    WATCHED.set(true);
    PLACE.take();
}

/// Ends the watch; the place of the panic that was caught since [`watch`], if there was one.
pub(crate) fn place() -> Option<Place> {
    WATCHED.set(false);
    PLACE.take()
}
