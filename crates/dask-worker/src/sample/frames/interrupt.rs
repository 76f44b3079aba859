//! Has a thread copy its own stack for another one to read: the unsafe code of profiles.
//!
//! Nobody but a thread itself can tell where its stack ends at this moment, so it is interrupted,
//! by a signal that is for it alone. Why that is safe whatever it was in the middle of:
//!
//! - *The handler takes nothing that the interrupted code may hold.* It allocates nothing, locks
//!   nothing, unwinds nothing and calls no code but `gettid` and a wake-up of whoever waits; it
//!   reads the registers that the kernel saved, and copies words from the stack pointer upwards
//!   into a static, whose words are atomics, so that nothing there is ever a data race. Other
//!   profilers unwind in the handler; if that interrupts the dynamic linker, the allocator or
//!   another unwinding, it waits for a lock that its own thread holds. Here the copy is unwound
//!   later, on the thread that asked for it.
//! - *It reads mapped memory only.* Each thread that runs tasks has noted where its own stack lies,
//!   from above the guard pages to its other end. If the stack pointer is not within it, nothing is
//!   read: the thread is on another stack, such as that of a signal. If it is, all words from there
//!   to the other end are in use, and mapped. What they hold is anything at all; they are read as
//!   numbers, by volatile reads, since other threads may write there.
//! - *It answers each question once, and none that was taken back.* A question is the number of a
//!   thread in [`SLOT`]; the handler takes it by a compare-and-swap, and so does who gives up
//!   waiting. A signal that comes late, or to a thread that has the number of one that ended, finds
//!   no question and does nothing.
//! - *User code sees little of it.* The handler has the stack for signals where there is one, all
//!   other signals wait for it, `errno` is put back, and system calls are begun again where the
//!   kernel can (`SA_RESTART`); `poll`, `nanosleep` and the like return `EINTR`, as they do for any
//!   other signal.
//!
//! The signal is SIGURG, as with Go's runtime: by default it is ignored, so that one too many harms
//! no process, programs hardly use it, and debuggers let it pass. In a program that does use it no
//! stacks are read.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicUsize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::own_stack::{OwnStack, own_stack};

/// What interrupts a thread.
const SIGNAL: c_int = libc::SIGURG;

/// Words of a stack that are copied at most: 256 KiB. What lies further out is cut off.
const WORDS: usize = (256 << 10) / size_of::<usize>();

/// The handler is at it.
const TAKING: u32 = u32::MAX;
/// The handler is done.
const TAKEN: u32 = u32::MAX - 1;
/// Nobody is asked.
const IDLE: u32 = 0;

/// A question and its answer. There is one for the process: threads are asked one after the other.
struct Slot {
    /// One of the above, or the number of the thread that is asked. Below them, as Linux numbers
    /// threads with 22 bits.
    state: AtomicU32,
    /// How far up its stack is of interest.
    high: AtomicUsize,
    registers: [AtomicUsize; 4],
    /// How many words were copied.
    copied: AtomicUsize,
    stack: [AtomicUsize; WORDS],
}

static SLOT: Slot = Slot {
    state: AtomicU32::new(IDLE),
    high: AtomicUsize::new(0),
    registers: [const { AtomicUsize::new(0) }; 4],
    copied: AtomicUsize::new(0),
    stack: [const { AtomicUsize::new(0) }; WORDS],
};

static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// Where the stack of this thread lies; nowhere on threads that run no tasks. No destructor and
    /// a constant start, so that reading it in a handler allocates nothing.
    static STACK: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// The registers that an unwinding starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registers {
    /// The next instruction.
    pub(super) pc: usize,
    /// The end of the stack.
    pub(super) sp: usize,
    /// The frame pointer, if the code has one.
    pub(super) fp: usize,
    /// Where a function that calls no other returns to; not used on x86_64.
    pub(super) lr: usize,
}

/// The right to ask a thread.
pub(super) struct Turn {
    _turn: MutexGuard<'static, ()>,
}

/// A stack that a thread copied, until the next one is asked.
pub(super) struct Copied<'a> {
    pub(super) registers: Registers,
    /// The addresses of the copy.
    pub(super) range: Range<usize>,
    /// Whether it reaches as far as the stack that was asked for.
    pub(super) is_whole: bool,
    _turn: &'a Turn,
}

