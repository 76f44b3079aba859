//! What the system says of a thread.

/// How the system has a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Condition {
    /// What it does.
    pub(crate) activity: &'static str,
    /// Whether a signal would interrupt it.
    pub(crate) hears: bool,
}

/// How the system has this thread, where it says.
pub(crate) fn condition(thread: Option<u32>) -> Condition {
    let unknown = Condition { activity: "running", hears: true };
    thread.and_then(read).unwrap_or(unknown)
}

fn read(thread: u32) -> Option<Condition> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
    let field = |name| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    // The letter of its state, as in `ps`.
    let state = field("State:")?.chars().next()?;
    let blocked = field("SigBlk:").and_then(|mask| u64::from_str_radix(mask, 16).ok())?;
    let activity = match state {
        'R' => "computing",
        'D' => "waiting for the disk",
        _ => "waiting",
    };
    let hears = matches!(state, 'R' | 'S') && blocked & bit() == 0;
    Some(Condition { activity, hears })
}

/// The signal that would interrupt it, in the masks of the system.
fn bit() -> u64 {
    #[cfg(target_os = "linux")]
    return 1 << (libc::SIGURG - 1);
    #[cfg(not(target_os = "linux"))]
    return 0;
}

/// The number by which the system knows the calling thread, where it says.
pub(crate) fn this_thread() -> Option<u32> {
    let path = std::fs::read_link("/proc/thread-self").ok()?;
    path.file_name()?.to_str()?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_that_waits_is_told_from_one_that_computes() {
        let activity = |thread| condition(thread).activity;
        let (number, told) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let waiting = std::thread::spawn(move || {
            number.send(this_thread()).expect("it is asked");
            // The end of the channel is what it waits for.
            let _ = stopped.recv();
        });
        let thread = told.recv().expect("it says").expect("the system says");
        let begun = Instant::now();
        while activity(Some(thread)) != "waiting" {
            assert!(begun.elapsed() < Duration::from_secs(20), "it never waits");
            std::thread::yield_now();
        }
        drop(stop);
        waiting.join().expect("it ends");
        assert_eq!(activity(this_thread()), "computing");
        assert_eq!((activity(None), activity(Some(u32::MAX))), ("running", "running"));
    }
}
