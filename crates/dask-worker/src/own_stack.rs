//! Where the stack of a thread lies.

use std::mem::MaybeUninit;

/// Addresses of a thread's stack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OwnStack {
    /// Where it begins, with the guard pages or right above them: C libraries differ in that.
    pub(crate) low: usize,
    /// How many bytes it has.
    pub(crate) size: usize,
    /// How many bytes of guard pages it has; 0 for none.
    pub(crate) guard: usize,
}

/// That of the calling thread.
pub(crate) fn own_stack() -> Option<OwnStack> {
    let mut attributes = MaybeUninit::<libc::pthread_attr_t>::uninit();
    // SAFETY: asks about the calling thread, and `attributes` has room for the answer.
    let asked = unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
    if asked != 0 {
        return None;
    }
    // SAFETY: the call succeeded, so `attributes` is initialized.
    let mut attributes = unsafe { attributes.assume_init() };
    let (mut low, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: `attributes` is initialized, and the results have room; it is destroyed once.
    let found = unsafe {
        let stack = libc::pthread_attr_getstack(&attributes, &mut low, &mut size);
        let area = libc::pthread_attr_getguardsize(&attributes, &mut guard);
        libc::pthread_attr_destroy(&mut attributes);
        stack == 0 && area == 0
    };
    found.then_some(OwnStack { low: low as usize, size, guard })
}
