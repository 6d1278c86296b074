//! Drawing of a chart that has been laid out, as SVG.

use super::{
    Chart, ChartError, Mark,
    layout::{Categories, Horizontal, LABEL, Layout, SAMPLE, TICK, TICK_GAP, TITLE},
    mark::{Area, DARK, Look, Place, failed, looks, path},
    text::{FAMILY, LINE},
};
use plotters::{
    backend::SVGBackend,
    drawing::IntoDrawingArea,
    style::{
        Color, FontTransform, IntoFont, RGBColor, TextStyle, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

/// Lines at ticks.
const GRID: RGBColor = RGBColor(0xDD, 0xDD, 0xDD);
/// Lines between ticks.
const FINE_GRID: RGBColor = RGBColor(0xF0, 0xF0, 0xF0);
/// Axes and tick marks.
const FRAME: RGBColor = RGBColor(0x55, 0x55, 0x55);
/// Length of a tick mark.
const TICK_MARK: i32 = 4;
/// plotters writes font sizes divided by this.
const PLOTTERS_FONT: f64 = 1.24;
/// Share of its place that a bar fills.
const BAR: f64 = 0.9;

/// The SVG of a chart.
pub(super) fn svg(chart: &Chart, layout: &Layout) -> Result<String, ChartError> {
    let mut text = String::new();
    {
        let size = (pixel(layout.width).unsigned_abs(), pixel(layout.height).unsigned_abs());
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE).map_err(failed)?;
        Drawing { area, chart, layout, looks: looks(&chart.series) }.draw()?;
    }
    Ok(text)
}

struct Drawing<'a> {
    area: Area<'a>,
    chart: &'a Chart,
    layout: &'a Layout,
    looks: Vec<Look>,
}

