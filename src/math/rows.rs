//! Rows of integers, each with its column: the exponents of products of powers and the weights of sums, of which all may be there or few.

use num_bigint::{BigInt, Sign};

/// An integer and the column that it stands in.
pub type Term<'a> = (usize, &'a BigInt);

/// Sparse rows of one length. What is not a term of a row is zero.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    columns: usize,
    /// where each row begins in `terms`, and the end of all
    starts: Vec<usize>,
    terms: Vec<Term<'a>>,
}

impl<'a> Rows<'a> {
    /// No rows of so many columns yet.
    pub fn new(columns: usize) -> Self {
        Self { columns, starts: vec![0], terms: Vec::new() }
    }

    /// Rows in which every column is a term: as many as the first row has.
    pub fn dense(rows: &[&'a [BigInt]]) -> Self {
        let mut all = Self::new(rows.first().map_or(0, |row| row.len()));
        for row in rows {
            all.terms.extend(row.iter().enumerate().take(all.columns));
            all.starts.push(all.terms.len());
        }
        all
    }

    /// Adds a row, whose terms stand in ascending columns.
    ///
    /// # Errors
    /// [`NotInOrder`] where they do not, or where there is no such column; then nothing is added.
    pub fn push(&mut self, terms: impl IntoIterator<Item = Term<'a>>) -> Result<(), NotInOrder> {
        let start = self.terms.len();
        self.terms.extend(terms);
        let row = &self.terms[start..];
        let is_ordered = row.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if let Some(&(last, _)) = row.last()
            && !(is_ordered && last < self.columns)
        {
            self.terms.truncate(start);
            return Err(NotInOrder { columns: self.columns });
        }
        self.starts.push(self.terms.len());
        Ok(())
    }

    /// How many columns there are, terms or not.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every row has a term in every column.
    pub fn is_full(&self) -> bool {
        self.terms.len() == self.len() * self.columns
    }

    /// The rows.
    pub fn iter(&self) -> impl Iterator<Item = &[Term<'a>]> + Clone {
        self.starts.windows(2).map(|ends| &self.terms[ends[0]..ends[1]])
    }

    /// The terms of all rows.
    pub fn terms(&self) -> &[Term<'a>] {
        &self.terms
    }

    /// The most terms of a row.
    pub fn longest(&self) -> usize {
        self.iter().map(<[_]>::len).max().unwrap_or(0)
    }

    /// Whether any integer is negative.
    pub fn any_negative(&self) -> bool {
        self.terms.iter().any(|(_, integer)| integer.sign() == Sign::Minus)
    }

    /// So many inputs as samples of as many as there are columns; where there are no columns there is one sample.
    pub fn samples(&self, inputs: usize) -> usize {
        inputs.checked_div(self.columns).unwrap_or(1)
    }
}

/// Terms that are not in ascending columns, or beyond the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the terms of a row must stand in ascending columns, each below {columns}")]
pub struct NotInOrder {
    /// of the rows
    pub columns: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_what_is_in_order_and_refuse_the_rest() {
        let [one, two] = [1, -2].map(BigInt::from);
        let mut rows = Rows::new(3);
        rows.push([(0, &one), (2, &two)]).unwrap();
        rows.push([]).unwrap();
        for wrong in [[(1, &one), (1, &two)], [(2, &one), (0, &two)], [(0, &one), (3, &two)]] {
            assert_eq!(rows.push(wrong), Err(NotInOrder { columns: 3 }));
        }
        assert_eq!((rows.len(), rows.longest(), rows.terms().len()), (2, 2, 2));
        assert!(rows.any_negative() && !rows.is_full());
        assert_eq!([rows.samples(6), Rows::new(0).samples(0)], [2, 1]);
        let full = [one, two];
        let full = Rows::dense(&[&full, &full[..]]);
        assert!(full.is_full() && full.columns() == 2 && full.iter().all(|row| row.len() == 2));
    }
}
