//! Where everything in a chart lies, in units of the SVG, from its upper left corner.

use super::{
    Chart, ChartError, Mark,
    scale::{Fit, Ruler, Tick},
    text::{LINE, Lines, Measure},
};

/// Font size of the title.
pub(super) const TITLE: f64 = 17.0;
/// Font size of the names of the axes.
pub(super) const LABEL: f64 = 16.0;
/// Font size of ticks, categories and legend.
pub(super) const TICK: f64 = 15.0;
/// Least font size of categories before they are turned.
const SMALLEST: f64 = 12.0;

/// Least width. Reduced to a column of 85 mm, which is 241 points, ticks are then still above 6 points.
const WIDTH: f64 = 560.0;
/// Height of the plotting area.
const PLOT_HEIGHT: f64 = 290.0;
/// Free space along the edges, and between axis, ticks and labels.
const MARGIN: f64 = 12.0;
/// Between the plotting area and the numbers on its axes; tick marks lie in it.
pub(super) const TICK_GAP: f64 = 8.0;
/// Space to the right of the plotting area, for half of the last number on the x axis.
const RIGHT: f64 = 24.0;
/// Width of a bar and of the place for a published value beside it.
const SLOT: (f64, f64) = (11.0, 46.0);
/// Share of a category that its bars may fill.
const FILLED: f64 = 0.8;
/// Least width of a category.
const LEAST_PITCH: f64 = 36.0;
/// Length of a turned name of a category from which it is broken into lines, where these fit.
const TURNED: f64 = 150.0;
/// Width of the sample of a series in the legend, with the space to its name.
pub(super) const SAMPLE: f64 = 40.0;

/// A chart, laid out.
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Left edge of the plotting area.
    pub(super) left: f64,
    /// Upper edge of the plotting area.
    pub(super) top: f64,
    pub(super) plot_width: f64,
    pub(super) plot_height: f64,
    pub(super) title: Vec<String>,
    pub(super) x_label: Vec<String>,
    /// Upper edge of the name of the x axis.
    pub(super) x_label_top: f64,
    pub(super) y_label: Vec<String>,
    pub(super) x: Horizontal,
    pub(super) y: Ruler,
    /// One entry per series.
    pub(super) legend: Vec<Entry>,
}

/// The x axis, laid out.
pub(super) enum Horizontal {
    Numbers(Ruler),
    Categories(Categories),
}

impl Horizontal {
    /// How far the first and the last number reach beyond the ends of the axis.
    fn overhang(&self, measure: &Measure, plot_width: f64) -> Result<(f64, f64), ChartError> {
        let Self::Numbers(ruler) = self else {
            return Ok((0.0, 0.0));
        };
        let beyond = |tick: Option<&Tick>, end: f64| -> Result<f64, ChartError> {
            let Some(tick) = tick else { return Ok(0.0) };
            Ok(0.5 * measure.width(&tick.label, TICK)? - (tick.place - end).abs() * plot_width)
        };
        Ok((beyond(ruler.ticks.first(), 0.0)?, beyond(ruler.ticks.last(), 1.0)?))
    }
}

/// An axis of categories, laid out.
pub(super) struct Categories {
    /// Their names, in lines.
    pub(super) names: Vec<Vec<String>>,
    /// Font size of the names.
    pub(super) size: f64,
    /// Whether the names are turned to run upwards.
    pub(super) turned: bool,
    /// Width of a category.
    pub(super) pitch: f64,
    /// Width of a bar and of the place for a published value beside it.
    pub(super) slot: f64,
    /// Per series: distance of its marks from the middle of their category.
    pub(super) offsets: Vec<f64>,
}

/// An entry of the legend.
pub(super) struct Entry {
    pub(super) left: f64,
    /// Middle of its first line.
    pub(super) middle: f64,
    pub(super) lines: Vec<String>,
}

