//! What can be drawn, and errors that say why the rest cannot.

use super::{Axis, Chart, Mark, Scale, Series};
use resvg::usvg;

/// Why a chart cannot be drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// There is nothing to draw.
    #[error("the chart has no series; it needs at least one")]
    NoSeries,
    /// A series is empty.
    #[error("series \"{series}\" has no points; it needs at least one")]
    EmptySeries {
        /// Name of the series.
        series: String,
    },
    /// A coordinate or error is infinite or not a number.
    #[error("point {point} of series \"{series}\" has {quantity} {value}, which must be finite")]
    NotFinite {
        /// Name of the series.
        series: String,
        /// Index of the point.
        point: usize,
        /// Which number it is: "x", "y" or "error".
        quantity: &'static str,
        /// The number.
        value: f64,
    },
    /// A coordinate lies outside its axis, or an error is negative.
    #[error(
        "point {point} of series \"{series}\" has {quantity} {value}, which must be from {low} to {high}"
    )]
    OutOfRange {
        /// Name of the series.
        series: String,
        /// Index of the point.
        point: usize,
        /// Which number it is: "x", "y" or "error".
        quantity: &'static str,
        /// The number.
        value: f64,
        /// Least permitted number.
        low: f64,
        /// Greatest permitted number.
        high: f64,
    },
    /// A number on a logarithmic axis has no logarithm.
    #[error(
        "point {point} of series \"{series}\" has {quantity} {value}, which must be above 0 on a logarithmic axis"
    )]
    NotPositive {
        /// Name of the series.
        series: String,
        /// Index of the point.
        point: usize,
        /// Which number it is: "x" or "y".
        quantity: &'static str,
        /// The number.
        value: f64,
    },
    /// A position on an axis of categories names none of them.
    #[error(
        "point {point} of series \"{series}\" has x {value}, which must be a whole number below {categories}"
    )]
    NoSuchCategory {
        /// Name of the series.
        series: String,
        /// Index of the point.
        point: usize,
        /// The position.
        value: f64,
        /// Number of categories.
        categories: usize,
    },
    /// A series has two bars in one category, of which one would hide the other.
    #[error("series \"{series}\" has more than one bar in category \"{category}\"; it may have at most one")]
    RepeatedBar {
        /// Name of the series.
        series: String,
        /// Name of the category.
        category: String,
    },
    /// Bars need an x axis of categories.
    #[error("series \"{series}\" has bars, but the x axis has no categories; it needs at least one")]
    BarsNeedCategories {
        /// Name of the series.
        series: String,
    },
    /// Only the x axis takes categories.
    #[error("the y axis has {count} categories, but must have 0")]
    CategoriesOnY {
        /// Number of categories given.
        count: usize,
    },
    /// The range of an axis is empty, reversed, too narrow to tell its ends apart, or not of the numbers that its scale
    /// can show.
    #[error(
        "the {axis} axis ranges from {low} to {high}; it must grow by more than a billionth, with {permitted}"
    )]
    InvalidRange {
        /// Which axis: "x" or "y".
        axis: &'static str,
        /// First number of the range.
        low: f64,
        /// Last number of the range.
        high: f64,
        /// Numbers that the ends may be.
        permitted: &'static str,
    },
    /// The chart is too large for an image.
    #[error(
        "an image of {width} x {height} pixels is too large to be drawn; fewer categories make it narrower"
    )]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// The drawing library failed.
    #[error("the chart could not be drawn: {message}")]
    Drawing {
        /// What the library says.
        message: String,
    },
    /// A text holds a character that cannot be in an SVG, such as a control character.
    #[error("the chart is not a valid SVG; every text must be free of control characters")]
    Svg(#[from] usvg::Error),
}

/// Bound on the absolute value of every number in a chart, far from where differences overflow.
const LARGEST: f64 = 1e100;

impl Chart {
    /// Whether the chart can be drawn.
    pub(super) fn check(&self) -> Result<(), ChartError> {
        if self.series.is_empty() {
            return Err(ChartError::NoSeries);
        }
        if !self.y.categories.is_empty() {
            return Err(ChartError::CategoriesOnY { count: self.y.categories.len() });
        }
        if self.x.categories.is_empty() {
            self.x.check_range("x")?;
        }
        self.y.check_range("y")?;
        self.series.iter().try_for_each(|series| self.check_series(series))
    }

    fn check_series(&self, series: &Series) -> Result<(), ChartError> {
        let name = || series.name.clone();
        if series.points.is_empty() {
            return Err(ChartError::EmptySeries { series: name() });
        }
        if series.mark == Mark::Bar && self.x.categories.is_empty() {
            return Err(ChartError::BarsNeedCategories { series: name() });
        }
        let mut taken = vec![false; self.x.categories.len()];
        for (index, point) in series.points.iter().enumerate() {
            let error = Axis { range: Some((0.0, LARGEST)), ..Axis::default() };
            check_number(&error, "error", point.error.unwrap_or(0.0), series, index)?;
            check_number(&self.y, "y", point.y, series, index)?;
            if self.x.categories.is_empty() {
                check_number(&self.x, "x", point.x, series, index)?;
                continue;
            }
            #[expect(clippy::float_cmp, reason = "the position of a category is its index, exactly")]
            let found = (0..taken.len()).zip(&self.x.categories).find(|&(at, _)| at as f64 == point.x);
            let Some((at, category)) = found else {
                let categories = taken.len();
                return Err(ChartError::NoSuchCategory {
                    series: name(),
                    point: index,
                    value: point.x,
                    categories,
                });
            };
            if taken[at] && series.mark == Mark::Bar {
                return Err(ChartError::RepeatedBar { series: name(), category: category.clone() });
            }
            taken[at] = true;
        }
        Ok(())
    }
}

impl Axis {
    fn check_range(&self, axis: &'static str) -> Result<(), ChartError> {
        let Some((low, high)) = self.range else {
            return Ok(());
        };
        let (least, permitted) = match self.scale {
            Scale::Linear => (-LARGEST, "ends from -1e100 to 1e100"),
            Scale::Logarithmic => (1.0 / LARGEST, "ends from 1e-100 to 1e100"),
        };
        let wide = high - low > 1e-9 * low.abs().max(high.abs());
        if wide && low >= least && high <= LARGEST {
            return Ok(());
        }
        Err(ChartError::InvalidRange { axis, low, high, permitted })
    }
}

fn check_number(
    axis: &Axis,
    quantity: &'static str,
    value: f64,
    series: &Series,
    point: usize,
) -> Result<(), ChartError> {
    let series = || series.name.clone();
    if !value.is_finite() {
        return Err(ChartError::NotFinite { series: series(), point, quantity, value });
    }
    if axis.scale == Scale::Logarithmic && value <= 0.0 {
        return Err(ChartError::NotPositive { series: series(), point, quantity, value });
    }
    let least = if axis.scale == Scale::Logarithmic { 1.0 / LARGEST } else { -LARGEST };
    let (low, high) = axis.range.unwrap_or((least, LARGEST));
    if value < low || value > high {
        return Err(ChartError::OutOfRange { series: series(), point, quantity, value, low, high });
    }
    Ok(())
}
