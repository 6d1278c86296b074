//! Rows of small grey pictures under one another, as SVG and PNG.

use super::layout::{LABEL, TITLE};
use super::sheet::{escape, raster};
use super::{ChartError, text};

/// Width of the widest picture in units of the SVG, but for what whole pixels leave.
const PICTURE: usize = 84;
/// Space around everything, and between pictures.
const MARGIN: usize = 14;
/// Height of the text below a picture.
const CAPTION: usize = 22;
/// Size of that text.
const CAPTION_SIZE: usize = 13;

/// Pictures in rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Gallery {
    /// Title above all rows; empty for none.
    pub title: String,
    /// The rows, at least one picture in one of them.
    pub rows: Vec<Row>,
}

/// Pictures beside each other under one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What stands to the left of them.
    pub name: String,
    /// The pictures.
    pub pictures: Vec<Picture>,
}

/// A grey picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// Pixels in a row of it.
    pub width: usize,
    /// Brightness of its pixels, row by row; 255 is drawn black, as ink on paper.
    pub pixels: Vec<u8>,
    /// What stands below it; empty for nothing.
    pub caption: String,
}

impl Picture {
    fn height(&self) -> usize {
        self.pixels.len().div_ceil(self.width.max(1))
    }
}

impl Gallery {
    /// The rows as an SVG document. Equal galleries give equal bytes.
    ///
    /// # Errors
    /// When there is no picture, or a text holds a control character.
    pub fn svg(&self) -> Result<String, ChartError> {
        let pictures = || self.rows.iter().flat_map(|row| &row.pictures);
        let widest = pictures().map(|picture| picture.width).max().ok_or(ChartError::NoSeries)?;
        let measure = text::Measure::new();
        let names = self.rows.iter().map(|row| Ok(measure.wrap(&row.name, LABEL, 110.0)?.lines));
        let names = names.collect::<Result<Vec<_>, ChartError>>()?;
        let left = 2 * MARGIN + whole(measure.widest(names.iter().flatten(), LABEL)?);
        let columns = self.rows.iter().map(|row| row.pictures.len()).max().unwrap_or(0);
        let pixel = (PICTURE / widest.max(1)).max(1);
        let pitch = widest * pixel + MARGIN;
        let width = left + columns * pitch;
        let title = measure.wrap(&self.title, TITLE, (width - 2 * MARGIN) as f64)?.lines;
        let mut body = String::new();
        let mut write = |line: &str, (x, y): (usize, usize), anchor: &str, size: usize| {
            body.push_str(&format!(
                "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\" font-family=\"{}\" font-size=\"{size}\" fill=\"#222222\">{}</text>\n",
                text::FAMILY,
                escape(line),
            ));
        };
        let (title_size, label_size) = (whole(TITLE), whole(LABEL));
        let mut y = MARGIN;
        for line in &title {
            y += title_size + 4;
            write(line, (width / 2, y), "middle", title_size);
        }
        y += MARGIN;
        let mut placed = Vec::new();
        for (row, lines) in self.rows.iter().zip(&names) {
            let height = row.pictures.iter().map(Picture::height).max().unwrap_or(0) * pixel;
            let first = (y + height / 2 + label_size / 3)
                .saturating_sub((lines.len().max(1) - 1) * (label_size + 3) / 2);
            for (number, line) in lines.iter().enumerate() {
                write(line, (left - MARGIN, first + number * (label_size + 3)), "end", label_size);
            }
            for (column, picture) in row.pictures.iter().enumerate() {
                let x = left + column * pitch;
                placed.push(((x, y), picture));
                if !picture.caption.is_empty() {
                    let middle = x + picture.width * pixel / 2;
                    write(&picture.caption, (middle, y + height + CAPTION_SIZE + 3), "middle", CAPTION_SIZE);
                }
            }
            let captioned = row.pictures.iter().any(|picture| !picture.caption.is_empty());
            y += height + MARGIN + if captioned { CAPTION } else { 0 };
        }
        for ((x, y), picture) in placed {
            paint(&mut body, (x, y), pixel, picture);
        }
        Ok(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{y}\" viewBox=\"0 0 {width} {y}\">\n\
             <rect width=\"{width}\" height=\"{y}\" fill=\"#FFFFFF\"/>\n{body}</svg>\n"
        ))
    }

    /// The rows as a PNG image, at twice the size of the SVG.
    ///
    /// # Errors
    /// Like [`Gallery::svg`].
    pub fn png(&self) -> Result<Vec<u8>, ChartError> {
        raster(&self.svg()?)
    }
}

/// A frame, and a path for every brightness: runs of equal pixels within a row are one rectangle each.
fn paint(body: &mut String, (x, y): (usize, usize), pixel: usize, picture: &Picture) {
    let mut paths = vec![String::new(); 256];
    for (row, pixels) in picture.pixels.chunks(picture.width.max(1)).enumerate() {
        let mut at = 0;
        for run in pixels.chunk_by(|a, b| a == b) {
            // White is the paper.
            if let Some(value) = run.first().filter(|value| **value > 0) {
                let (left, top, wide) = (x + at * pixel, y + row * pixel, run.len() * pixel);
                paths[usize::from(*value)].push_str(&format!("M{left} {top}h{wide}v{pixel}h-{wide}z"));
            }
            at += run.len();
        }
    }
    body.push_str("<g shape-rendering=\"crispEdges\">");
    for (value, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let ink = 255 - value;
        body.push_str(&format!("<path fill=\"#{ink:02X}{ink:02X}{ink:02X}\" d=\"{path}\"/>"));
    }
    let (wide, high) = (picture.width * pixel, picture.height() * pixel);
    body.push_str(&format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"{high}\" fill=\"none\" stroke=\"#555555\"/></g>\n"
    ));
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "widths of texts are small and not negative"
)]
fn whole(length: f64) -> usize {
    length.ceil() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery() -> Gallery {
        let picture =
            |caption: &str| Picture { width: 2, pixels: vec![0, 255, 128, 128], caption: caption.to_owned() };
        let row = |name: &str, caption| Row { name: name.to_owned(), pictures: vec![picture(caption); 3] };
        Gallery { title: "a < b".to_owned(), rows: vec![row("original", ""), row("rebuilt", "r = 0.99")] }
    }

    #[test]
    fn equal_pixels_of_a_row_are_one_rectangle_and_white_ones_none() {
        let svg = gallery().svg().unwrap();
        // Three pictures in each of two rows: one black pixel, and one run of two grey ones.
        assert_eq!(svg.matches("fill=\"#000000\"").count(), 6);
        assert_eq!(svg.matches("h84v42h-84z").count(), 6);
        assert_eq!(svg.matches("fill=\"#FFFFFF\"").count(), 1, "the paper alone");
        assert!(svg.contains("a &lt; b") && svg.matches("r = 0.99").count() == 3);
    }

    #[test]
    fn the_image_is_twice_the_size_of_the_drawing() {
        let size = text::Measure::new().parse(&gallery().svg().unwrap()).unwrap().size().to_int_size();
        let image = resvg::tiny_skia::Pixmap::decode_png(&gallery().png().unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (2 * size.width(), 2 * size.height()));
    }

    #[test]
    fn a_gallery_without_pictures_is_refused() {
        let empty = Gallery { title: String::new(), rows: Vec::new() };
        assert!(matches!(empty.svg(), Err(ChartError::NoSeries)));
    }
}
