use std::collections::BTreeSet;
use std::collections::btree_set::Range;
use std::iter::Chain;

use dask_proto::id::WorkerId;
use dask_proto::message::SmallValue;

/// A result in memory: its size, the workers that have it, and the result itself if it is small:
/// who needs it is given it with the task then, and need not ask a holder. One worker, as for
/// nearly all results, costs no allocation.
#[derive(Debug)]
pub(in crate::state) enum Copies {
    /// One copy.
    One { holder: WorkerId, nbytes: u64 },
    /// One copy of a small result, whose size is its own.
    Small { holder: WorkerId, value: SmallValue },
    /// Any number of copies; does not shrink back. Boxed, for there is one of these per task.
    Many(Box<Many>),
}

/// Any number of copies.
#[derive(Debug)]
pub(in crate::state) struct Many {
    nbytes: u64,
    value: Option<SmallValue>,
    holders: BTreeSet<WorkerId>,
}

impl Copies {
    pub(in crate::state) fn new(holder: WorkerId, nbytes: u64, value: Option<SmallValue>) -> Self {
        match value {
            Some(value) if value.len() as u64 == nbytes => Self::Small { holder, value },
            _ => Self::One { holder, nbytes },
        }
    }

    /// The size of the result in bytes.
    pub(in crate::state) fn nbytes(&self) -> u64 {
        match self {
            Self::One { nbytes, .. } => *nbytes,
            Self::Small { value, .. } => value.len() as u64,
            Self::Many(many) => many.nbytes,
        }
    }

    /// The result itself, if it is small.
    pub(in crate::state) fn value(&self) -> Option<SmallValue> {
        match self {
            Self::One { .. } => None,
            Self::Small { value, .. } => Some(*value),
            Self::Many(many) => many.value,
        }
    }

    /// Adds a holder; whether it is new.
    pub(in crate::state) fn insert(&mut self, worker: WorkerId) -> bool {
        match self.only() {
            Some(holder) if holder == worker => false,
            Some(holder) => {
                self.become_many([holder, worker].into());
                true
            }
            None => self.many().is_some_and(|many| many.holders.insert(worker)),
        }
    }

    /// Takes a holder out; whether it was there.
    pub(in crate::state) fn remove(&mut self, worker: WorkerId) -> bool {
        match self.only() {
            Some(holder) if holder == worker => {
                self.become_many(BTreeSet::new());
                true
            }
            Some(_) => false,
            None => self.many().is_some_and(|many| many.holders.remove(&worker)),
        }
    }

    /// The holder of a result that never had another.
    fn only(&self) -> Option<WorkerId> {
        match self {
            Self::One { holder, .. } | Self::Small { holder, .. } => Some(*holder),
            Self::Many(_) => None,
        }
    }

    fn many(&mut self) -> Option<&mut Many> {
        match self {
            Self::Many(many) => Some(many),
            Self::One { .. } | Self::Small { .. } => None,
        }
    }

    fn become_many(&mut self, holders: BTreeSet<WorkerId>) {
        let (nbytes, value) = (self.nbytes(), self.value());
        *self = Self::Many(Box::new(Many { nbytes, value, holders }));
    }

    pub(in crate::state) fn contains(&self, worker: WorkerId) -> bool {
        match self {
            Self::One { holder, .. } | Self::Small { holder, .. } => *holder == worker,
            Self::Many(many) => many.holders.contains(&worker),
        }
    }

    pub(in crate::state) fn len(&self) -> usize {
        match self {
            Self::One { .. } | Self::Small { .. } => 1,
            Self::Many(many) => many.holders.len(),
        }
    }

    pub(in crate::state) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The holders in order.
    pub(in crate::state) fn iter(&self) -> Holders<'_> {
        self.iter_from(WorkerId(0))
    }

    /// The holders in order, from `start` on and then those before it.
    pub(in crate::state) fn iter_from(&self, start: WorkerId) -> Holders<'_> {
        match self {
            Self::One { holder, .. } | Self::Small { holder, .. } => Holders::One(Some(*holder)),
            Self::Many(many) => {
                let holders = &many.holders;
                Holders::Many(holders.range(start..).chain(holders.range(..start)))
            }
        }
    }
}

/// Holders of a result. Nearly always there is one, and this is what is asked for most often.
pub(in crate::state) enum Holders<'a> {
    One(Option<WorkerId>),
    Many(Chain<Range<'a, WorkerId>, Range<'a, WorkerId>>),
}

impl Iterator for Holders<'_> {
    type Item = WorkerId;

    fn next(&mut self) -> Option<WorkerId> {
        match self {
            Self::One(one) => one.take(),
            Self::Many(many) => many.next().copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_result_stays_known_when_its_holders_change() {
        let value = SmallValue::new(b"word");
        let mut copies = Copies::new(WorkerId(5), 4, value);
        assert_eq!((copies.value(), copies.nbytes()), (value, 4));
        assert!(copies.insert(WorkerId(3)) && copies.remove(WorkerId(5)));
        assert_eq!((copies.value(), copies.nbytes(), copies.len()), (value, 4, 1));
        // A worker says another size than that of the value: the size counts.
        let other = Copies::new(WorkerId(5), 1 << 40, value);
        assert_eq!((other.value(), other.nbytes()), (None, 1 << 40));
    }

    #[test]
    fn copies_are_a_set_of_holders_in_order() {
        let mut copies = Copies::new(WorkerId(5), 8, None);
        assert!(!copies.insert(WorkerId(5)) && !copies.remove(WorkerId(4)));
        assert!(copies.iter().eq([WorkerId(5)]));
        assert!(copies.insert(WorkerId(3)) && copies.insert(WorkerId(9)));
        assert!(copies.iter_from(WorkerId(4)).eq([5, 9, 3].map(WorkerId)));
        assert!(copies.remove(WorkerId(5)) && !copies.contains(WorkerId(5)));
        assert_eq!((copies.len(), copies.nbytes()), (2, 8));
        let mut last = Copies::new(WorkerId(1), 8, None);
        assert!(last.remove(WorkerId(1)) && last.is_empty());
        assert_eq!(last.nbytes(), 8);
    }
}
