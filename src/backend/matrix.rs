//! Linear maps of a backend's numbers, in sparse rows: full ones for dense layers, short ones for convolutions and means.

/// A linear map: each row's terms, in ascending columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix<N> {
    /// Numbers that it takes.
    pub columns: usize,
    /// For each number that it makes the columns that it takes, with their factors.
    pub rows: Vec<Vec<(usize, N)>>,
}

impl<N> Matrix<N> {
    /// The factors, row by row.
    pub fn values(&self) -> impl Iterator<Item = &N> {
        self.rows.iter().flatten().map(|(_, value)| value)
    }

    /// The factors, row by row.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut N> {
        self.rows.iter_mut().flatten().map(|(_, value)| value)
    }
}

impl<N: Clone> Matrix<N> {
    /// Rows become columns.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let mut rows = vec![Vec::new(); self.columns];
        for (index, row) in self.rows.iter().enumerate() {
            for (column, value) in row {
                if let Some(row) = rows.get_mut(*column) {
                    row.push((index, value.clone()));
                }
            }
        }
        Self { columns: self.rows.len(), rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twice_transposed_it_is_as_before() {
        let matrix = Matrix { columns: 3, rows: vec![vec![(0, 1), (2, 2)], vec![], vec![(2, 3)]] };
        let transposed = matrix.transposed();
        assert_eq!(transposed.rows, [vec![(0, 1)], vec![], vec![(0, 2), (2, 3)]]);
        assert_eq!(transposed.transposed(), matrix);
        assert_eq!(matrix.values().copied().collect::<Vec<_>>(), [1, 2, 3]);
    }
}