impl Layout {
    /// Lays out a chart that has been checked.
    pub(super) fn of(chart: &Chart, measure: &Measure) -> Result<Self, ChartError> {
        let y = vertical(chart);
        let y_label = measure.wrap(&chart.y.label, LABEL, PLOT_HEIGHT)?.lines;
        let numbers = measure.widest(y.ticks.iter().map(|tick| &tick.label), TICK)?;
        let numbers_left = MARGIN + y_label.len() as f64 * LABEL * LINE + 4.0 + numbers + TICK_GAP;

        let plot_width = (WIDTH - numbers_left.ceil() - RIGHT).max(least_width(chart));
        let (x, names_height) = horizontal(chart, measure, plot_width)?;
        let (before, behind) = x.overhang(measure, plot_width)?;
        let left = numbers_left.max(before + 4.0).ceil();
        let width = left + plot_width + RIGHT.max(behind + 4.0);

        let title = measure.wrap(&chart.title, TITLE, width - 2.0 * MARGIN)?.lines;
        let title_height = title.len() as f64 * TITLE * LINE;
        let top = (2.0 * MARGIN + title_height).ceil();
        let x_label = measure.wrap(&chart.x.label, LABEL, plot_width)?.lines;
        let x_label_top = top + PLOT_HEIGHT + TICK_GAP + names_height + 6.0;
        let legend_top = x_label_top + x_label.len() as f64 * LABEL * LINE + MARGIN;
        let (legend, bottom) = legend(chart, measure, width, legend_top)?;

        Ok(Self {
            width: width.ceil(),
            height: (bottom + MARGIN).ceil(),
            left,
            top,
            plot_width,
            plot_height: PLOT_HEIGHT,
            title,
            x_label,
            x_label_top,
            y_label,
            x,
            y,
            legend,
        })
    }

    /// Where a number on the x axis, or the middle of a category, lies from the left.
    pub(super) fn across(&self, x: f64) -> f64 {
        match &self.x {
            Horizontal::Numbers(ruler) => self.left + ruler.place(x) * self.plot_width,
            Horizontal::Categories(categories) => self.left + (x + 0.5) * categories.pitch,
        }
    }

    /// Where a number on the y axis lies from above.
    pub(super) fn down(&self, y: f64) -> f64 {
        self.top + (1.0 - self.y.place(y)) * self.plot_height
    }
}

fn count(chart: &Chart, mark: Mark) -> usize {
    chart.series.iter().filter(|series| series.mark == mark).count()
}

/// Least and greatest of numbers; there is at least one.
fn extent(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), n| (low.min(n), high.max(n)))
}

fn vertical(chart: &Chart) -> Ruler {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let ends = points().flat_map(|point| {
        let error = point.error.unwrap_or(0.0);
        [point.y - error, point.y, point.y + error]
    });
    // An error bar that reaches zero is cut off on a logarithmic axis; it cannot stretch it.
    let logarithmic = chart.y.scale == super::Scale::Logarithmic;
    let data = extent(ends.filter(|&end| !logarithmic || end > 0.0));
    let fit = if count(chart, Mark::Bar) > 0 { Fit::Bars } else { Fit::Round };
    Ruler::new(&chart.y, data, fit, 5.0)
}

/// Places side by side in one category: one per series of bars and, beside bars or each other, of published values.
fn slots(chart: &Chart) -> usize {
    match (count(chart, Mark::Bar), count(chart, Mark::Point)) {
        (0, 0) => 1,
        (0, points) if count(chart, Mark::Line) > 0 => 2 * points + 1,
        (bars, points) => bars + points,
    }
}

fn least_width(chart: &Chart) -> f64 {
    let pitch = (slots(chart) as f64 * SLOT.0 / FILLED).max(LEAST_PITCH);
    chart.x.categories.len() as f64 * pitch
}

/// The x axis and the height of what is written along it.
fn horizontal(chart: &Chart, measure: &Measure, plot_width: f64) -> Result<(Horizontal, f64), ChartError> {
    if !chart.x.categories.is_empty() {
        return categories(chart, measure, plot_width);
    }
    let data = extent(chart.series.iter().flat_map(|series| &series.points).map(|point| point.x));
    let mut ruler = Ruler::new(&chart.x, data, Fit::Close, 6.0);
    for wanted in [4.0, 3.0, 2.0] {
        let widest = measure.widest(ruler.ticks.iter().map(|tick| &tick.label), TICK)?;
        if (widest + TICK) * ruler.ticks.len() as f64 <= plot_width {
            break;
        }
        ruler = Ruler::new(&chart.x, data, Fit::Close, wanted);
    }
    Ok((Horizontal::Numbers(ruler), TICK * LINE))
}

