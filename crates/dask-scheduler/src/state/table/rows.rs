use std::ops::Deref;

use super::task::Row;

/// This many fit in the place of a pointer and its tag.
const FEW: usize = 3;

/// The dependencies of a task, which cost no allocation while they are few. It is a slice of rows.
#[derive(Debug)]
pub(in crate::state) enum Rows {
    Few {
        len: u8,
        rows: [Row; FEW],
    },
    /// Boxed, for there is one of these per task.
    #[expect(clippy::box_collection)]
    Many(Box<Vec<Row>>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Few { len: 0, rows: [Row::from_number(0); FEW] }
    }
}

impl FromIterator<Row> for Rows {
    fn from_iter<I: IntoIterator<Item = Row>>(all: I) -> Self {
        let mut all = all.into_iter();
        let (mut len, mut rows) = (0, [Row::from_number(0); FEW]);
        while let Some(row) = all.next() {
            if usize::from(len) == FEW {
                let mut many = rows.to_vec();
                many.push(row);
                many.extend(all);
                many.shrink_to_fit();
                return Self::Many(Box::new(many));
            }
            rows[usize::from(len)] = row;
            len += 1;
        }
        Self::Few { len, rows }
    }
}

impl Deref for Rows {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        match self {
            Self::Few { len, rows } => &rows[..usize::from(*len)],
            Self::Many(rows) => rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_what_they_were_made_of() {
        assert!(Rows::default().is_empty());
        for count in 0..10 {
            let all: Vec<Row> = (0..count).map(Row::from_number).collect();
            assert_eq!(*all.iter().copied().collect::<Rows>(), all);
        }
    }
}
