//! Sums over slots, and products of matrices that lie in slots.
//!
//! Vectors fill rows that rotate ([`Engine::row`]); where there are two, both hold and compute the same.

use super::{Engine, Of, SlotError, Slots};

impl<E: Engine> Slots<E> {
    /// The scale that a product with zeros and ones, or with a matrix, comes back to.
    fn kept(&self, ciphertext: &Of<E>, factor: f64) -> f64 {
        self.rules().product_scale(ciphertext.state.scale, factor)
    }

    /// In every slot the sum of `count` slots from there on; `count` is a power of two. Needs rotations by 1, 2, 4, ... times `stride`.
    ///
    /// # Errors
    /// [`crate::scheme::rlwe::RlweError::Rotation`] without a key.
    pub fn sum_slots(
        &self,
        evaluation: &E::Evaluation,
        ciphertext: &Of<E>,
        count: usize,
        stride: i64,
    ) -> Result<Of<E>, SlotError> {
        let mut sum = ciphertext.clone();
        for step in powers_of_two(count) {
            for rotated in self.rotate(evaluation, &sum, &[step * stride])? {
                sum = self.sum(&[(&sum, 1), (&rotated, 1)])?;
            }
        }
        Ok(sum)
    }

    /// Slots that are not 0 copied into the `count` - 1 slots after them, which must be 0; `count` is a power of two. Needs rotations by -1, -2,
    /// -4, ...
    ///
    /// # Errors
    /// [`crate::scheme::rlwe::RlweError::Rotation`] without a key.
    pub fn replicate(
        &self,
        evaluation: &E::Evaluation,
        ciphertext: &Of<E>,
        count: usize,
    ) -> Result<Of<E>, SlotError> {
        self.sum_slots(evaluation, ciphertext, count, -1)
    }

    /// Only the slots of a row for which `keep` says so.
    ///
    /// # Errors
    /// Where the levels do not suffice.
    pub fn mask(&self, ciphertext: &Of<E>, keep: impl Fn(usize) -> bool) -> Result<Of<E>, SlotError> {
        let values = self.rows(|slot| f64::from(u8::from(keep(slot))));
        self.multiply_vector(ciphertext, &values, self.kept(ciphertext, 1.0))
    }

    /// A vector of all slots that is the same in every row.
    fn rows(&self, value: impl Fn(usize) -> f64) -> Vec<f64> {
        let row = self.engine().row();
        (0..self.engine().slots()).map(|slot| value(slot % row)).collect()
    }

    /// The product of a square matrix of known numbers with a vector that repeats itself through the row; its length divides that of the row.
    /// The answer repeats itself too. By diagonals (Halevi and Shoup, CRYPTO 2014), in baby steps that share their rotation and giant ones;
    /// see [`matrix_steps`] for the keys. Entries have the scale `precision` in fixed-point arithmetic.
    ///
    /// # Errors
    /// [`SlotError::Length`] where the matrix is not square or does not fit, and like [`multiply_vector`](Self::multiply_vector).
    pub fn multiply_matrix(
        &self,
        evaluation: &E::Evaluation,
        matrix: ndarray::ArrayView2<'_, f64>,
        vector: &Of<E>,
        precision: f64,
    ) -> Result<Of<E>, SlotError> {
        let (count, row) = (matrix.nrows(), self.engine().row());
        if matrix.ncols() != count {
            return Err(SlotError::Length {
                what: "a matrix with rows",
                found: matrix.ncols(),
                expected: count,
            });
        }
        if count == 0 || !row.is_multiple_of(count) {
            return Err(SlotError::Length { what: "a vector", found: count, expected: row });
        }
        let baby = baby_steps(count);
        let steps: Vec<i64> = (0..).take(baby).collect();
        let babies = self.rotate_all(evaluation, vector, &steps)?;
        let mut giants: Vec<Of<E>> = Vec::new();
        for giant in (0..count).step_by(baby) {
            let mut terms = Vec::new();
            for (step, rotated) in babies.iter().enumerate().take(count - giant) {
                // The diagonal, turned back by the giant step that follows.
                let entry = |slot: usize| {
                    let line = (slot + count - giant % count) % count;
                    matrix[(line, (line + giant + step) % count)]
                };
                let target = self.kept(rotated, precision);
                terms.push(self.multiply_vector(rotated, &self.rows(entry), target)?);
            }
            let sum = self.sum(&terms.iter().map(|term| (term, 1)).collect::<Vec<_>>())?;
            let by = i64::try_from(giant).unwrap_or(i64::MAX);
            giants.extend(self.rotate_all(evaluation, &sum, &[by])?);
        }
        self.sum(&giants.iter().map(|giant| (giant, 1)).collect::<Vec<_>>())
    }

