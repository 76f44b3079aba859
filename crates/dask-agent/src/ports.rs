use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, PoisonError};

/// The ports that workers listen on.
#[derive(Debug)]
pub(crate) struct Ports {
    range: Option<RangeInclusive<u16>>,
    used: Mutex<BTreeSet<u16>>,
}

/// A port for a worker, given back when dropped.
#[derive(Debug)]
pub(crate) struct Port<'a> {
    ports: &'a Ports,
    pub(crate) number: u16,
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        let mut used = self.ports.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.remove(&self.number);
    }
}

impl Ports {
    pub(crate) fn new(range: Option<RangeInclusive<u16>>) -> Self {
        Self { range, used: Mutex::default() }
    }

    /// A port of the range that no worker has; 0, any that is free, without a range. `None` when
    /// all are taken.
    pub(crate) fn take(&self) -> Option<Port<'_>> {
        let Some(range) = &self.range else {
            return Some(Port { ports: self, number: 0 });
        };
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let number = range.clone().find(|port| used.insert(*port))?;
        Some(Port { ports: self, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_has_a_port_of_its_own() {
        let ports = Ports::new(Some(4000..=4001));
        let (one, two) = (ports.take().expect("a port"), ports.take().expect("another"));
        assert_eq!((one.number, two.number), (4000, 4001));
        assert!(ports.take().is_none());
        drop(one);
        assert_eq!(ports.take().map(|port| port.number), Some(4000));
        assert_eq!(Ports::new(None).take().map(|port| port.number), Some(0));
    }
}
