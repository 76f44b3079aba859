use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The memory of all workers of the host, of whatever programs. Each may have all that one program
/// is granted, so together they could have many times that.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// The bytes that they may have together.
    most: Option<u64>,
    used: Mutex<BTreeMap<u32, u64>>,
}

/// A worker in the ledger, taken out when dropped.
#[derive(Debug)]
pub(crate) struct Account<'a> {
    ledger: &'a Ledger,
    pid: u32,
}

impl Ledger {
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self { most, used: Mutex::default() }
    }

    pub(crate) fn open(&self, pid: u32) -> Account<'_> {
        Account { ledger: self, pid }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, u64>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account<'_> {
    /// Notes how much the worker has in use: how much all have, if that is too much and this worker
    /// has most of it. Then its memory counts no more, for it is about to be killed.
    pub(crate) fn note(&self, bytes: u64) -> Option<u64> {
        let mut used = self.ledger.lock();
        used.insert(self.pid, bytes);
        let total = used.values().fold(0, |sum: u64, bytes| sum.saturating_add(*bytes));
        let largest = used.iter().max_by_key(|(pid, bytes)| (**bytes, **pid));
        let is_largest = largest.is_some_and(|(pid, _)| *pid == self.pid);
        let is_over = self.ledger.most.is_some_and(|most| total > most);
        if !(is_over && is_largest) {
            return None;
        }
        used.remove(&self.pid);
        Some(total)
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.ledger.lock().remove(&self.pid);
    }
}

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
mod resident_tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_one_that_is_not_there_has_none() {
        assert!(resident(std::process::id()).is_some_and(|bytes| bytes > 100_000));
        assert_eq!(resident(u32::MAX), None);
    }
}

#[cfg(test)]
mod ledger_tests {
    use super::*;

    #[test]
    fn the_largest_goes_when_all_have_too_much() {
        let ledger = Ledger::new(Some(100));
        let (one, two, three) = (ledger.open(1), ledger.open(2), ledger.open(3));
        assert_eq!((one.note(50), two.note(40), three.note(10)), (None, None, None));
        // It is over, and another is larger.
        assert_eq!(two.note(45), None);
        assert_eq!(one.note(50), Some(105));
        // Its memory is as good as free.
        assert_eq!((two.note(45), three.note(55)), (None, None));
        assert_eq!(three.note(56), Some(101));
    }

    #[test]
    fn who_ends_has_nothing_and_without_a_limit_nobody_goes() {
        let ledger = Ledger::new(Some(100));
        let one = ledger.open(1);
        assert_eq!(ledger.open(2).note(90), None);
        assert_eq!(one.note(90), None);
        assert_eq!(Ledger::new(None).open(1).note(u64::MAX), None);
    }
}
