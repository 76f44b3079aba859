//! An ordered set whose elements mostly come in order and leave from the front.

use std::collections::{BTreeSet, VecDeque};

/// A set of which the first is asked for. What comes in order is appended to a queue, which costs
/// a store; everything else is in a tree.
#[derive(Debug)]
pub(super) struct Ranking<T> {
    /// In order.
    queue: VecDeque<T>,
    others: BTreeSet<T>,
}

impl<T> Default for Ranking<T> {
    fn default() -> Self {
        Self { queue: VecDeque::new(), others: BTreeSet::new() }
    }
}

/// Places in the queue that are kept when it is empty; the memory of more is given back.
const KEPT_PLACES: usize = 4096;

impl<T: Ord + Copy> Ranking<T> {
    /// Adds one that is not there.
    pub(super) fn insert(&mut self, item: T) {
        if self.queue.back().is_none_or(|last| *last < item) {
            self.queue.push_back(item);
        } else {
            self.others.insert(item);
        }
    }

    /// Takes one out, if it is there.
    pub(super) fn remove(&mut self, item: &T) {
        if self.queue.front() == Some(item) {
            self.queue.pop_front();
        } else if !self.others.remove(item)
            && let Ok(place) = self.queue.binary_search(item)
        {
            self.split(place);
        }
        if self.queue.is_empty() {
            self.queue.shrink_to(KEPT_PLACES);
        }
    }

    /// Takes one out of the middle of the queue. The shorter part of it moves to the tree: any
    /// element does so once in its life, so whatever is removed costs a logarithm.
    fn split(&mut self, place: usize) {
        let behind = self.queue.split_off(place + 1);
        self.queue.pop_back();
        if behind.len() < self.queue.len() {
            self.others.extend(behind);
        } else {
            self.others.extend(std::mem::replace(&mut self.queue, behind));
        }
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.queue.front().into_iter().chain(self.others.first()).min()
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len() + self.others.len()
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_an_ordered_set() {
        let (mut ranking, mut expected) = (Ranking::default(), BTreeSet::new());
        let mut random = 1_u64;
        for step in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(step | 1);
            // Runs that come in order, between others that do not.
            let item = if random >> 63 == 0 { step } else { random >> 50 };
            match random >> 60 & 3 {
                0 => {
                    let first = expected.pop_first();
                    assert_eq!(ranking.first(), first.as_ref());
                    first.iter().for_each(|first| ranking.remove(first));
                }
                1 => {
                    let near = expected.range(item..).next().copied().unwrap_or(item);
                    expected.remove(&near);
                    ranking.remove(&near);
                }
                _ if expected.insert(item) => ranking.insert(item),
                _ => {}
            }
            assert_eq!(ranking.len(), expected.len());
        }
        assert_eq!(ranking.iter().copied().collect::<BTreeSet<_>>(), expected);
        assert!(!ranking.queue.is_empty() && !ranking.others.is_empty(), "both were in use");
    }
}
