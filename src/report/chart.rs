//! Charts for publication: bars, lines and published values, as SVG and as PNG.
//!
//! The SVG depends on the chart alone, so equal charts are equal files. Colours are those of Okabe and Ito ("Color
//! Universal Design", 2008), which colour-blind readers can tell apart; marker shapes and hatches repeat the
//! distinction for grey print. The PNG is the SVG rasterised at twice its size with the bundled DejaVu Sans, whatever
//! fonts the machine has.

mod draw;
mod layout;
mod mark;
mod scale;
mod text;

use resvg::{tiny_skia, usvg};

/// A chart: axes and the series drawn between them. The legend lies below the plotting area.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Title above the plotting area; empty for none.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The series, in the order of the legend.
    pub series: Vec<Series>,
}

/// How numbers are placed along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// Equal distances for equal differences.
    #[default]
    Linear,
    /// Equal distances for equal ratios; takes positive numbers only.
    Logarithmic,
}

/// One axis of a chart.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// What the axis shows, with its unit, such as "time per sample (ms)".
    pub label: String,
    /// How numbers are placed; without effect on an axis of categories.
    pub scale: Scale,
    /// Names of the categories at positions 0, 1, 2, ...; empty on an axis of numbers. For the x axis only.
    pub categories: Vec<String>,
    /// First and last number of the axis, honoured exactly; without it the axis follows the data. Without effect on an
    /// axis of categories.
    pub range: Option<(f64, f64)>,
}

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// A line through the points in their order, with a marker on each.
    Line,
    /// One bar per category, side by side with the bars of other series.
    Bar,
    /// Hollow diamonds, for published values; in a chart with bars they stand beside the bars of their category. Further
    /// series of points take other hollow shapes.
    Point,
}

/// Values that belong together under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name in the legend.
    pub name: String,
    /// How the series is drawn.
    pub mark: Mark,
    /// The values, at least one.
    pub points: Vec<Point>,
}

/// One value of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Position on the x axis, in its unit, or the index of a category.
    pub x: f64,
    /// Value, in the unit of the y axis.
    pub y: f64,
    /// Half the length of the error bar, in the unit of the y axis. What leaves the axis is cut off, without a cap.
    pub error: Option<f64>,
}

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
    #[error("point {point} of series \"{series}\" has {quantity} {value}, which must be from {low} to {high}")]
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
    #[error("point {point} of series \"{series}\" has x {value}, which must be a whole number below {categories}")]
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
    #[error("the {axis} axis ranges from {low} to {high}; it must grow by more than a billionth, with {permitted}")]
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
    #[error("an image of {width} x {height} pixels is too large to be drawn; fewer categories make it narrower")]
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

/// Image pixels per unit of the SVG.
const RASTER_SCALE: u16 = 2;

impl Chart {
    /// The chart as an SVG document. Equal charts give equal bytes.
    pub fn svg(&self) -> Result<String, ChartError> {
        self.check()?;
        let measure = text::Measure::new();
        let layout = layout::Layout::of(self, &measure)?;
        draw::svg(self, &layout)
    }

    /// The chart as a PNG image, at twice the size of the SVG.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        let tree = text::Measure::new().parse(&self.svg()?)?;
        let scale = f32::from(RASTER_SCALE);
        let size = tree.size().to_int_size().scale_by(scale);
        let (width, height) = size.map_or((u32::MAX, u32::MAX), |size| (size.width(), size.height()));
        let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or(ChartError::TooLarge { width, height })?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
        pixels.encode_png().map_err(|error| ChartError::Drawing { message: error.to_string() })
    }

    fn check(&self) -> Result<(), ChartError> {
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
            let found = (0..taken.len()).zip(&self.x.categories).find(|&(at, _)| at as f64 == point.x);
            let Some((at, category)) = found else {
                let categories = taken.len();
                return Err(ChartError::NoSuchCategory { series: name(), point: index, value: point.x, categories });
            };
            if taken[at] && series.mark == Mark::Bar {
                return Err(ChartError::RepeatedBar { series: name(), category: category.clone() });
            }
            taken[at] = true;
        }
        Ok(())
    }
}

/// Bound on the absolute value of every number in a chart, far from where differences overflow.
const LARGEST: f64 = 1e100;

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

#[cfg(test)]
mod tests;
