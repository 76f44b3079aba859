use std::ops::Deref;

/// A list that costs no allocation while it has one element, as most have: the dependents of a
/// task. It is a slice of its elements.
#[derive(Debug, Default)]
pub(super) enum SmallList<T> {
    /// Nothing.
    #[default]
    Empty,
    /// One element.
    One(T),
    /// Any number of elements. Boxed, for there is one of these per task.
    #[expect(clippy::box_collection)]
    Many(Box<Vec<T>>),
}

impl<T: Copy> SmallList<T> {
    /// Adds an element at the end.
    pub(super) fn push(&mut self, item: T) {
        match self {
            Self::Empty => *self = Self::One(item),
            Self::One(one) => *self = Self::Many(Box::new(vec![*one, item])),
            Self::Many(many) => many.push(item),
        }
    }

    /// Keeps the elements that are to be kept, and gives back memory that is not needed.
    pub(super) fn retain(&mut self, mut is_kept: impl FnMut(&T) -> bool) {
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
}
