use std::collections::BTreeMap;

/// Ids on one page. A peer that scatters its ids pays with a page each, which is small enough to
/// do no harm.
const PAGE: usize = 64;

/// A map from ids that are counted up, such as those of futures: neighbours share a page, so a
/// million of them cost little more than their values, and going through them in order costs
/// hardly a cache miss. Ids that are not counted up are right as well, and take more memory.
#[derive(Debug, Clone)]
pub struct Table<T> {
    /// The pages that have values, but for the open one.
    pages: BTreeMap<u64, Page<T>>,
    /// The page that was changed last: the next change is mostly to the same.
    open: Option<(u64, Page<T>)>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Page<T> {
    slots: Box<[Option<T>]>,
    used: usize,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { pages: BTreeMap::new(), open: None, len: 0 }
    }
}

impl<T> Table<T> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of an id.
    #[must_use]
    pub fn get(&self, id: u64) -> Option<&T> {
        let (page, slot) = place(id);
        match &self.open {
            Some((open, entry)) if *open == page => entry.slots[slot].as_ref(),
            _ => self.pages.get(&page)?.slots[slot].as_ref(),
        }
    }

    /// The value of an id, to be changed.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        let (page, slot) = place(id);
        match &mut self.open {
            Some((open, entry)) if *open == page => entry.slots[slot].as_mut(),
            _ => self.pages.get_mut(&page)?.slots[slot].as_mut(),
        }
    }

    /// Gives an id a value, and returns the one that it had.
    pub fn insert(&mut self, id: u64, value: T) -> Option<T> {
        let (page, slot) = place(id);
        let entry = match &mut self.open {
            Some((open, entry)) if *open == page => entry,
            _ => self.turn_to(page),
        };
        let previous = entry.slots[slot].replace(value);
        if previous.is_none() {
            entry.used += 1;
            self.len += 1;
        }
        previous
    }

    /// Takes the value of an id out.
    pub fn remove(&mut self, id: u64) -> Option<T> {
        let (page, slot) = place(id);
        let entry = match &mut self.open {
            Some((open, entry)) if *open == page => entry,
            _ if !self.pages.contains_key(&page) => return None,
            _ => self.turn_to(page),
        };
        let value = entry.slots[slot].take()?;
        entry.used -= 1;
        if entry.used == 0 {
            self.open = None;
        }
        self.len -= 1;
        Some(value)
    }

    /// All ids and their values, by id.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let open = self.open.as_ref().map(|(page, entry)| (page, entry));
        let at = open.map_or(0, |(page, _)| *page);
        let pages = self.pages.range(..at).chain(open).chain(self.pages.range(at..));
        pages.flat_map(|(page, entry)| {
            let ids = page * PAGE as u64..;
            ids.zip(&entry.slots).filter_map(|(id, slot)| Some((id, slot.as_ref()?)))
        })
    }

    /// All ids and their values, by id; the table is empty afterwards.
    pub fn drain(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        self.len = 0;
        let mut pages = std::mem::take(&mut self.pages);
        pages.extend(self.open.take());
        pages.into_iter().flat_map(|(page, entry)| {
            let ids = page * PAGE as u64..;
            ids.zip(entry.slots).filter_map(|(id, slot)| Some((id, slot?)))
        })
    }

    /// Opens a page, with what is on it.
    fn turn_to(&mut self, page: u64) -> &mut Page<T> {
        let entry = self.pages.remove(&page).unwrap_or_else(|| {
            let slots = std::iter::repeat_with(|| None).take(PAGE).collect();
            Page { slots, used: 0 }
        });
        if let Some((last, its)) = self.open.take() {
            self.pages.insert(last, its);
        }
        &mut self.open.insert((page, entry)).1
    }
}

fn place(id: u64) -> (u64, usize) {
    (id / PAGE as u64, (id % PAGE as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_map_in_the_order_of_its_ids() {
        let ids = [3, 0, 63, 64, 65, 1 << 40, u64::MAX, 127, 128];
        let mut table = Table::default();
        let mut map = BTreeMap::new();
        for (value, id) in ids.into_iter().chain(ids).enumerate() {
            assert_eq!(table.insert(id, value), map.insert(id, value));
            assert_eq!(table.len(), map.len());
        }
        for id in [0, 64, 64, 5, 1 << 41, u64::MAX] {
            assert_eq!(table.remove(id), map.remove(&id));
            assert_eq!(table.get(id), None);
        }
        if let (Some(mine), Some(theirs)) = (table.get_mut(63), map.get_mut(&63)) {
            *mine += 1;
            *theirs += 1;
        }
        assert!(table.iter().eq(map.iter().map(|(id, value)| (*id, value))));
        assert!(table.drain().eq(map));
        assert!(table.is_empty() && table.pages.is_empty() && table.open.is_none());
    }

    #[test]
    fn pages_that_are_empty_are_given_back() {
        let mut table = Table::default();
        for id in 0..100_000 {
            table.insert(id, id);
            if id >= 10 {
                assert_eq!(table.remove(id - 10), Some(id - 10));
            }
            assert!(table.pages.len() <= 2);
        }
        assert_eq!(table.len(), 10);
    }
}
