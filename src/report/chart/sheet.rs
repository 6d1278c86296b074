//! Charts side by side on one page.

use resvg::tiny_skia;

use super::{Chart, ChartError, text};

/// Charts under one title.
#[derive(Debug, Clone, PartialEq)]
pub struct Sheet {
    /// Title above all charts; empty for none.
    pub title: String,
    /// The charts, row by row.
    pub charts: Vec<Chart>,
    /// Charts in a row; none: as square as it goes, wider rather than higher.
    pub columns: Option<usize>,
}

/// Image pixels per unit of the SVG.
const RASTER_SCALE: u16 = 2;
/// Height of the line that the title stands in, and the size of its letters.
const TITLE_HEIGHT: u32 = 34;
const TITLE_SIZE: u32 = 17;

impl Sheet {
    /// The sheet as an SVG document; a single chart without a title of the sheet is that chart's. Equal sheets give equal bytes.
    pub fn svg(&self) -> Result<String, ChartError> {
        if let ([chart], true) = (&self.charts[..], self.title.is_empty()) {
            return chart.svg();
        }
        let charts = self.charts.iter().map(Chart::svg).collect::<Result<Vec<_>, _>>()?;
        let measure = text::Measure::new();
        let sizes = charts
            .iter()
            .map(|svg| {
                let size = measure.parse(svg)?.size().to_int_size();
                Ok((size.width(), size.height()))
            })
            .collect::<Result<Vec<_>, ChartError>>()?;
        let columns = self.columns();
        let width = sizes.iter().map(|size| size.0).max().unwrap_or(0);
        let top = if self.title.is_empty() { 0 } else { TITLE_HEIGHT };
        let mut body = String::new();
        let (mut y, mut whole) = (top, 0);
        for (row, sizes) in charts.chunks(columns).zip(sizes.chunks(columns)) {
            for (column, svg) in (0_u32..).zip(row) {
                let x = column * width;
                whole = whole.max(x + width);
                body.push_str(&svg.replacen("<svg ", &format!("<svg x=\"{x}\" y=\"{y}\" "), 1));
            }
            y += sizes.iter().map(|size| size.1).max().unwrap_or(0);
        }
        let title = escape(&self.title);
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{y}\" viewBox=\"0 0 {whole} {y}\">\n\
             <rect width=\"{whole}\" height=\"{y}\" fill=\"#FFFFFF\"/>\n\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-family=\"{}\" font-size=\"{TITLE_SIZE}\" fill=\"#222222\">{title}</text>\n\
             {body}</svg>\n",
            whole / 2,
            TITLE_HEIGHT - 11,
            text::FAMILY,
        ))
    }

    /// The sheet as a PNG image, at twice the size of the SVG.
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        raster(&self.svg()?)
    }

    fn columns(&self) -> usize {
        if let Some(columns) = self.columns {
            return columns.max(1);
        }
        let mut columns = 1;
        while columns * columns < self.charts.len() {
            columns += 1;
        }
        columns
    }
}

/// An SVG document as a PNG image, at twice its size.
pub(super) fn raster(svg: &str) -> Result<Vec<u8>, ChartError> {
    let tree = text::Measure::new().parse(svg)?;
    let scale = f32::from(RASTER_SCALE);
    let size = tree.size().to_int_size().scale_by(scale);
    let (width, height) = size.map_or((u32::MAX, u32::MAX), |size| (size.width(), size.height()));
    let mut pixels = tiny_skia::Pixmap::new(width, height).ok_or(ChartError::TooLarge { width, height })?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| ChartError::Drawing { message: error.to_string() })
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chart::{Axis, Mark, Point, Series};

    fn chart(title: &str) -> Chart {
        let points = vec![Point { x: 0.0, y: 1.0, error: None }, Point { x: 1.0, y: 2.0, error: None }];
        Chart {
            title: title.to_owned(),
            x: Axis { label: "x".to_owned(), ..Axis::default() },
            y: Axis { label: "y".to_owned(), ..Axis::default() },
            series: vec![Series { name: "s".to_owned(), mark: Mark::Line, points }],
        }
    }

    #[test]
    fn a_single_chart_is_its_own_sheet() {
        let sheet = Sheet { title: String::new(), charts: vec![chart("one")], columns: None };
        assert_eq!(sheet.svg().unwrap(), chart("one").svg().unwrap());
    }

    #[test]
    fn charts_stand_side_by_side_under_their_title() {
        let charts = ["one", "two", "three"].map(chart).to_vec();
        let sheet = Sheet { title: "a < b".to_owned(), charts, columns: None };
        let svg = sheet.svg().unwrap();
        let size = |svg: &str| text::Measure::new().parse(svg).unwrap().size().to_int_size();
        let one = size(&chart("one").svg().unwrap());
        assert_eq!(
            (size(&svg).width(), size(&svg).height()),
            (2 * one.width(), 2 * one.height() + TITLE_HEIGHT)
        );
        assert!(svg.contains("a &lt; b"));
        for title in ["one", "two", "three"] {
            assert!(svg.contains(title));
        }
        assert!(!sheet.png().unwrap().is_empty());
    }
}