fn categories(chart: &Chart, measure: &Measure, plot_width: f64) -> Result<(Horizontal, f64), ChartError> {
    let names = &chart.x.categories;
    let pitch = plot_width / names.len() as f64;
    let slot = (FILLED * pitch / slots(chart) as f64).clamp(SLOT.0, SLOT.1);
    let offsets = offsets(chart, slot);
    let wrap = |size: f64, limit: f64| -> Result<Vec<Lines>, ChartError> {
        names.iter().map(|name| measure.wrap(name, size, limit)).collect()
    };
    let mut size = TICK;
    let (lines, turned) = loop {
        let lines = wrap(size, pitch - 8.0)?;
        if lines.iter().all(|name| name.whole) {
            break (lines, false);
        }
        if size <= SMALLEST {
            size = TICK;
            break (turn(&wrap, size, pitch)?, true);
        }
        size -= 1.0;
    };
    let names: Vec<Vec<String>> = lines.into_iter().map(|name| name.lines).collect();
    let height = if turned {
        measure.widest(names.iter().flatten(), size)?
    } else {
        names.iter().map(Vec::len).max().unwrap_or(0) as f64 * size * LINE
    };
    Ok((Horizontal::Categories(Categories { names, size, turned, pitch, slot, offsets }), height))
}

/// Names that run upwards: as short as possible, of whole words, in no more lines than fit a category of width `pitch`.
fn turn(
    wrap: &impl Fn(f64, f64) -> Result<Vec<Lines>, ChartError>,
    size: f64,
    pitch: f64,
) -> Result<Vec<Lines>, ChartError> {
    let mut length = TURNED;
    loop {
        let names = wrap(size, length)?;
        if names.iter().all(|name| name.whole && name.lines.len() as f64 * size * LINE <= pitch) {
            return Ok(names);
        }
        length *= 1.3;
    }
}

/// Per series: distance of its marks from the middle of their category. Published values stand to the right of bars and
/// of lines.
fn offsets(chart: &Chart, slot: f64) -> Vec<f64> {
    let bars = count(chart, Mark::Bar);
    let lines = count(chart, Mark::Line);
    let places = if bars == 0 && lines > 0 { 1 } else { slots(chart) };
    let at = |place: usize| (place as f64 - (places as f64 - 1.0) / 2.0) * slot;
    let (mut next_bar, mut next_point) = (0, if bars == 0 && lines > 0 { 1 } else { bars });
    let offset = |series: &super::Series| {
        let next = match series.mark {
            Mark::Line | Mark::Curve | Mark::Cross => return 0.0,
            Mark::Bar => &mut next_bar,
            Mark::Point => &mut next_point,
        };
        *next += 1;
        at(*next - 1)
    };
    chart.series.iter().map(offset).collect()
}

/// The legend in columns of equal width from `top` downwards, and its lower edge.
fn legend(chart: &Chart, measure: &Measure, width: f64, top: f64) -> Result<(Vec<Entry>, f64), ChartError> {
    const GAP: f64 = 24.0;
    let room = width - 2.0 * MARGIN;
    let names = chart.series.iter().map(|series| Ok(measure.wrap(&series.name, TICK, room - SAMPLE)?.lines));
    let names = names.collect::<Result<Vec<_>, ChartError>>()?;
    let column = SAMPLE + measure.widest(names.iter().flatten(), TICK)?;
    let columns = (1..=names.len()).rev().find(|&n| n as f64 * (column + GAP) - GAP <= room).unwrap_or(1);
    // As few columns as the number of rows allows, so that no row is left nearly empty.
    let columns = names.len().div_ceil(names.len().div_ceil(columns));
    let left = (width - (columns as f64 * (column + GAP) - GAP)) / 2.0;
    let mut entries = Vec::new();
    let mut y = top;
    for row in names.chunks(columns) {
        for (place, lines) in row.iter().enumerate() {
            entries.push(Entry {
                left: left + place as f64 * (column + GAP),
                middle: y + 0.5 * TICK * LINE,
                lines: lines.clone(),
            });
        }
        y += row.iter().map(Vec::len).max().unwrap_or(0).max(1) as f64 * TICK * LINE + 4.0;
    }
    Ok((entries, y))
}
