use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The ports that workers listen on.
#[derive(Debug)]
pub(crate) struct Ports {
    range: Option<RangeInclusive<u16>>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    ports: BTreeSet<u16>,
    /// The last one.
    last: Option<u16>,
}

/// A port for a worker, given back when dropped.
#[derive(Debug)]
pub(crate) struct Port<'a> {
    ports: &'a Ports,
    pub(crate) number: u16,
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        self.ports.lock().ports.remove(&self.number);
    }
}

impl Ports {
    pub(crate) fn new(range: Option<RangeInclusive<u16>>) -> Self {
        Self { range, taken: Mutex::default() }
    }

    /// A port of the range that no worker has; 0, any that is free, without a range. `None` when
    /// all are taken. The next after the last one, so that a port which somebody else has does not
    /// keep a worker from starting for ever.
    pub(crate) fn take(&self) -> Option<Port<'_>> {
        let Some(range) = &self.range else {
            return Some(Port { ports: self, number: 0 });
        };
        let mut taken = self.lock();
        let start = taken.last.filter(|last| last < range.end()).map_or(*range.start(), |l| l + 1);
        let mut from_there = (start..=*range.end()).chain(*range.start()..start);
        let number = from_there.find(|port| !taken.ports.contains(port))?;
        taken.ports.insert(number);
        taken.last = Some(number);
        Some(Port { ports: self, number })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
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
        // The port of one that died is tried again last.
        let ports = Ports::new(Some(4000..=4002));
        let tried = [0; 4].map(|_| ports.take().map(|port| port.number));
        assert_eq!(tried, [4000, 4001, 4002, 4000].map(Some));
        let highest = Ports::new(Some(u16::MAX..=u16::MAX));
        assert_eq!([0; 2].map(|_| highest.take().map(|port| port.number)), [Some(u16::MAX); 2]);
        assert_eq!(Ports::new(None).take().map(|port| port.number), Some(0));
    }
}
