//! The training and the test part of a data set.

use ndarray::{Array2, s};
use rand::seq::SliceRandom;

use super::{Dataset, DatasetError, Samples, Scaling, Split};
use crate::math::stream::Stream;

impl Dataset {
    /// Splits the set and scales both parts by what the training part says.
    ///
    /// A set that was published in one piece is split by class: the test part has `round(rows * test_fraction)` rows,
    /// shared out among the classes by the largest remainder (the lower class first among equals), drawn and ordered
    /// at random from `stream` alone. A set with a published test part keeps it, in its order, whatever the fraction;
    /// only its training part is shuffled.
    ///
    /// # Errors
    /// [`DatasetError::Fraction`] for a fraction that is not strictly between 0 and 1, [`DatasetError::EmptyPart`]
    /// where a part would have no rows.
    pub fn split(
        &self,
        test_fraction: f64,
        scaling: Scaling,
        stream: &Stream,
    ) -> Result<Split, DatasetError> {
        self.clone().into_split(test_fraction, scaling, stream)
    }

    /// As [`Dataset::split`], with the memory of the set for its parts: only the test part is copied.
    ///
    /// # Errors
    /// Those of [`Dataset::split`].
    pub fn into_split(
        self,
        test_fraction: f64,
        scaling: Scaling,
        stream: &Stream,
    ) -> Result<Split, DatasetError> {
        let (mut order, test) = self.partition(test_fraction, stream)?;
        let train_rows = order.len();
        order.extend(test);
        let Self { features, labels, .. } = self;
        // Rows one after the other, as every reader leaves them.
        let mut features =
            if features.is_standard_layout() { features } else { features.as_standard_layout().into_owned() };
        reorder(&mut features, &order);
        let mut labels: Vec<_> = order.iter().map(|&row| labels[row]).collect();
        let test_labels = labels.split_off(train_rows);
        let test_features = features.slice(s![train_rows.., ..]).to_owned();
        let columns = features.ncols();
        let (mut values, offset) = features.into_raw_vec_and_offset();
        values.drain(..offset.unwrap_or(0));
        values.truncate(train_rows * columns);
        values.shrink_to_fit();
        let train_features = Array2::from_shape_vec((train_rows, columns), values).map_err(|_| {
            DatasetError::EmptyPart { test_rows: order.len() - train_rows, rows: order.len() }
        })?;
        let mut train = Samples { features: train_features, labels };
        let mut test = Samples { features: test_features, labels: test_labels };
        scaling.apply(&mut train.features, &mut test.features);
        Ok(Split { train, test })
    }

    /// The rows of the training and of the test part.
    fn partition(&self, fraction: f64, stream: &Stream) -> Result<(Vec<usize>, Vec<usize>), DatasetError> {
        if !(fraction > 0.0 && fraction < 1.0) {
            return Err(DatasetError::Fraction { fraction });
        }
        let rows = self.len();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a fraction of a number of rows is between 0 and that number"
        )]
        let test_rows = self.test_rows.unwrap_or_else(|| (rows as f64 * fraction).round() as usize);
        if test_rows == 0 || test_rows >= rows {
            return Err(DatasetError::EmptyPart { test_rows, rows });
        }
        let order = |label, mut rows: Vec<usize>| {
            rows.shuffle(&mut stream.derive(label).rng());
            rows
        };
        if self.test_rows.is_some() {
            let boundary = rows - test_rows;
            return Ok((order("train-order", (0..boundary).collect()), (boundary..rows).collect()));
        }
        let (mut train, mut test) = (Vec::new(), Vec::new());
        let draw = stream.derive("draw");
        for ((class, quota), index) in
            quotas(&self.class_counts(), test_rows).into_iter().enumerate().zip(0..)
        {
            let mut members: Vec<_> = (0..rows).filter(|&row| self.labels[row] == class).collect();
            members.shuffle(&mut draw.item(index).rng());
            test.extend(members.drain(..quota));
            train.append(&mut members);
        }
        // By class until here, which no stochastic training wants.
        Ok((order("train-order", train), order("test-order", test)))
    }
}

