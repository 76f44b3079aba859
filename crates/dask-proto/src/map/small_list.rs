use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A list that costs no allocation while it has one element, as most have: the dependents of a
/// task, the holders of a result. It is a slice of its elements, and crosses a link like one.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum SmallList<T> {
    /// Nothing.
    #[default]
    Empty,
    /// One element.
    One(T),
    /// Any number of elements. Boxed, for there is one of these a task.
    Many(Box<Vec<T>>),
}

impl<T: Copy> SmallList<T> {
    /// Adds an element at the end.
    pub fn push(&mut self, item: T) {
        match self {
            Self::Empty => *self = Self::One(item),
            Self::One(one) => *self = Self::Many(Box::new(vec![*one, item])),
            Self::Many(many) => many.push(item),
        }
    }

    /// Adds an element at an index, before those that are there and behind it.
    ///
    /// # Panics
    ///
    /// If the index is beyond the end.
    pub fn insert(&mut self, index: usize, item: T) {
        match self {
            Self::Many(many) => many.insert(index, item),
            Self::One(one) if index == 0 => *self = Self::Many(Box::new(vec![item, *one])),
            Self::Empty | Self::One(_) => {
                assert_eq!(index, self.len(), "an index beyond the end of a list");
                self.push(item);
            }
        }
    }

    /// Keeps the elements that are to be kept, and gives back memory that is not needed.
    pub fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
        match self {
            Self::One(one) if !is_kept(one) => *self = Self::Empty,
            Self::Many(many) => {
                many.retain(is_kept);
                many.shrink_to(2 * many.len());
            }
            Self::Empty | Self::One(_) => {}
        }
    }
}

impl<T> Deref for SmallList<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Empty => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl<T> DerefMut for SmallList<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Empty => &mut [],
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(many) => many,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for SmallList<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

impl<T: Copy> Extend<T> for SmallList<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, items: I) {
        items.into_iter().for_each(|item| self.push(item));
    }
}

impl<T: Copy> FromIterator<T> for SmallList<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut list = Self::Empty;
        list.extend(items);
        list
    }
}

impl<T: Serialize> Serialize for SmallList<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&**self)
    }
}

impl<'de, T: Deserialize<'de> + Copy> Deserialize<'de> for SmallList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Copy> Visitor<'de> for Elements<T> {
            type Value = SmallList<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SmallList<T>, A::Error> {
                let mut list = SmallList::Empty;
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(list)
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_order_however_long_it_is() {
        let mut list = SmallList::default();
        for number in 0..5 {
            assert_eq!(list.len(), number);
            list.push(number);
            assert_eq!(list.last(), Some(&number));
        }
        list.retain(|number| number % 2 == 0);
        assert_eq!(*list, [0, 2, 4]);
        let mut one = SmallList::One(7);
        one.retain(|_| true);
        assert_eq!(*one, [7]);
        one.retain(|_| false);
        assert!(one.is_empty());
    }

    #[test]
    fn an_element_comes_where_it_is_put() {
        let mut list = SmallList::default();
        for number in [4, 1, 3, 2, 5] {
            let index = list.partition_point(|other| *other < number);
            list.insert(index, number);
        }
        list[4] += 1;
        assert_eq!(*list, [1, 2, 3, 4, 6]);
        let mut one = SmallList::One(1);
        one.insert(1, 2);
        assert_eq!(*one, [1, 2]);
    }

    #[test]
    fn a_list_crosses_a_link_like_any_other() {
        for number in 0..4_u32 {
            let list: SmallList<u32> = (0..number).collect();
            let bytes = crate::codec::encode_one(&list).expect("it encodes");
            let usual: Vec<u32> = (0..number).collect();
            assert_eq!(bytes, crate::codec::encode_one(&usual).expect("it encodes"));
            assert_eq!(crate::codec::decode_one::<SmallList<u32>>(&bytes).expect("a list"), list);
        }
    }
}
