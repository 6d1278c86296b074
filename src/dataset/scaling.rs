//! Scaling of features, fitted on the training part and applied to both.

use ndarray::{Array2, ArrayView1, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How features are scaled before a network sees them.
///
/// What is fitted is fitted on the training part alone, so a test value may fall outside of the range that the
/// training part fills. A feature that is constant in the training part becomes 0 in both parts, except under
/// [`Scaling::None`] and [`Scaling::Unit`], which fit nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scaling {
    /// The values of the files.
    None,
    /// Zero mean and unit (population) variance of each feature.
    #[default]
    Standard,
    /// The least training value of each feature becomes 0 and the greatest 1.
    MinMax,
    /// The least training value of each feature becomes -1 and the greatest 1.
    Symmetric,
    /// Every sample is divided by its Euclidean norm; a sample of zeros stays.
    Unit,
    /// As `min_max`, then to the nearest of the integers 0 to 255; test values outside are cut off at 0 and 255.
    Integer,
}

/// The greatest value of [`Scaling::Integer`].
const STEPS: f64 = 255.0;

/// The map of one feature: subtract `shift`, divide by `width`; a constant feature has no width.
struct Fit {
    shift: f64,
    width: Option<f64>,
}

impl Fit {
    fn standard(train: &ArrayView1<'_, f64>) -> Self {
        let n = train.len() as f64;
        let mean = train.iter().sum::<f64>() / n;
        let variance = train.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / n;
        // Rounding leaves a constant feature a tiny variance, hence the comparison of the values themselves.
        let constant = train.iter().all(|value| Some(value) == train.first());
        Self { shift: mean, width: Some(variance.sqrt()).filter(|width| !constant && *width > 0.0) }
    }

    fn range(train: &ArrayView1<'_, f64>) -> Self {
        let least = train.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = train.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Self { shift: least, width: Some(greatest - least).filter(|width| *width > 0.0) }
    }

    fn apply(&self, value: f64) -> f64 {
        self.width.map_or(0.0, |width| (value - self.shift) / width)
    }
}

impl Scaling {
    /// Scales both parts (samples x features) in place, by what `train` says.
    pub(crate) fn apply(self, train: &mut Array2<f64>, test: &mut Array2<f64>) {
        let fit = match self {
            Self::None => return,
            Self::Unit => {
                unit(train);
                unit(test);
                return;
            }
            Self::Standard => Fit::standard,
            Self::MinMax | Self::Symmetric | Self::Integer => Fit::range,
        };
        for (mut train, mut test) in train.axis_iter_mut(Axis(1)).zip(test.axis_iter_mut(Axis(1))) {
            let fit = fit(&train.view());
            let map = |value: f64| match self {
                Self::Symmetric => fit.width.map_or(0.0, |_| 2.0 * fit.apply(value) - 1.0),
                Self::Integer => (fit.apply(value) * STEPS).round().clamp(0.0, STEPS),
                _ => fit.apply(value),
            };
            train.mapv_inplace(map);
            test.mapv_inplace(map);
        }
    }
}

fn unit(samples: &mut Array2<f64>) {
    for mut sample in samples.rows_mut() {
        let norm = sample.iter().map(|value| value * value).sum::<f64>().sqrt();
        if norm > 0.0 {
            sample.mapv_inplace(|value| value / norm);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    /// A training part with a constant third feature, and a test part with outliers in all features.
    fn scaled(scaling: Scaling) -> (Array2<f64>, Array2<f64>) {
        let mut train = array![[1.0, -10.0, 0.1], [3.0, 30.0, 0.1], [5.0, 10.0, 0.1], [3.0, 10.0, 0.1]];
        let mut test = array![[1000.0, -10.0, 8.0], [-7.0, 1e6, 0.1]];
        scaling.apply(&mut train, &mut test);
        (train, test)
    }

    #[test]
    fn symmetric_is_twice_min_max_less_one_and_constants_are_zero() {
        let ((train, test), (unit, unit_test)) = (scaled(Scaling::Symmetric), scaled(Scaling::MinMax));
        for (found, unit) in [(train, unit), (test, unit_test)] {
            for (found, unit) in found.rows().into_iter().zip(unit.rows()) {
                assert_eq!(found.to_vec(), [2.0 * unit[0] - 1.0, 2.0 * unit[1] - 1.0, 0.0]);
            }
        }
    }

    #[test]
    fn standard_is_fitted_on_the_training_part_and_an_outlier_in_the_test_part_moves_nothing() {
        // Mean 3 and variance (4 + 0 + 4 + 0) / 4 = 2; mean 10 and variance (400 + 400) / 4 = 200.
        let (train, test) = scaled(Scaling::Standard);
        let (a, b) = (2.0_f64.sqrt(), 200.0_f64.sqrt());
        assert_eq!(
            train,
            array![[-2.0 / a, -20.0 / b, 0.0], [0.0, 20.0 / b, 0.0], [2.0 / a, 0.0, 0.0], [0.0; 3]]
        );
        assert_eq!(test, array![[997.0 / a, -20.0 / b, 0.0], [-10.0 / a, 999_990.0 / b, 0.0]]);
    }

    #[test]
    fn min_max_fills_zero_to_one_in_the_training_part_only() {
        let (train, test) = scaled(Scaling::MinMax);
        assert_eq!(train, array![[0.0, 0.0, 0.0], [0.5, 1.0, 0.0], [1.0, 0.5, 0.0], [0.5, 0.5, 0.0]]);
        assert_eq!(test, array![[249.75, 0.0, 0.0], [-2.0, 25_000.25, 0.0]]);
    }

    #[test]
    fn integer_gives_integers_of_one_byte_in_both_parts() {
        let (train, test) = scaled(Scaling::Integer);
        assert_eq!(
            train,
            array![[0.0, 0.0, 0.0], [128.0, 255.0, 0.0], [255.0, 128.0, 0.0], [128.0, 128.0, 0.0]]
        );
        assert_eq!(test, array![[255.0, 0.0, 0.0], [0.0, 255.0, 0.0]]);
    }

    #[test]
    fn unit_divides_each_sample_by_its_own_norm_and_spares_zeros() {
        let (mut train, mut test) = (array![[3.0, 4.0], [0.0, 0.0]], array![[-5.0, 12.0]]);
        Scaling::Unit.apply(&mut train, &mut test);
        assert_eq!(train, array![[0.6, 0.8], [0.0, 0.0]]);
        assert_eq!(test, array![[-5.0 / 13.0, 12.0 / 13.0]]);
    }

    #[test]
    fn none_leaves_the_values_of_the_files() {
        let (train, test) = scaled(Scaling::None);
        assert_eq!((train[[1, 1]], test[[1, 1]], test[[0, 2]]), (30.0, 1e6, 8.0));
    }

    #[test]
    fn scalings_are_written_in_snake_case_and_standard_is_the_default() {
        #[derive(Deserialize)]
        struct Holder {
            scaling: Vec<Scaling>,
        }
        let text = r#"scaling = ["none", "standard", "min_max", "unit", "integer"]"#;
        let holder: Holder = toml::from_str(text).unwrap();
        let all = [Scaling::None, Scaling::Standard, Scaling::MinMax, Scaling::Unit, Scaling::Integer];
        assert_eq!(holder.scaling, all);
        assert!(toml::from_str::<Holder>(r#"scaling = ["MinMax"]"#).is_err());
        assert_eq!(Scaling::default(), Scaling::Standard);
    }
}
