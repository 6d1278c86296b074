//! Marks of the series: colours, marker shapes and hatches.

use super::{ChartError, Mark, Series};
use plotters::backend::SVGBackend;
use plotters::{
    coord::Shift,
    drawing::DrawingArea,
    element::{Circle, PathElement, Polygon, Rectangle},
    style::{Color, RGBColor, ShapeStyle, WHITE},
};

/// The drawing, in units of the SVG.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// A place in the drawing.
pub(super) type Place = (i32, i32);

/// Okabe and Ito's colours without yellow, which is too faint on white, and black, which marks published values.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0xD5, 0x5E, 0x00),
];
/// Colours of published values.
const POINT_PALETTE: [RGBColor; 3] =
    [RGBColor(0x00, 0x00, 0x00), RGBColor(0xD5, 0x5E, 0x00), RGBColor(0x00, 0x72, 0xB2)];
/// Colour of the error bars of bars, which must show on every one of them.
pub(super) const DARK: RGBColor = RGBColor(0x22, 0x22, 0x22);

/// Half the size of a marker.
const RADIUS: i32 = 6;
/// Half the size of a hollow marker, which is seen around its error bar.
const HOLLOW_RADIUS: i32 = 7;
/// Half the width of the cap of an error bar.
const CAP: i32 = 6;
/// Half the size of a cross, which a marker may lie on.
const ARM: i32 = 9;
/// Distance between the lines of a hatch.
const HATCH: i32 = 7;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
}

const SHAPES: [Shape; 5] = [Shape::Circle, Shape::Square, Shape::Up, Shape::Diamond, Shape::Down];
const HOLLOW_SHAPES: [Shape; 5] = [Shape::Diamond, Shape::Square, Shape::Up, Shape::Circle, Shape::Down];

/// How the marks of one series look. Colours and shapes repeat with different periods, so that it takes many series
/// before both repeat.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    mark: Mark,
    /// Colour of line, bar or marker.
    pub(super) colour: RGBColor,
    shape: Shape,
    hatch: usize,
}

/// The looks of all series.
pub(super) fn looks(series: &[Series]) -> Vec<Look> {
    let (mut points, mut others) = (0, 0);
    let look = |series: &Series| {
        let (next, palette, shapes) = match series.mark {
            Mark::Point => (&mut points, &POINT_PALETTE[..], HOLLOW_SHAPES),
            Mark::Line | Mark::Curve | Mark::Bar | Mark::Cross => (&mut others, &PALETTE[..], SHAPES),
        };
        let index: usize = *next;
        *next += 1;
        Look {
            mark: series.mark,
            colour: palette[index % palette.len()],
            shape: shapes[index % shapes.len()],
            hatch: index % 5,
        }
    };
    series.iter().map(look).collect()
}

impl Look {
    /// Draws the marker on a point.
    pub(super) fn marker(self, area: &Area, place: Place) -> Result<(), ChartError> {
        if self.mark == Mark::Cross {
            return cross(area, place);
        }
        let hollow = self.mark == Mark::Point;
        let radius = if hollow { HOLLOW_RADIUS } else { RADIUS };
        let fill = if hollow { WHITE.filled() } else { self.colour.filled() };
        // A white rim keeps markers apart that lie over each other.
        let line = if hollow { self.colour.stroke_width(2) } else { WHITE.stroke_width(1) };
        let Some(corners) = corners(self.shape, place, radius) else {
            area.draw(&Circle::new(place, radius, fill)).map_err(failed)?;
            return area.draw(&Circle::new(place, radius, line)).map_err(failed);
        };
        area.draw(&Polygon::new(corners.clone(), fill)).map_err(failed)?;
        // Once around and along the first edge again, so that the corner where the path begins is joined too.
        let around: Vec<Place> = corners.iter().chain(corners.iter().take(2)).copied().collect();
        path(area, around, line)
    }