impl Drawing<'_> {
    fn draw(&self) -> Result<(), ChartError> {
        self.grid()?;
        // The marker that ends a curve stands on the cross, whose arms show around it.
        for mark in [Mark::Bar, Mark::Cross, Mark::Curve, Mark::Line, Mark::Point] {
            for (index, series) in self.chart.series.iter().enumerate() {
                if series.mark == mark {
                    self.series(index)?;
                }
            }
        }
        self.frame()?;
        self.names()?;
        self.legend()?;
        self.area.present().map_err(failed)
    }

    /// Left, upper, right and lower edge of the plotting area.
    fn edges(&self) -> [i32; 4] {
        let layout = self.layout;
        [layout.left, layout.top, layout.left + layout.plot_width, layout.top + layout.plot_height].map(pixel)
    }

    fn grid(&self) -> Result<(), ChartError> {
        let [left, top, right, bottom] = self.edges();
        let layout = self.layout;
        let level = |place: f64, colour: RGBColor| {
            let y = pixel(layout.top + (1.0 - place) * layout.plot_height);
            path(&self.area, vec![(left, y), (right, y)], colour.stroke_width(1))
        };
        let upright = |place: f64, colour: RGBColor| {
            let x = pixel(layout.left + place * layout.plot_width);
            path(&self.area, vec![(x, top), (x, bottom)], colour.stroke_width(1))
        };
        layout.y.minor.iter().try_for_each(|&place| level(place, FINE_GRID))?;
        if let Horizontal::Numbers(ruler) = &layout.x {
            ruler.minor.iter().try_for_each(|&place| upright(place, FINE_GRID))?;
            ruler.ticks.iter().try_for_each(|tick| upright(tick.place, GRID))?;
        }
        layout.y.ticks.iter().try_for_each(|tick| level(tick.place, GRID))
    }

    fn series(&self, index: usize) -> Result<(), ChartError> {
        let (series, look, layout) = (&self.chart.series[index], self.looks[index], self.layout);
        let (offset, slot) = match &layout.x {
            Horizontal::Numbers(_) => (0.0, 0.0),
            Horizontal::Categories(categories) => (categories.offsets[index], categories.slot),
        };
        let across = |x: f64| layout.across(x) + offset;
        let places: Vec<Place> =
            series.points.iter().map(|point| (pixel(across(point.x)), pixel(layout.down(point.y)))).collect();
        match series.mark {
            Mark::Line => path(&self.area, places.clone(), look.colour.stroke_width(2))?,
            Mark::Bar => {
                let base = pixel(layout.down(0.0));
                for point in &series.points {
                    let [left, right] = [-0.5, 0.5].map(|side| pixel(across(point.x) + side * BAR * slot));
                    look.bar(&self.area, [(left, pixel(layout.down(point.y))), (right, base)])?;
                }
            }
            Mark::Curve => {
                let joined: Vec<_> = series.points.iter().zip(&places).collect();
                for run in joined.chunk_by(|(one, _), (next, _)| one.x < next.x) {
                    let run: Vec<Place> = run.iter().map(|(_, place)| **place).collect();
                    let last = run.last().copied();
                    path(&self.area, run, look.colour.stroke_width(1))?;
                    last.map_or(Ok(()), |place| look.marker(&self.area, place))?;
                }
            }
            Mark::Cross => places.iter().try_for_each(|place| look.marker(&self.area, *place))?,
            Mark::Point => {}
        }
        for (point, &(x, y)) in series.points.iter().zip(&places) {
            // A hollow marker would hide a short error bar, so it is drawn first; a full one shows its value best on top.
            if series.mark == Mark::Point {
                look.marker(&self.area, (x, y))?;
            }
            if let Some(error) = point.error {
                let end = |y: f64| (pixel(layout.down(y)), layout.y.contains(y));
                look.error(&self.area, x, end(point.y - error), end(point.y + error))?;
            }
            if series.mark == Mark::Line {
                look.marker(&self.area, (x, y))?;
            }
        }
        Ok(())
    }

    fn frame(&self) -> Result<(), ChartError> {
        let [left, top, right, bottom] = self.edges();
        let style = FRAME.stroke_width(1);
        let layout = self.layout;
        path(&self.area, vec![(left, top), (left, bottom), (right, bottom)], style)?;
        let zero = pixel(layout.down(0.0));
        if layout.y.contains(0.0) && zero != bottom {
            path(&self.area, vec![(left, zero), (right, zero)], style)?;
        }
        for tick in &layout.y.ticks {
            let y = pixel(layout.top + (1.0 - tick.place) * layout.plot_height);
            path(&self.area, vec![(left - TICK_MARK, y), (left, y)], style)?;
            self.write(&tick.label, (layout.left - TICK_GAP, f64::from(y)), TICK, HPos::Right, false)?;
        }
        match &layout.x {
            Horizontal::Numbers(ruler) => {
                for tick in &ruler.ticks {
                    let x = pixel(layout.left + tick.place * layout.plot_width);
                    path(&self.area, vec![(x, bottom), (x, bottom + TICK_MARK)], style)?;
                    let middle = f64::from(bottom) + TICK_GAP + 0.5 * TICK * LINE;
                    self.write(&tick.label, (f64::from(x), middle), TICK, HPos::Center, false)?;
                }
                Ok(())
            }
            Horizontal::Categories(categories) => self.categories(categories, bottom),
        }
    }

    fn categories(&self, categories: &Categories, bottom: i32) -> Result<(), ChartError> {
        let height = categories.size * LINE;
        for (index, lines) in categories.names.iter().enumerate() {
            let x = self.layout.across(index as f64);
            let top = f64::from(bottom) + TICK_GAP;
            for (row, line) in lines.iter().enumerate() {
                let row = row as f64;
                if categories.turned {
                    let x = x + (row - (lines.len() as f64 - 1.0) / 2.0) * height;
                    self.write(line, (x, top), categories.size, HPos::Right, true)?;
                } else {
                    self.write(line, (x, top + (row + 0.5) * height), categories.size, HPos::Center, false)?;
                }
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<(), ChartError> {
        let layout = self.layout;
        let centre = layout.left + 0.5 * layout.plot_width;
        let row = |index: usize, size: f64| (index as f64 + 0.5) * size * LINE;
        for (index, line) in layout.title.iter().enumerate() {
            self.write(line, (0.5 * layout.width, 10.0 + row(index, TITLE)), TITLE, HPos::Center, false)?;
        }
        for (index, line) in layout.x_label.iter().enumerate() {
            self.write(line, (centre, layout.x_label_top + row(index, LABEL)), LABEL, HPos::Center, false)?;
        }
        let middle = layout.top + 0.5 * layout.plot_height;
        for (index, line) in layout.y_label.iter().enumerate() {
            self.write(line, (8.0 + row(index, LABEL), middle), LABEL, HPos::Center, true)?;
        }
        Ok(())
    }

    fn legend(&self) -> Result<(), ChartError> {
        for (entry, look) in self.layout.legend.iter().zip(&self.looks) {
            look.sample(&self.area, (pixel(entry.left + 0.4 * SAMPLE), pixel(entry.middle)))?;
            for (row, line) in entry.lines.iter().enumerate() {
                let y = entry.middle + row as f64 * TICK * LINE;
                self.write(line, (entry.left + SAMPLE, y), TICK, HPos::Left, false)?;
            }
        }
        Ok(())
    }

    /// Writes a line of text, vertically centred at a place, or turned to run upwards and horizontally centred there.
    fn write(
        &self,
        text: &str,
        (x, y): (f64, f64),
        size: f64,
        side: HPos,
        turned: bool,
    ) -> Result<(), ChartError> {
        let font = (FAMILY, size * PLOTTERS_FONT).into_font();
        // plotters centres small letters; digits and capitals need to come down a little.
        let down = 0.08 * size;
        let (font, x, y) = if turned {
            (font.transform(FontTransform::Rotate270), x + down, y)
        } else {
            (font, x, y + down)
        };
        let style = TextStyle::from(font).color(&DARK).pos(Pos::new(side, VPos::Center));
        self.area.draw_text(text, &style, (pixel(x), pixel(y))).map_err(failed)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "places in a chart are far below 2^31, and the cast saturates"
)]
fn pixel(place: f64) -> i32 {
    place.round() as i32
}
