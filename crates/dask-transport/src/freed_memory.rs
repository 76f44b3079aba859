/// Has the allocator keep memory that was freed, 32 MiB of it for each of its arenas, of which busy
/// threads have one each: for a process that is a peer and nothing else, at its start. What the
/// user of the process set for the allocator of glibc stays as it is.
///
/// The tables and messages of a burst of tasks are gone with it, and the next burst has as many. To
/// give their memory back each time and have it again costs a fault for every 4 KiB, which together
/// is a tenth of all the work. glibc comes to keep as much by itself, in processes that free large
/// pieces.
///
/// Pieces of `large_bytes` or more, 32 MiB at most, are no part of the heap: they go back at once,
/// and a list among them grows without being moved, so it leaves no hole behind.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory(large_bytes: u32) {
    /// Kept at the end of the heap.
    const KEPT_BYTES: libc::c_int = 32 << 20;
    /// Taken at once from there on, so that the heap need not be extended so often.
    const STEP_BYTES: libc::c_int = 1 << 20;
    let large_bytes = libc::c_int::try_from(large_bytes).unwrap_or(libc::c_int::MAX);
    let is_ours = |name: &str| std::env::var_os(name).is_none();
    let is_general = is_ours("GLIBC_TUNABLES");
    for (option, bytes, variable) in [
        (libc::M_TRIM_THRESHOLD, KEPT_BYTES, "MALLOC_TRIM_THRESHOLD_"),
        (libc::M_TOP_PAD, STEP_BYTES, "MALLOC_TOP_PAD_"),
        (libc::M_MMAP_THRESHOLD, large_bytes, "MALLOC_MMAP_THRESHOLD_"),
    ] {
        if is_general && is_ours(variable) {
            // SAFETY: it takes the lock of the allocator's arena before it changes the numbers, and
            // other threads, of which there are few yet, read one number or the other. It is only
            // advice: nothing is wrong if it fails.
            unsafe { libc::mallopt(option, bytes) };
        }
    }
}

/// Other allocators keep what was freed by themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_freed_memory(_: u32) {}
