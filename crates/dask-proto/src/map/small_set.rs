use std::collections::BTreeSet;
use std::collections::btree_set::Iter;

/// An ordered set that costs no allocation while it has one element, as nearly all do: the holds
/// on a key, the holders of a value.
#[derive(Debug, Default)]
pub enum SmallSet<T> {
    /// Nothing.
    #[default]
    Empty,
    /// One element.
    One(T),
    /// Any number of elements; does not shrink back. Boxed, for there is one of these a task.
    Many(Box<BTreeSet<T>>),
}

impl<T: Ord + Copy> SmallSet<T> {
    /// Adds an element; whether it is new.
    pub fn insert(&mut self, item: T) -> bool {
        match self {
            Self::Empty => {
                *self = Self::One(item);
                true
            }
            Self::One(one) if *one == item => false,
            Self::One(one) => {
                *self = Self::Many(Box::new([*one, item].into()));
                true
            }
            Self::Many(many) => many.insert(item),
        }
    }

    /// Takes an element out; whether it was there.
    pub fn remove(&mut self, item: T) -> bool {
        match self {
            Self::Empty => false,
            Self::One(one) if *one == item => {
                *self = Self::Empty;
                true
            }
            Self::One(_) => false,
            Self::Many(many) => many.remove(&item),
        }
    }

    /// Whether an element is in the set.
    pub fn contains(&self, item: T) -> bool {
        match self {
            Self::Empty => false,
            Self::One(one) => *one == item,
            Self::Many(many) => many.contains(&item),
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many(many) => many.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The elements in order.
    pub fn iter(&self) -> Elements<'_, T> {
        match self {
            Self::Empty => Elements::One(None),
            Self::One(one) => Elements::One(Some(*one)),
            Self::Many(many) => Elements::Many(many.iter()),
        }
    }
}

/// The elements of a [`SmallSet`]. Nearly always there is one.
#[derive(Debug)]
pub enum Elements<'a, T> {
    /// What is left of one.
    One(Option<T>),
    /// What is left of many.
    Many(Iter<'a, T>),
}

impl<T: Copy> Iterator for Elements<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        match self {
            Self::One(one) => one.take(),
            Self::Many(many) => many.next().copied(),
        }
    }
}
