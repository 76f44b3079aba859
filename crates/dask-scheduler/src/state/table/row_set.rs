use std::collections::BTreeMap;
use std::ops::Deref;

use super::task::Row;

/// Rows on one page: the bits of a word.
const PAGE: u32 = u64::BITS;

/// A set of tasks, in the order of their rows.
///
/// What a worker is given and holds lies close together in the table, so most of the set is whole
/// words: a fifth of the work of a set of single rows, and a fiftieth of the memory.
#[derive(Debug, Clone, Default)]
pub(in crate::state) struct RowSet {
    /// The pages that are not empty, but for the open one.
    pages: BTreeMap<u32, u64>,
    /// The page that was changed last, and its word: the next change is mostly to the same.
    open: u32,
    word: u64,
    len: u32,
}

impl RowSet {
    const EMPTY: Self = Self { pages: BTreeMap::new(), open: 0, word: 0, len: 0 };

    pub(in crate::state) fn len(&self) -> usize {
        self.len as usize
    }

    pub(in crate::state) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(in crate::state) fn contains(&self, row: Row) -> bool {
        let (page, bit) = place(row);
        let word = if page == self.open { Some(&self.word) } else { self.pages.get(&page) };
        word.is_some_and(|word| word & bit != 0)
    }

    /// Adds a row; whether it is new.
    pub(in crate::state) fn insert(&mut self, row: Row) -> bool {
        let (page, bit) = place(row);
        let word = self.open(page);
        let is_new = *word & bit == 0;
        *word |= bit;
        self.len += u32::from(is_new);
        is_new
    }

    /// Takes a row out; whether it was there.
    pub(in crate::state) fn remove(&mut self, row: Row) -> bool {
        if self.len == 0 {
            return false;
        }
        let (page, bit) = place(row);
        let word = self.open(page);
        let was_there = *word & bit != 0;
        *word &= !bit;
        self.len -= u32::from(was_there);
        was_there
    }

    /// The rows, in order.
    pub(in crate::state) fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        let Self { open, word, .. } = *self;
        let before = self.pages.range(..open).map(|(page, word)| (*page, *word));
        let behind = self.pages.range(open..).map(|(page, word)| (*page, *word));
        let open = (word != 0).then_some((open, word));
        before.chain(open).chain(behind).flat_map(|(page, word)| {
            // Each time without the lowest bit, until none is left.
            let bits = std::iter::successors(Some(word), |left| {
                let rest = left & (left - 1);
                (rest != 0).then_some(rest)
            });
            bits.map(move |left| Row::from_number(page * PAGE + left.trailing_zeros()))
        })
    }

    /// The word of a page, to be changed.
    fn open(&mut self, page: u32) -> &mut u64 {
        if page != self.open {
            self.turn_to(page);
        }
        &mut self.word
    }

    fn turn_to(&mut self, page: u32) {
        let word = self.pages.remove(&page).unwrap_or_default();
        let last = std::mem::replace(&mut self.open, page);
        let its = std::mem::replace(&mut self.word, word);
        if its != 0 {
            self.pages.insert(last, its);
        }
    }

    /// The rows that are not in another set, in order.
    pub(in crate::state) fn difference<'a>(
        &'a self,
        other: &'a Self,
    ) -> impl Iterator<Item = Row> + 'a {
        self.iter().filter(|row| !other.contains(*row))
    }
}

impl Extend<Row> for RowSet {
    fn extend<I: IntoIterator<Item = Row>>(&mut self, rows: I) {
        for row in rows {
            self.insert(row);
        }
    }
}

/// A set of tasks that is empty nearly always, and takes up next to nothing then.
#[derive(Debug, Default)]
pub(in crate::state) struct RareRows(Option<Box<RowSet>>);

impl RareRows {
    pub(in crate::state) fn insert(&mut self, row: Row) -> bool {
        self.0.get_or_insert_default().insert(row)
    }

    pub(in crate::state) fn remove(&mut self, row: Row) -> bool {
        let Some(rows) = &mut self.0 else { return false };
        let was_there = rows.remove(row);
        if rows.is_empty() {
            self.0 = None;
        }
        was_there
    }
}

impl Deref for RareRows {
    type Target = RowSet;

    fn deref(&self) -> &RowSet {
        static EMPTY: RowSet = RowSet::EMPTY;
        self.0.as_deref().unwrap_or(&EMPTY)
    }
}

fn place(row: Row) -> (u32, u64) {
    (row.number() / PAGE, 1 << (row.number() % PAGE))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_of_rows_is_a_set() {
        let mut set = RowSet::default();
        let mut model = BTreeSet::new();
        let numbers = [5, 63, 64, 5, 0, 1000, u32::MAX, 64, 127, 128];
        for number in numbers {
            assert_eq!(set.insert(Row::from_number(number)), model.insert(number));
        }
        for number in [63, 6, 63, u32::MAX, 7000] {
            assert_eq!(set.remove(Row::from_number(number)), model.remove(&number));
        }
        assert!(set.iter().map(Row::number).eq(model.iter().copied()));
        assert_eq!((set.len(), set.is_empty()), (model.len(), false));
        let other = [0, 64, 3].map(Row::from_number);
        let mut others = RowSet::default();
        others.extend(other);
        let left: Vec<u32> = set.difference(&others).map(Row::number).collect();
        assert_eq!(left, [5, 127, 128, 1000]);
        for number in model {
            set.remove(Row::from_number(number));
        }
        assert!(set.is_empty() && set.pages.is_empty() && set.word == 0);
    }

    #[test]
    fn rare_rows_take_up_nothing_once_they_are_gone() {
        let (one, other) = (Row::from_number(7), Row::from_number(700));
        let mut rare = RareRows::default();
        assert!(rare.is_empty() && !rare.contains(one) && !rare.remove(one));
        assert!(rare.insert(one) && rare.insert(other) && !rare.insert(one));
        assert!(rare.iter().eq([one, other]) && rare.len() == 2);
        assert!(rare.remove(one) && !rare.remove(one) && rare.contains(other));
        assert!(rare.remove(other) && rare.0.is_none());
    }
}