    /// Draws a bar, with the hatch of its series.
    pub(super) fn bar(self, area: &Area, corners: [Place; 2]) -> Result<(), ChartError> {
        let [(x0, x1), (y0, y1)] =
            [(corners[0].0, corners[1].0), (corners[0].1, corners[1].1)].map(|(a, b)| (a.min(b), a.max(b)));
        if y0 == y1 {
            return path(area, vec![(x0, y0), (x1, y0)], self.colour.stroke_width(1));
        }
        area.draw(&Rectangle::new([(x0, y0), (x1, y1)], self.colour.filled())).map_err(failed)?;
        let steps = |from: i32, to: i32| {
            (from.div_euclid(HATCH) + 1..).map(|n| n * HATCH).take_while(move |&c| c < to)
        };
        // Lines x + y = c rise to the right, lines y - x = c fall.
        let rising = steps(x0 + y0, x1 + y1).map(|c| {
            let (from, to) = (x0.max(c - y1), x1.min(c - y0));
            vec![(from, c - from), (to, c - to)]
        });
        let falling = steps(y0 - x1, y1 - x0).map(|c| {
            let (from, to) = (x0.max(y0 - c), x1.min(y1 - c));
            vec![(from, from + c), (to, to + c)]
        });
        let level = steps(y0, y1).map(|y| vec![(x0, y), (x1, y)]);
        let lines: Vec<Vec<Place>> = match self.hatch {
            0 => Vec::new(),
            1 => rising.collect(),
            2 => falling.collect(),
            3 => level.collect(),
            _ => rising.chain(falling).collect(),
        };
        lines.into_iter().try_for_each(|line| path(area, line, WHITE.stroke_width(1)))?;
        outline(area, (x0, y0), (x1, y1), self.colour)
    }

    /// Draws an error bar; an end without a cap goes on beyond the axis.
    pub(super) fn error(
        self,
        area: &Area,
        x: i32,
        (low, low_cap): (i32, bool),
        (high, high_cap): (i32, bool),
    ) -> Result<(), ChartError> {
        let colour = if self.mark == Mark::Bar { DARK } else { self.colour };
        let style = colour.stroke_width(2);
        path(area, vec![(x, low), (x, high)], style)?;
        for (y, _) in [(low, low_cap), (high, high_cap)].into_iter().filter(|&(_, cap)| cap) {
            path(area, vec![(x - CAP, y), (x + CAP, y)], style)?;
        }
        Ok(())
    }

    /// Draws the sample of the series in the legend, around `place`.
    pub(super) fn sample(self, area: &Area, (x, y): Place) -> Result<(), ChartError> {
        match self.mark {
            Mark::Bar => self.bar(area, [(x - 14, y - 7), (x + 14, y + 7)]),
            Mark::Line | Mark::Curve => {
                path(area, vec![(x - 15, y), (x + 15, y)], self.colour.stroke_width(2))?;
                self.marker(area, (x, y))
            }
            Mark::Point | Mark::Cross => self.marker(area, (x, y)),
        }
    }
}

/// A cross with a white rim.
fn cross(area: &Area, (x, y): Place) -> Result<(), ChartError> {
    for (colour, width) in [(WHITE, 6), (DARK, 3)] {
        for rise in [-ARM, ARM] {
            path(area, vec![(x - ARM, y - rise), (x + ARM, y + rise)], colour.stroke_width(width))?;
        }
    }
    Ok(())
}

/// Corners of a marker, or nothing for a circle.
fn corners(shape: Shape, (x, y): Place, r: i32) -> Option<Vec<Place>> {
    // A triangle has half the area of its square, so it is drawn larger.
    let r = if matches!(shape, Shape::Up | Shape::Down) { r + 1 } else { r };
    match shape {
        Shape::Circle => None,
        Shape::Square => Some(vec![
            (x - r + 1, y - r + 1),
            (x + r - 1, y - r + 1),
            (x + r - 1, y + r - 1),
            (x - r + 1, y + r - 1),
        ]),
        Shape::Up => Some(vec![(x, y - r), (x + r, y + r - 1), (x - r, y + r - 1)]),
        Shape::Diamond => Some(vec![(x, y - r), (x + r, y), (x, y + r), (x - r, y)]),
        Shape::Down => Some(vec![(x, y + r), (x + r, y - r + 1), (x - r, y - r + 1)]),
    }
}

fn outline(area: &Area, (x0, y0): Place, (x1, y1): Place, colour: RGBColor) -> Result<(), ChartError> {
    path(area, vec![(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0), (x1, y0)], colour.stroke_width(1))
}

/// Draws a line through places.
pub(super) fn path(area: &Area, places: Vec<Place>, style: ShapeStyle) -> Result<(), ChartError> {
    area.draw(&PathElement::new(places, style)).map_err(failed)
}

/// The error of the drawing library, as one of ours.
pub(super) fn failed(error: impl std::fmt::Display) -> ChartError {
    ChartError::Drawing { message: error.to_string() }
}