    /// Rotations of which that by 0 is none.
    fn rotate_all(
        &self,
        evaluation: &E::Evaluation,
        ciphertext: &Of<E>,
        steps: &[i64],
    ) -> Result<Vec<Of<E>>, SlotError> {
        let moving: Vec<i64> = steps.iter().copied().filter(|step| *step != 0).collect();
        let mut rotated =
            if moving.is_empty() { Vec::new() } else { self.rotate(evaluation, ciphertext, &moving)? };
        if steps.contains(&0) {
            rotated.insert(0, ciphertext.clone());
        }
        Ok(rotated)
    }
}

fn powers_of_two(count: usize) -> impl Iterator<Item = i64> {
    std::iter::successors(Some(1_i64), |step| Some(2 * step)).take(count.max(1).ilog2() as usize)
}

fn baby_steps(count: usize) -> usize {
    // As many baby steps as giant ones: the former are hoisted, so rather more of them.
    count.isqrt().next_power_of_two().min(count.max(1))
}

/// The rotations that [`Slots::multiply_matrix`] takes for a matrix with so many rows.
pub fn matrix_steps(count: usize) -> Vec<i64> {
    let baby = baby_steps(count);
    let steps = (1..baby).chain((baby..count).step_by(baby));
    steps.map(|step| i64::try_from(step).unwrap_or(i64::MAX)).collect()
}

/// Products of two encrypted matrices `X Vᵀ` that lie row by row in slots ("Volley Revolver", Chiang 2022): V revolves row by row while X
/// stays, and every turn yields a diagonal of the product.
#[derive(Debug, Clone, Copy)]
pub struct VolleyRevolver {
    /// Rows of both matrices; a power of two.
    pub rows: usize,
    /// Slots between the starts of rows, a power of two: columns beyond the matrix are zeros. Times `rows` it is the length of the row that rotates.
    pub stride: usize,
}

impl VolleyRevolver {
    /// The rotations that it takes.
    pub fn steps(self) -> Vec<i64> {
        let within = powers_of_two(self.stride).flat_map(|step| [step, -step]);
        let turns = (1..self.rows).map(|turn| i64::try_from(turn * self.stride).unwrap_or(i64::MAX));
        let mut steps: Vec<i64> = within.chain(turns).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    /// `X Vᵀ` of the first `columns` rows of V: row i has its numbers in columns 0 to `columns` - 1.
    ///
    /// # Errors
    /// [`SlotError::Length`] where the matrices do not fill the row, and where the levels do not suffice.
    pub fn product<E: Engine>(
        self,
        slots: &Slots<E>,
        evaluation: &E::Evaluation,
        x: &Of<E>,
        v: &Of<E>,
        columns: usize,
    ) -> Result<Of<E>, SlotError> {
        let Self { rows, stride } = self;
        let row = slots.engine().row();
        if rows * stride != row {
            return Err(SlotError::Length { what: "matrices", found: rows * stride, expected: row });
        }
        if columns > rows.min(stride) {
            return Err(SlotError::Length { what: "columns", found: columns, expected: rows.min(stride) });
        }
        let steps: Vec<i64> =
            (0..rows).map(|turn| i64::try_from(turn * stride).unwrap_or(i64::MAX)).collect();
        let mut sum: Option<Of<E>> = None;
        for (turn, revolved) in slots.rotate_all(evaluation, v, &steps)?.into_iter().enumerate() {
            let product = slots.multiply(evaluation, x, &revolved)?;
            // In the first column of row i: the product of rows i of X and i + turn of V.
            let product = slots.sum_slots(evaluation, &product, stride, 1)?;
            let product = slots.mask(&product, |slot| slot % stride == 0)?;
            let product = slots.replicate(evaluation, &product, stride)?;
            let product = slots.mask(&product, |slot| {
                let column = (slot / stride + turn) % rows;
                slot % stride == column && column < columns
            })?;
            sum = Some(match sum {
                None => product,
                Some(sum) => slots.sum(&[(&sum, 1), (&product, 1)])?,
            });
        }
        sum.ok_or(SlotError::Empty)
    }
}
