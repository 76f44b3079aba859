/// The memory that a process has in use, in bytes; `None` if the system does not say.
#[cfg(target_os = "linux")]
pub(crate) fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: it reads a constant of the system.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    Some(pages.saturating_mul(u64::try_from(page).ok()?))
}

/// The memory that a process has in use: this system does not say.
#[cfg(not(target_os = "linux"))]
pub(crate) fn resident(_pid: u32) -> Option<u64> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident(u32::MAX), None);
    }
}
