//! Says which task overflowed its stack before the process dies of it.
//!
//! A stack overflow cannot be caught: the process ends. But its thread can still say why. A signal
//! handler, on a stack of its own, sees whether the fault lies in the guard area below the stack
//! of a thread that runs tasks; then it writes the task's id into a pipe and waits, while other
//! threads tell the scheduler and abort the process. Every other fault goes to the handler that was
//! there before.
//!
//! Linux only: elsewhere a stack overflow ends the process without a word.

use std::io;

use dask_proto::id::{RunId, TaskId};
use tokio::sync::mpsc;

/// A task that overflowed its stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Overflow {
    pub(crate) task: TaskId,
    pub(crate) run: RunId,
}

#[cfg(not(target_os = "linux"))]
mod system {
    use super::{Overflow, RunId, TaskId, io, mpsc};

    #[derive(Debug, Clone)]
    pub(crate) struct Reporter;

    impl Reporter {
        pub(crate) fn new(_: mpsc::UnboundedSender<Overflow>) -> io::Result<Self> {
            Ok(Self)
        }

        pub(crate) fn watch_thread(&self) {}
    }

    pub(crate) fn enter_task(_: TaskId, _: RunId) {}

    pub(crate) fn leave_task() {}
}

#[cfg(not(target_os = "linux"))]
pub(crate) use system::{Reporter, enter_task, leave_task};
#[cfg(target_os = "linux")]
pub(crate) use system::{Reporter, enter_task, leave_task};

#[cfg(target_os = "linux")]
mod system {
    use std::cell::Cell;
    use std::fs::File;
    use std::io::Read;
    use std::mem::MaybeUninit;
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::sync::{Arc, OnceLock};
    use std::time::Duration;

    use super::{Overflow, RunId, TaskId, io, mpsc};
    use crate::own_stack::{OwnStack, own_stack};

    /// How long the scheduler is given to hear of it.
    const FAREWELL: Duration = Duration::from_secs(2);

    /// What the handler has to know about the thread that it interrupts. No destructor and a
    /// constant start, so that reading it in a handler allocates nothing.
    #[derive(Clone, Copy)]
    struct Thread {
        /// The area whose touch is an overflow; empty on threads that run no tasks.
        guard: (usize, usize),
        pipe: i32,
        task: Option<(u64, u32)>,
    }

    thread_local! {
        static THREAD: Cell<Thread> = const {
            Cell::new(Thread { guard: (0, 0), pipe: -1, task: None })
        };
    }

    /// The handlers that were there before, for SIGSEGV and SIGBUS.
    static PREVIOUS: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

    /// Reports the overflows of one worker's threads.
    #[derive(Debug, Clone)]
    pub(crate) struct Reporter {
        /// The end that handlers write to. Kept open by every thread that may.
        pipe: Arc<OwnedFd>,
    }

    impl Reporter {
        /// Installs the handler, once per process, and sends what it sees here.
        pub(crate) fn new(overflows: mpsc::UnboundedSender<Overflow>) -> io::Result<Self> {
            install()?;
            let (reader, writer) = pipe()?;
            std::thread::Builder::new()
                .name("stack-overflow".to_owned())
                .spawn(move || watch(File::from(reader), &overflows))?;
            Ok(Self { pipe: Arc::new(writer) })
        }

        /// Watches the calling thread, which must keep this reporter, and so the pipe, to its end.
        pub(crate) fn watch_thread(&self) {
            if let (Some(guard), true) = (guard_area(), has_signal_stack()) {
                let pipe = self.pipe.as_raw_fd();
                THREAD.set(Thread { guard, pipe, task: None });
            }
        }
    }

    /// From now on this thread runs this task.
    pub(crate) fn enter_task(task: TaskId, run: RunId) {
        let thread = THREAD.get();
        let task = Some((task.0, run.0));
        THREAD.set(Thread { task, ..thread });
    }

    /// From now on this thread runs no task.
    pub(crate) fn leave_task() {
        let thread = THREAD.get();
        THREAD.set(Thread { task: None, ..thread });
    }

    /// Waits for an overflow, passes it on, and ends the process if nobody else does.
    fn watch(mut pipe: File, overflows: &mpsc::UnboundedSender<Overflow>) {
        let mut message = [0; 12];
        if pipe.read_exact(&mut message).is_err() {
            return;
        }
        let (task, run) = message.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let overflow = Overflow {
            task: TaskId(number(task)),
            run: RunId(u32::try_from(number(run)).unwrap_or(u32::MAX)),
        };
        if overflows.send(overflow).is_ok() {
            std::thread::sleep(FAREWELL);
        }
        std::process::abort();
    }

    fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
        let mut ends = [0; 2];
        // SAFETY: `ends` has room for the two descriptors that the call writes.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so both are open descriptors that nobody else owns.
        Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
    }

    const SIGNALS: [libc::c_int; 2] = [libc::SIGSEGV, libc::SIGBUS];

    fn install() -> io::Result<()> {
        static INSTALLED: OnceLock<Result<(), i32>> = OnceLock::new();
        let installed = INSTALLED.get_or_init(|| {
            // The previous handlers are stored before the new one can run.
            let mut previous = [empty_action(); 2];
            for (signal, action) in SIGNALS.into_iter().zip(&mut previous) {
                // SAFETY: a null new action only reads the current one into `action`.
                let read = unsafe { libc::sigaction(signal, std::ptr::null(), action) };
                if read != 0 {
                    return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
                }
            }
            let _ = PREVIOUS.set(previous);
            let mut action = empty_action();
            action.sa_sigaction = handle as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            // The stack for signals has room for one.
            // SAFETY: the mask is initialized in place.
            unsafe { libc::sigfillset(&mut action.sa_mask) };
            for signal in SIGNALS {
                // SAFETY: `handle` has the signature that SA_SIGINFO asks for and does only what a
                // signal handler may do.
                if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
                    return Err(io::Error::last_os_error().raw_os_error().unwrap_or(0));
                }
            }
            Ok(())
        });
        installed.map_err(io::Error::from_raw_os_error)
    }

    fn empty_action() -> libc::sigaction {
        // SAFETY: all zeros is a valid `sigaction`: the default action, no flags, an empty mask.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }

    /// Runs on the signal stack of the thread that faulted. It calls nothing but what POSIX lists
    /// as safe there: `write`, `nanosleep` (through no library), `sigaction`.
    extern "C" fn handle(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        _context: *mut libc::c_void,
    ) {
        // SAFETY: with SA_SIGINFO the kernel passes a valid `siginfo_t`, and for these signals its
        // address field is set.
        let address = unsafe { (*info).si_addr() } as usize;
        let thread = THREAD.get();
        let (low, high) = thread.guard;
        if let Some((task, run)) = thread.task.filter(|_| (low..high).contains(&address)) {
            let mut message = [0_u8; 12];
            message[..8].copy_from_slice(&task.to_le_bytes());
            message[8..].copy_from_slice(&run.to_le_bytes());
            // SAFETY: the pointer and length are those of `message`. A pipe takes so few bytes at
            // once. If it fails, the previous handler ends the process all the same.
            unsafe { libc::write(thread.pipe, message.as_ptr().cast(), message.len()) };
            let pause = libc::timespec { tv_sec: FAREWELL.as_secs().cast_signed() + 1, tv_nsec: 0 };
            // SAFETY: `pause` is a valid time, and no remainder is asked for.
            unsafe { libc::nanosleep(&pause, std::ptr::null_mut()) };
        }
        let index = usize::from(signal == libc::SIGBUS);
        let previous = PREVIOUS.get().map(|all| all[index]);
        let action = previous.unwrap_or_else(empty_action);
        // SAFETY: the action is one that was installed before, or the default one. When this
        // handler returns the instruction faults again, and that action takes over.
        unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) };
    }

    /// Where a touch means that the calling thread's stack overflowed.
    fn guard_area() -> Option<(usize, usize)> {
        let OwnStack { low, guard, .. } = own_stack()?;
        (guard > 0).then(|| (low.saturating_sub(guard), low.saturating_add(guard)))
    }

    /// Whether the thread has a stack for signals, as all of std's have in a program whose `main`
    /// is Rust's. Without one the handler could not run: the thread goes unwatched.
    fn has_signal_stack() -> bool {
        let mut stack = MaybeUninit::<libc::stack_t>::uninit();
        // SAFETY: a null new stack only reads the current one into `stack`.
        let asked = unsafe { libc::sigaltstack(std::ptr::null(), stack.as_mut_ptr()) };
        // SAFETY: if the call succeeded, `stack` is initialized.
        asked == 0 && unsafe { stack.assume_init() }.ss_flags & libc::SS_DISABLE == 0
    }
}