impl Turn {
    /// Waits for the right to ask, and sees to it that the handler is installed.
    ///
    /// # Errors
    /// Why no thread can be asked.
    pub(super) fn take() -> Result<Self, &'static str> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        install()?;
        Ok(Self { _turn: turn })
    }

    /// Asks a thread for its stack up to this address. Whether it is asked.
    pub(super) fn ask(&self, thread: u32, high: usize) -> bool {
        if SLOT.state.load(Acquire) == TAKING {
            // Whom nobody waited for any longer is stopped in the middle of its handler.
            return false;
        }
        SLOT.high.store(high, Relaxed);
        SLOT.state.store(thread, Release);
        // SAFETY: sends a signal, for which there is a handler, to a thread of this process.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, SIGNAL) };
        sent == 0 || self.take_back(thread)
    }

    /// What the thread answers that was asked; `None` if it does not in this time, or is not where
    /// it was thought to be.
    pub(super) fn answer(&self, thread: u32, patience: Duration) -> Option<Copied<'_>> {
        let end = Instant::now() + patience;
        loop {
            let state = SLOT.state.load(Acquire);
            if state == TAKEN {
                return self.copied();
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return self.take_back(thread).then(|| self.copied()).flatten();
            }
            wait(state, left);
        }
    }

    /// Takes the question back, unless it is answered.
    fn take_back(&self, thread: u32) -> bool {
        SLOT.state.compare_exchange(thread, IDLE, Acquire, Acquire) == Err(TAKEN)
    }

    fn copied(&self) -> Option<Copied<'_>> {
        let [pc, sp, fp, lr] = SLOT.registers.each_ref().map(|register| register.load(Relaxed));
        let (start, words) = (first_word(sp), SLOT.copied.load(Relaxed).min(WORDS));
        let range = start..start + words * size_of::<usize>();
        let is_whole = range.end + size_of::<usize>() > SLOT.high.load(Relaxed);
        let registers = Registers { pc, sp, fp, lr };
        (words > 0).then_some(Copied { registers, range, is_whole, _turn: self })
    }
}

impl Copied<'_> {
    /// The word at this address of the stack.
    pub(super) fn word(&self, address: usize) -> Option<usize> {
        let is_inside = self.range.contains(&address) && address.is_multiple_of(size_of::<usize>());
        let index = is_inside.then(|| (address - self.range.start) / size_of::<usize>())?;
        Some(SLOT.stack.get(index)?.load(Relaxed))
    }
}

fn first_word(sp: usize) -> usize {
    sp & !(size_of::<usize>() - 1)
}

/// Installs the handler, if it is not.
fn install() -> Result<(), &'static str> {
    let refused = "the system lets nobody handle SIGURG";
    // SAFETY: all zeros is a valid `sigaction`.
    let mut current: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: a null new action only reads the present one into `current`.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), &mut current) } != 0 {
        return Err(refused);
    }
    let ours = handle as *const () as usize;
    match current.sa_sigaction {
        handler if handler == ours => return Ok(()),
        libc::SIG_DFL | libc::SIG_IGN => {}
        _ => return Err("the program uses SIGURG itself"),
    }
    let mut action = current;
    action.sa_sigaction = ours;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
    // SAFETY: `handle` has the signature that SA_SIGINFO asks for and does only what a signal
    // handler may do; the mask is initialized in place.
    let installed = unsafe {
        libc::sigfillset(&mut action.sa_mask);
        libc::sigaction(SIGNAL, &action, std::ptr::null_mut())
    };
    if installed == 0 { Ok(()) } else { Err(refused) }
}

/// Runs on the thread that is asked, in the middle of anything.
extern "C" fn handle(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the place of this thread's `errno` is always valid.
    let errno = unsafe { *libc::__errno_location() };
    // SAFETY: a system call without arguments.
    let thread = u32::try_from(unsafe { libc::syscall(libc::SYS_gettid) }).unwrap_or(IDLE);
    if thread != IDLE && SLOT.state.compare_exchange(thread, TAKING, Acquire, Relaxed).is_ok() {
        // SAFETY: with SA_SIGINFO the kernel passes the interrupted context here.
        let registers = registers(unsafe { &*context.cast::<libc::ucontext_t>() });
        let Registers { pc, sp, fp, lr } = registers;
        for (register, value) in SLOT.registers.iter().zip([pc, sp, fp, lr]) {
            register.store(value, Relaxed);
        }
        SLOT.copied.store(copy(sp), Relaxed);
        SLOT.state.store(TAKEN, Release);
        wake();
    }
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

/// Copies the stack of this thread from its end; how many words.
fn copy(sp: usize) -> usize {
    let (low, end) = STACK.get();
    let high = SLOT.high.load(Relaxed).min(end);
    if !(low..high).contains(&sp) {
        return 0;
    }
    let start = first_word(sp);
    let words = ((high - start) / size_of::<usize>()).min(WORDS);
    for (index, word) in SLOT.stack.iter().enumerate().take(words) {
        let place = std::ptr::with_exposed_provenance::<usize>(start + index * size_of::<usize>());
        // SAFETY: the word lies within the part of this thread's stack that is in use, between the
        // stack pointer and the other end: it is mapped. It is aligned.
        word.store(unsafe { place.read_volatile() }, Relaxed);
    }
    words
}

#[cfg(target_arch = "x86_64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let register = |index: c_int| context.uc_mcontext.gregs[index as usize] as usize;
    Registers {
        pc: register(libc::REG_RIP),
        sp: register(libc::REG_RSP),
        fp: register(libc::REG_RBP),
        lr: 0,
    }
}