/// Puts the rows of `features` into this order, of which every row is part once, without a second array.
fn reorder(features: &mut Array2<f64>, order: &[usize]) {
    let mut done = vec![false; order.len()];
    for start in 0..order.len() {
        // Along the cycle that `start` is part of: each row is taken from where the order has it, and the first, which is
        // overwritten at once, is kept for the last.
        if done[start] {
            continue;
        }
        let first = features.row(start).to_owned();
        let mut row = start;
        loop {
            done[row] = true;
            let source = order[row];
            if source == start {
                features.row_mut(row).assign(&first);
                break;
            }
            let (mut target, source_row) = features.multi_slice_mut((s![row, ..], s![source, ..]));
            target.assign(&source_row);
            row = source;
        }
    }
}

/// Shares `total` out among classes in proportion to `counts`, by the largest remainder; ties go to the lower class.
///
/// No class gets more than it has, as long as `total` is at most the sum of `counts`.
fn quotas(counts: &[usize], total: usize) -> Vec<usize> {
    let sum = counts.iter().map(|&count| count as u128).sum::<u128>().max(1);
    let share = |count: usize| count as u128 * total as u128;
    let mut quotas: Vec<_> =
        counts.iter().map(|&count| usize::try_from(share(count) / sum).unwrap_or(usize::MAX)).collect();
    let mut classes: Vec<_> = (0..counts.len()).collect();
    classes.sort_by_key(|&class| std::cmp::Reverse(share(counts[class]) % sum));
    let rest = total.saturating_sub(quotas.iter().sum());
    for &class in classes.iter().take(rest) {
        quotas[class] += 1;
    }
    quotas
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A set whose only feature is the number of the row, so that every sample tells where it is from.
    fn numbered(counts: &[usize], test_rows: Option<usize>) -> Dataset {
        let labels: Vec<_> = counts.iter().enumerate().flat_map(|(class, &n)| vec![class; n]).collect();
        Dataset {
            name: "numbered".into(),
            features: Array2::from_shape_fn((labels.len(), 1), |(row, _)| row as f64),
            labels,
            classes: counts.len(),
            class_names: (0..counts.len()).map(|class| class.to_string()).collect(),
            digest: String::new(),
            test_rows,
            picture: None,
        }
    }

    fn split(dataset: &Dataset, fraction: f64, seed: u64) -> Split {
        dataset.split(fraction, Scaling::None, &Stream::seeded(seed)).unwrap()
    }

    fn rows(samples: &Samples) -> Vec<f64> {
        samples.features.column(0).to_vec()
    }

    fn count(samples: &Samples, class: usize) -> usize {
        samples.labels.iter().filter(|&&label| label == class).count()
    }

    #[test]
    fn every_class_is_shared_out_in_proportion() {
        let split = split(&numbered(&[500, 268], None), 0.2, 1);
        // round(153.6) = 154; 500 * 154 / 768 = 100.26 and 268 * 154 / 768 = 53.74, so the second takes the last one.
        assert_eq!((count(&split.test, 0), count(&split.test, 1)), (100, 54));
        assert_eq!((count(&split.train, 0), count(&split.train, 1)), (400, 214));
    }

    #[test]
    fn largest_remainders_round_up_and_ties_go_to_the_lower_class() {
        assert_eq!(quotas(&[50, 50, 50], 31), [11, 10, 10]);
        assert_eq!(quotas(&[88, 12], 33), [29, 4]);
        assert_eq!(quotas(&[1, 1, 98], 10), [0, 0, 10]);
        assert_eq!(quotas(&[0, 7], 7), [0, 7]);
        assert_eq!(quotas(&[], 0), Vec::<usize>::new());
    }

    #[test]
    fn the_parts_are_disjoint_and_together_the_whole_set_with_its_labels() {
        let dataset = numbered(&[40, 30, 31], None);
        let split = split(&dataset, 0.3, 7);
        assert_eq!((split.train.len(), split.test.len()), (71, 30));
        let mut all = [rows(&split.train), rows(&split.test)].concat();
        for samples in [&split.train, &split.test] {
            for (row, &label) in rows(samples).into_iter().zip(&samples.labels) {
                assert_eq!(
                    label,
                    if row < 40.0 {
                        0
                    } else if row < 70.0 {
                        1
                    } else {
                        2
                    }
                );
            }
        }
        all.sort_by(f64::total_cmp);
        assert_eq!(all, (0..101).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn the_split_hangs_on_the_stream_alone() {
        let dataset = numbered(&[40, 30, 31], None);
        let first = split(&dataset, 0.3, 7);
        let stream = Stream::seeded(7);
        let _ = (stream.derive("something else").seed_u64(), stream.seed_u64());
        let scaled = dataset.split(0.3, Scaling::MinMax, &stream).unwrap();
        assert_eq!(split(&dataset, 0.3, 7), first);
        assert_eq!(scaled.train.labels, first.train.labels);
        assert_eq!(scaled.test.labels, first.test.labels);
        let set = |split: &Split| rows(&split.test).iter().map(|row| row.to_bits()).collect::<BTreeSet<_>>();
        assert_ne!(set(&split(&dataset, 0.3, 8)), set(&first));
    }

    #[test]
    fn neither_part_is_left_sorted_by_class() {
        let split = split(&numbered(&[60, 60], None), 0.5, 3);
        for samples in [&split.train, &split.test] {
            let changes = samples.labels.windows(2).filter(|pair| pair[0] != pair[1]).count();
            assert!(changes > 10, "{:?}", samples.labels);
        }
    }

    #[test]
    fn a_published_test_part_keeps_its_rows_and_their_order() {
        let dataset = numbered(&[10, 20], Some(5));
        let split = split(&dataset, 0.9, 1);
        assert_eq!(rows(&split.test), [25.0, 26.0, 27.0, 28.0, 29.0]);
        let mut train = rows(&split.train);
        assert_ne!(train, (0..25).map(f64::from).collect::<Vec<_>>(), "the training part is shuffled");
        train.sort_by(f64::total_cmp);
        assert_eq!(train, (0..25).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn scaling_is_fitted_on_the_training_part_of_the_split() {
        let mut dataset = numbered(&[2, 2], Some(1));
        dataset.features = ndarray::array![[0.0], [4.0], [2.0], [1000.0]];
        let split = dataset.split(0.5, Scaling::MinMax, &Stream::seeded(1)).unwrap();
        let mut train = rows(&split.train);
        train.sort_by(f64::total_cmp);
        assert_eq!((train, rows(&split.test)), (vec![0.0, 0.5, 1.0], vec![250.0]));
    }

    #[test]
    fn fractions_out_of_range_and_empty_parts_are_refused() {
        let attempt =
            |dataset: &Dataset, fraction| dataset.split(fraction, Scaling::None, &Stream::seeded(1));
        let dataset = numbered(&[5, 5], None);
        for fraction in [0.0, 1.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert!(matches!(attempt(&dataset, fraction), Err(DatasetError::Fraction { .. })), "{fraction}");
        }
        assert!(matches!(attempt(&dataset, 0.01), Err(DatasetError::EmptyPart { test_rows: 0, rows: 10 })));
        assert!(matches!(attempt(&dataset, 0.99), Err(DatasetError::EmptyPart { test_rows: 10, rows: 10 })));
        assert!(matches!(attempt(&numbered(&[0, 0], None), 0.5), Err(DatasetError::EmptyPart { .. })));
        assert!(matches!(attempt(&numbered(&[3], Some(4)), 0.5), Err(DatasetError::EmptyPart { .. })));
    }

    proptest! {
        #[test]
        fn a_reordered_array_has_the_rows_of_the_order(order in (1_usize..40).prop_flat_map(|rows| {
            Just((0..rows).collect::<Vec<_>>()).prop_shuffle()
        })) {
            let mut features = Array2::from_shape_fn((order.len(), 3), |(row, column)| (10 * row + column) as f64);
            let expected = features.select(ndarray::Axis(0), &order);
            reorder(&mut features, &order);
            prop_assert_eq!(features, expected);
        }

        #[test]
        fn quotas_add_up_and_stay_within_one_of_the_exact_share(
            counts in proptest::collection::vec(0_usize..500, 1..12),
            fraction in 0.0_f64..=1.0,
        ) {
            let sum: usize = counts.iter().sum();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction of a small number")]
            let total = (sum as f64 * fraction).round() as usize;
            let quotas = quotas(&counts, total);
            prop_assert_eq!(quotas.iter().sum::<usize>(), total);
            for (&quota, &count) in quotas.iter().zip(&counts) {
                prop_assert!(quota <= count);
                let exact = count as f64 * total as f64 / (sum.max(1)) as f64;
                prop_assert!((quota as f64 - exact).abs() < 1.0);
            }
        }
    }
}
