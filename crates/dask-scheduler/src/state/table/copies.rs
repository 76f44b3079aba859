use std::collections::BTreeSet;
use std::collections::btree_set::Range;
use std::iter::Chain;

use dask_proto::id::WorkerId;

/// A result in memory: its size, and the workers that have it. One worker, as for nearly all
/// results, costs no allocation.
#[derive(Debug)]
pub(in crate::state) enum Copies {
    /// One copy.
    One { holder: WorkerId, nbytes: u64 },
    /// Any number of copies; does not shrink back. Boxed, for there is one of these per task.
    Many(Box<Many>),
}

/// Any number of copies.
#[derive(Debug)]
pub(in crate::state) struct Many {
    nbytes: u64,
    holders: BTreeSet<WorkerId>,
}

impl Copies {
    /// The size of the result in bytes.
    pub(in crate::state) fn nbytes(&self) -> u64 {
        match self {
            Self::One { nbytes, .. } => *nbytes,
            Self::Many(many) => many.nbytes,
        }
    }

    /// Adds a holder; whether it is new.
    pub(in crate::state) fn insert(&mut self, worker: WorkerId) -> bool {
        match self {
            Self::One { holder, .. } if *holder == worker => false,
            Self::One { holder, nbytes } => {
                let (nbytes, holders) = (*nbytes, [*holder, worker].into());
                *self = Self::Many(Box::new(Many { nbytes, holders }));
                true
            }
            Self::Many(many) => many.holders.insert(worker),
        }
    }

    /// Takes a holder out; whether it was there.
    pub(in crate::state) fn remove(&mut self, worker: WorkerId) -> bool {
        match self {
            Self::One { holder, nbytes } if *holder == worker => {
                let (nbytes, holders) = (*nbytes, BTreeSet::new());
                *self = Self::Many(Box::new(Many { nbytes, holders }));
                true
            }
            Self::One { .. } => false,
            Self::Many(many) => many.holders.remove(&worker),
        }
    }

    pub(in crate::state) fn contains(&self, worker: WorkerId) -> bool {
        match self {
            Self::One { holder, .. } => *holder == worker,
            Self::Many(many) => many.holders.contains(&worker),
        }
    }

    pub(in crate::state) fn len(&self) -> usize {
        match self {
            Self::One { .. } => 1,
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
            Self::One { holder, .. } => Holders::One(Some(*holder)),
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
    fn copies_are_a_set_of_holders_in_order() {
        let mut copies = Copies::One { holder: WorkerId(5), nbytes: 8 };
        assert!(!copies.insert(WorkerId(5)) && !copies.remove(WorkerId(4)));
        assert!(copies.iter().eq([WorkerId(5)]));
        assert!(copies.insert(WorkerId(3)) && copies.insert(WorkerId(9)));
        assert!(copies.iter_from(WorkerId(4)).eq([5, 9, 3].map(WorkerId)));
        assert!(copies.remove(WorkerId(5)) && !copies.contains(WorkerId(5)));
        assert_eq!((copies.len(), copies.nbytes()), (2, 8));
        let mut last = Copies::One { holder: WorkerId(1), nbytes: 8 };
        assert!(last.remove(WorkerId(1)) && last.is_empty());
        assert_eq!(last.nbytes(), 8);
    }
}