#[cfg(target_arch = "aarch64")]
fn registers(context: &libc::ucontext_t) -> Registers {
    let registers = &context.uc_mcontext;
    Registers {
        pc: registers.pc as usize,
        sp: registers.sp as usize,
        fp: registers.regs[29] as usize,
        lr: registers.regs[30] as usize,
    }
}

/// Waits until the slot is no longer in this state, at most so long.
fn wait(state: u32, longest: Duration) {
    let time = libc::timespec {
        tv_sec: libc::time_t::try_from(longest.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: longest.subsec_nanos().into(),
    };
    let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address is that of a static, and the time is valid for the call.
    unsafe { libc::syscall(libc::SYS_futex, SLOT.state.as_ptr(), operation, state, &time) };
}

/// Wakes who waits for the slot.
fn wake() {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: the address is that of a static.
    unsafe { libc::syscall(libc::SYS_futex, SLOT.state.as_ptr(), operation, 1) };
}

/// Notes where the stack of the calling thread lies: from now on it can be asked.
pub(crate) fn watch_thread() {
    let within = |stack: OwnStack| (stack.low + stack.guard, stack.low + stack.size);
    STACK.set(own_stack().map(within).unwrap_or_default());
}

/// A file of code in this process: the program, a library, or what the kernel brings.
pub(super) struct Module {
    pub(super) name: String,
    /// How far it is from where it was linked to be.
    pub(super) bias: usize,
    /// The addresses of its code.
    pub(super) text: Range<usize>,
    /// Where `.eh_frame_hdr` is, and a copy of it.
    pub(super) index: (usize, Vec<u8>),
    /// Where `.eh_frame` is, and a copy of it; bytes of other sections may follow.
    pub(super) frames: (usize, Vec<u8>),
}

/// All modules that say how they are unwound. What they say is copied, as they may be unloaded.
pub(super) fn modules() -> Vec<Module> {
    let mut modules: Vec<Module> = Vec::new();
    // SAFETY: the callback matches the signature, and the vector outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add_module), (&raw mut modules).cast()) };
    modules
}

/// Called for each module while the dynamic linker lets none be unloaded.
unsafe extern "C" fn add_module(
    info: *mut libc::dl_phdr_info,
    _: usize,
    modules: *mut c_void,
) -> c_int {
    // SAFETY: the linker passes a valid description, and `modules` is the vector of `modules()`.
    let (info, modules) = unsafe { (&*info, &mut *modules.cast::<Vec<Module>>()) };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the description says how many headers there are, and they are in memory.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let bias = info.dlpi_addr as usize;
    let range = |header: &libc::Elf64_Phdr| {
        let start = bias.wrapping_add(header.p_vaddr as usize);
        start..start.saturating_add(header.p_memsz as usize)
    };
    let of = |kind: u32| headers.iter().filter(move |header| header.p_type == kind);
    let loaded = || of(libc::PT_LOAD).filter(|header| header.p_flags & libc::PF_R != 0).map(range);
    let copy = |wanted: Range<usize>| {
        let is_there = loaded().any(|part| part.start <= wanted.start && wanted.end <= part.end);
        let place = std::ptr::with_exposed_provenance::<u8>(wanted.start);
        // SAFETY: the range lies within a part of the module that is loaded to be read.
        is_there.then(|| unsafe { std::slice::from_raw_parts(place, wanted.len()) }.to_vec())
    };
    let module = || {
        let code = of(libc::PT_LOAD).filter(|header| header.p_flags & libc::PF_X != 0).map(range);
        let text = code.reduce(|all, part| all.start.min(part.start)..all.end.max(part.end))?;
        let index = of(libc::PT_GNU_EH_FRAME).map(range).next()?;
        let head = copy(index.clone())?;
        // Version 1; the frames are this far from here, in four bytes, as all linkers write it.
        let [1, 0x1b, _, _, far @ ..] = *head.first_chunk::<8>()? else { return None };
        let frames = (index.start + 4).wrapping_add_signed(i32::from_le_bytes(far) as isize);
        let end = loaded().find(|part| part.contains(&frames))?.end;
        let name = if info.dlpi_name.is_null() {
            String::new()
        } else {
            // SAFETY: the name is a text that ends with a zero.
            unsafe { std::ffi::CStr::from_ptr(info.dlpi_name) }.to_string_lossy().into_owned()
        };
        Some(Module {
            name,
            bias,
            text,
            index: (index.start, head),
            frames: (frames, copy(frames..end)?),
        })
    };
    modules.extend(module());
    0
}
