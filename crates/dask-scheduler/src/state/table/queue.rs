use std::collections::{BTreeSet, VecDeque};

use dask_proto::graph::Priority;

use super::task::Row;

/// Where a queued task stands: what is smaller runs first.
pub(in crate::state) type Place = (Priority, Row);

/// The tasks of a function in state queued, in the order in which they are to run.
///
/// Nearly all come in that order and leave from the front, so they stand in a line; who comes late
/// stands apart, and who leaves from the middle leaves a gap, until gaps are the greater part.
#[derive(Debug, Default)]
pub(in crate::state) struct Queue {
    line: VecDeque<Queued>,
    /// How many in the line are not gaps.
    standing: usize,
    late: BTreeSet<Place>,
}

#[derive(Debug)]
struct Queued {
    place: Place,
    is_gap: bool,
}

impl Queue {
    pub(in crate::state) fn len(&self) -> usize {
        self.standing + self.late.len()
    }

    pub(in crate::state) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next to run.
    pub(in crate::state) fn first(&self) -> Option<Place> {
        // The ends of the line are never gaps.
        let front = self.line.front().map(|queued| queued.place);
        let late = self.late.first().copied();
        front.into_iter().chain(late).min()
    }

    pub(in crate::state) fn contains(&self, place: Place) -> bool {
        let standing = self.find(place).is_some_and(|index| !self.line[index].is_gap);
        standing || self.late.contains(&place)
    }

    pub(in crate::state) fn insert(&mut self, place: Place) {
        if self.line.back().is_none_or(|last| last.place < place) {
            self.line.push_back(Queued { place, is_gap: false });
            self.standing += 1;
        } else if !self.contains(place) {
            self.late.insert(place);
        }
    }

    pub(in crate::state) fn remove(&mut self, place: Place) {
        match self.find(place) {
            Some(index) if !self.line[index].is_gap => {
                self.line[index].is_gap = true;
                self.standing -= 1;
                self.close_gaps();
            }
            _ => {
                self.late.remove(&place);
            }
        }
    }

    /// All, though not in order.
    pub(in crate::state) fn iter(&self) -> impl Iterator<Item = Place> + '_ {
        let line = self.line.iter().filter(|queued| !queued.is_gap).map(|queued| queued.place);
        line.chain(self.late.iter().copied())
    }

    /// Those that run before a place.
    pub(in crate::state) fn before(&self, place: Place) -> impl Iterator<Item = Place> + '_ {
        let line = self.line.iter().take_while(move |queued| queued.place < place);
        let line = line.filter(|queued| !queued.is_gap).map(|queued| queued.place);
        line.chain(self.late.range(..place).copied())
    }

    fn find(&self, place: Place) -> Option<usize> {
        match self.line.front() {
            Some(first) if first.place == place => Some(0),
            _ => self.line.binary_search_by(|queued| queued.place.cmp(&place)).ok(),
        }
    }

    fn close_gaps(&mut self) {
        while self.line.front().is_some_and(|first| first.is_gap) {
            self.line.pop_front();
        }
        while self.line.back().is_some_and(|last| last.is_gap) {
            self.line.pop_back();
        }
        if self.line.len() > 16 + 2 * self.standing {
            self.line.retain(|queued| !queued.is_gap);
        }
        // What a burst took is given back.
        if self.line.capacity() > 64 && self.line.len() < self.line.capacity() / 4 {
            self.line.shrink_to(2 * self.line.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_an_ordered_set() {
        let mut queue = Queue::default();
        let mut model = BTreeSet::new();
        // Numbers that come mostly in order, and leave from the front and from anywhere.
        for step in 0..2000_u64 {
            let late = if step % 7 == 0 { step / 2 } else { step };
            let place = (Priority::new(0, late), Row::from_number(0));
            queue.insert(place);
            model.insert(place);
            if step % 3 == 0 {
                let from = (Priority::new(0, step * 31 % (step + 1)), Row::from_number(0));
                let gone = model.range(from..).next().copied();
                let gone = if step % 2 == 0 { model.first().copied() } else { gone };
                if let Some(gone) = gone {
                    assert!(queue.contains(gone));
                    queue.remove(gone);
                    model.remove(&gone);
                    assert!(!queue.contains(gone));
                }
            }
            assert_eq!((queue.first(), queue.len()), (model.first().copied(), model.len()));
            assert_eq!(queue.before(place).count(), model.range(..place).count());
            assert!(queue.line.len() <= 16 + 2 * queue.standing);
        }
        assert!(
            queue.iter().collect::<BTreeSet<_>>() == model && queue.iter().count() == model.len()
        );
        for place in model {
            queue.remove(place);
        }
        assert!(queue.is_empty() && queue.line.is_empty());
    }
}
