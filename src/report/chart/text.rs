//! Sizes of texts, and lines that fit a width.

use super::ChartError;
use resvg::usvg::{self, fontdb};
use std::sync::Arc;

/// The font of every text, by the name that it has in the SVG.
pub(super) const FAMILY: &str = "DejaVu Sans, sans-serif";
/// Distance between the baselines of two lines, as a multiple of the font size.
pub(super) const LINE: f64 = 1.25;

/// Reads SVG with the bundled font alone, and measures texts in it.
pub(super) struct Measure {
    options: usvg::Options<'static>,
}

/// A text broken into lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Lines {
    /// The lines from top to bottom.
    pub(super) lines: Vec<String>,
    /// Whether no word had to be broken.
    pub(super) whole: bool,
}

impl Measure {
    pub(super) fn new() -> Self {
        let mut options = usvg::Options { font_family: "DejaVu Sans".to_owned(), ..usvg::Options::default() };
        let fonts = options.fontdb_mut();
        fonts.load_font_source(fontdb::Source::Binary(Arc::new(dejavu::sans::regular())));
        fonts.set_sans_serif_family("DejaVu Sans");
        Self { options }
    }

    pub(super) fn parse(&self, svg: &str) -> Result<usvg::Tree, ChartError> {
        Ok(usvg::Tree::from_str(svg, &self.options)?)
    }

    /// Width of a text in a font of `size` units, in units of the SVG.
    pub(super) fn width(&self, text: &str, size: f64) -> Result<f64, ChartError> {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><text font-size="{size}">{text}</text></svg>"#
        );
        Ok(f64::from(self.parse(&svg)?.root().abs_bounding_box().width()))
    }

    /// The greatest width among texts.
    pub(super) fn widest<'a>(
        &self,
        texts: impl IntoIterator<Item = &'a String>,
        size: f64,
    ) -> Result<f64, ChartError> {
        texts.into_iter().try_fold(0.0_f64, |widest, text| Ok(widest.max(self.width(text, size)?)))
    }

    /// Breaks `text` into lines of at most `limit`: between words, after hyphens and the like, and within a word only if
    /// it is wider than a line.
    pub(super) fn wrap(&self, text: &str, size: f64, limit: f64) -> Result<Lines, ChartError> {
        let mut result = Lines { lines: Vec::new(), whole: true };
        let mut line = String::new();
        for (part, spaced) in parts(text) {
            let gap = if spaced && !line.is_empty() { " " } else { "" };
            if self.width(&format!("{line}{gap}{part}"), size)? <= limit {
                line = format!("{line}{gap}{part}");
                continue;
            }
            result.lines.extend(Some(std::mem::take(&mut line)).filter(|full| !full.is_empty()));
            if self.width(part, size)? <= limit {
                part.clone_into(&mut line);
                continue;
            }
            result.whole = false;
            for character in part.chars() {
                if !line.is_empty() && self.width(&format!("{line}{character}"), size)? > limit {
                    result.lines.push(std::mem::take(&mut line));
                }
                line.push(character);
            }
        }
        result.lines.extend(Some(line).filter(|rest| !rest.is_empty()));
        Ok(result)
    }
}

/// The parts of a text that stay on one line, and whether a space goes before each.
fn parts(text: &str) -> impl Iterator<Item = (&str, bool)> {
    text.split_whitespace().flat_map(|word| {
        word.split_inclusive(['-', '/', '_', ',']).enumerate().map(|(index, part)| (part, index == 0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_the_bundled_font() {
        let measure = Measure::new();
        // DejaVu Sans has 2048 units per em, and digits advance by 1303 of them.
        let digits = measure.width("0123456789", 20.48).unwrap();
        assert!((digits - 130.3).abs() < 1.0, "{digits}");
        assert!(measure.width("a<b & c", 12.0).unwrap() > measure.width("a<b", 12.0).unwrap());
        assert_eq!(measure.width("", 12.0).unwrap().to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn lines_fit_and_keep_every_character() {
        let measure = Measure::new();
        let text = "ElGamal-Net with a hidden layer of sigmoid units";
        for limit in [60.0, 90.0, 200.0, 1000.0] {
            let found = measure.wrap(text, 14.0, limit).unwrap();
            assert!(measure.widest(&found.lines, 14.0).unwrap() <= limit, "{found:?}");
            let kept = |text: &str| text.replace(' ', "");
            assert_eq!(kept(&found.lines.concat()), kept(text));
        }
        assert_eq!(measure.wrap(text, 14.0, 1000.0).unwrap().lines, [text]);
        assert!(measure.wrap(text, 14.0, 90.0).unwrap().whole);
    }

    #[test]
    fn a_word_wider_than_the_line_is_broken_and_said_to_be() {
        let found = Measure::new().wrap("incomprehensibilities", 14.0, 50.0).unwrap();
        assert!(!found.whole && found.lines.len() > 2, "{found:?}");
        assert_eq!(found.lines.concat(), "incomprehensibilities");
    }

    #[test]
    fn control_characters_are_an_error() {
        assert!(matches!(Measure::new().width("a\u{1}", 12.0), Err(ChartError::Svg(_))));
    }
}
