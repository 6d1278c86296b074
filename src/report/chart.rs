//! Charts for publication: bars, lines and published values, as SVG and as PNG.
//!
//! The SVG depends on the chart alone, so equal charts are equal files. Colours are those of Okabe and Ito ("Color
//! Universal Design", 2008), which colour-blind readers can tell apart; marker shapes and hatches repeat the
//! distinction for grey print. The PNG is the SVG rasterised at twice its size with the bundled `DejaVu` Sans, whatever
//! fonts the machine has.

mod check;
mod draw;
pub mod gallery;
mod layout;
mod mark;
mod scale;
mod sheet;
mod text;

pub use check::ChartError;
pub use sheet::Sheet;

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
    /// Lines without markers, but for the last point of each: a new one begins where x does not grow.
    Curve,
    /// A cross on each point, where something ends.
    Cross,
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
        Sheet { title: String::new(), charts: vec![self.clone()], columns: None }.png()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resvg::{tiny_skia, usvg};

    fn series(name: &str, mark: Mark, points: &[(f64, f64)]) -> Series {
        let points = points.iter().map(|&(x, y)| Point { x, y, error: Some(0.01) }).collect();
        Series { name: name.to_owned(), mark, points }
    }

    fn bars(categories: &[&str]) -> Chart {
        let values = |y: f64| (0..categories.len()).map(|x| (x as f64, y)).collect::<Vec<_>>();
        Chart {
            title: "Accuracy <under> encryption".to_owned(),
            x: Axis {
                label: "data set".to_owned(),
                categories: categories.iter().map(|&name| name.to_owned()).collect(),
                ..Axis::default()
            },
            y: Axis { label: "accuracy (share)".to_owned(), range: Some((0.0, 1.0)), ..Axis::default() },
            series: vec![
                series("plaintext", Mark::Bar, &values(0.9)),
                series("Paillier & co.", Mark::Bar, &values(0.5)),
                series("published", Mark::Point, &values(0.7)),
            ],
        }
    }

    fn lines() -> Chart {
        let axis = |label: &str, scale| Axis { label: label.to_owned(), scale, ..Axis::default() };
        Chart {
            title: "Time to encrypt".to_owned(),
            x: axis("key length (bits)", Scale::Linear),
            y: axis("time (s)", Scale::Logarithmic),
            series: vec![
                series("Paillier", Mark::Line, &[(512.0, 0.02), (1024.0, 0.2), (2048.0, 30.0)]),
                series("ElGamal", Mark::Line, &[(512.0, 0.002), (1024.0, 0.01), (2048.0, 0.1)]),
            ],
        }
    }

    /// The boxes of all texts of a chart, as the rasteriser places them: left, top, right, bottom.
    fn texts(chart: &Chart) -> (usvg::Size, Vec<[f32; 4]>) {
        let tree = text::Measure::new().parse(&chart.svg().unwrap()).unwrap();
        let boxes = tree.root().children().iter().filter_map(|node| match node {
            usvg::Node::Text(text) => {
                let at = text.abs_bounding_box();
                Some([at.left(), at.top(), at.right(), at.bottom()])
            }
            _ => None,
        });
        (tree.size(), boxes.collect())
    }

    #[test]
    fn a_curve_begins_anew_where_x_does_not_grow_and_crosses_join_nothing() {
        let mut chart = lines();
        let count = |chart: &Chart| chart.svg().unwrap().matches("<polyline").count();
        let points =
            [(512.0, 0.02), (1024.0, 0.2), (2048.0, 30.0), (512.0, 0.03), (1024.0, 0.1), (512.0, 0.5)];
        // Without error bars, which are strokes too.
        let series = |name, mark, points: &[(f64, f64)]| {
            let mut series = series(name, mark, points);
            series.points.iter_mut().for_each(|point| point.error = None);
            series
        };
        chart.series = vec![series("runs", Mark::Curve, &points[..3])];
        let one = count(&chart);
        chart.series = vec![series("runs", Mark::Curve, &points[..5])];
        assert_eq!(count(&chart), one + 1);
        let without = count(&chart);
        chart.series.push(series("ends", Mark::Cross, &points[2..3]));
        // Two strokes with their rims, on the point and in the legend.
        assert_eq!(count(&chart), without + 8);
    }

    #[test]
    fn equal_charts_give_equal_bytes() {
        for chart in [bars(&["Iris", "MNIST"]), lines()] {
            assert_eq!(chart.svg().unwrap(), chart.clone().svg().unwrap());
            assert_eq!(chart.png().unwrap(), chart.clone().png().unwrap());
        }
        assert_ne!(bars(&["Iris"]).svg().unwrap(), bars(&["Wine"]).svg().unwrap());
    }

    #[test]
    fn every_label_is_in_the_svg() {
        let svg = bars(&["Iris", "Breast cancer"]).svg().unwrap();
        for label in [
            "Accuracy &lt;under&gt; encryption",
            "data set",
            "accuracy (share)",
            "Iris",
            "Breast cancer",
            "plaintext",
            "Paillier &amp; co.",
            "published",
            "0.0",
            "1.0",
        ] {
            assert!(svg.contains(&format!("{label}\n</text>")), "{label}");
        }
        assert!(svg.contains(r#"font-family="DejaVu Sans, sans-serif""#));
    }

    #[test]
    fn the_image_is_twice_the_size_of_the_svg_and_has_the_colours() {
        let chart = bars(&["Iris"]);
        let (size, _) = texts(&chart);
        let image = tiny_skia::Pixmap::decode_png(&chart.png().unwrap()).unwrap();
        let twice = size.to_int_size().scale_by(2.0).unwrap();
        assert_eq!((image.width(), image.height()), (twice.width(), twice.height()));
        let count = |rgb: [u8; 3]| {
            image
                .pixels()
                .iter()
                .filter(|p| [p.red(), p.green(), p.blue()] == rgb && p.alpha() == 255)
                .count()
        };
        assert!(count([0xFF; 3]) > 100_000);
        // The plaintext bar: about 41 x 261 units, at 4 pixels per unit.
        let blue = count([0x00, 0x72, 0xB2]);
        assert!((38_000..48_000).contains(&blue), "{blue}");
    }

    #[test]
    fn a_bar_and_its_error_bar_are_as_high_as_their_values() {
        let mut chart = bars(&["Iris"]);
        chart.series = vec![series("only", Mark::Bar, &[(0.0, 0.5)])];
        chart.series[0].points[0].error = Some(0.75);
        let (layout, svg) =
            (layout::Layout::of(&chart, &text::Measure::new()).unwrap(), chart.svg().unwrap());
        assert!(svg.contains(&format!(r#"height="{}""#, 0.5 * layout.plot_height)), "{svg}");
        // Cut off at both ends of the axis, so one line from top to bottom and no caps.
        let (x, top) = (layout.left + 0.5 * layout.plot_width, layout.top);
        let (x, bottom) = (x.round(), top + layout.plot_height);
        assert!(svg.contains(&format!(r#"points="{x},{bottom} {x},{top} ""#)), "{svg}");
        assert_eq!(svg.matches(r##"stroke="#222222""##).count(), 1);
    }

    #[test]
    fn texts_do_not_overlap_and_stay_within_the_chart() {
        let long = "GELU-Net with two hidden layers of thirty-two units and incomprehensibilities";
        let mut crowded = bars(&[long; 30]);
        crowded.title = long.repeat(3);
        crowded.y.label = long.to_owned();
        crowded.series.extend((0..9).map(|_| series(long, Mark::Point, &[(1.0, 0.5)])));
        let mut numbers = lines();
        numbers.x.range = Some((123_456.0, 123_457.0));
        numbers.series = vec![series("narrow", Mark::Line, &[(123_456.5, 1e-60), (123_456.75, 1e60)])];
        for chart in
            [bars(&["Iris"]), bars(&["Iris", "Breast cancer (Wisconsin)", long]), lines(), crowded, numbers]
        {
            let (size, boxes) = texts(&chart);
            for (index, a) in boxes.iter().enumerate() {
                assert!(
                    a[0] >= 0.0 && a[1] >= 0.0 && a[2] <= size.width() && a[3] <= size.height(),
                    "{a:?} {size:?}"
                );
                for b in &boxes[index + 1..] {
                    assert!(a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1], "{a:?} and {b:?}");
                }
            }
        }
    }

    #[test]
    fn published_values_stand_beside_the_bars() {
        let chart = bars(&["Iris", "MNIST"]);
        let layout = layout::Layout::of(&chart, &text::Measure::new()).unwrap();
        let layout::Horizontal::Categories(axis) = &layout.x else { panic!("categories expected") };
        let half = axis.slot / 2.0;
        assert!(axis.offsets[2] - half >= axis.offsets[1] + half - 1e-9);
        assert!(axis.offsets[1] - half >= axis.offsets[0] + half - 1e-9);
        assert!(axis.offsets[2] + half <= axis.pitch / 2.0 && axis.offsets[0] - half >= -axis.pitch / 2.0);
    }

    #[test]
    fn what_cannot_be_drawn_is_a_typed_error() {
        fn error(chart: Chart, change: impl Fn(&mut Chart)) -> ChartError {
            let mut chart = chart;
            change(&mut chart);
            assert!(chart.png().is_err());
            chart.svg().unwrap_err()
        }
        use ChartError as E;
        let bars = || bars(&["Iris", "MNIST"]);
        assert!(matches!(error(bars(), |c| c.series.clear()), E::NoSeries));
        assert!(
            matches!(error(bars(), |c| c.series[1].points.clear()), E::EmptySeries { series } if series.starts_with('P'))
        );
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let found = error(bars(), |c| c.series[0].points[1].y = bad);
            assert!(matches!(found, E::NotFinite { point: 1, quantity: "y", .. }));
            assert!(matches!(
                error(lines(), |c| c.series[0].points[0].x = bad),
                E::NotFinite { quantity: "x", .. }
            ));
            let found = error(lines(), |c| c.series[0].points[0].error = Some(bad));
            assert!(matches!(found, E::NotFinite { quantity: "error", .. }));
            assert!(matches!(error(bars(), |c| c.series[0].points[0].x = bad), E::NoSuchCategory { .. }));
            assert!(matches!(
                error(lines(), |c| c.y.range = Some((1.0, bad))),
                E::InvalidRange { axis: "y", .. }
            ));
        }
        let found = error(bars(), |c| c.series[0].points[0].error = Some(-0.1));
        assert!(matches!(found, E::OutOfRange { quantity: "error", .. }));
        assert!(matches!(
            error(bars(), |c| c.series[0].points[0].y = 1.01),
            E::OutOfRange { quantity: "y", .. }
        ));
        assert!(matches!(
            error(lines(), |c| c.series[0].points[0].y = 0.0),
            E::NotPositive { quantity: "y", .. }
        ));
        for x in [2.0, 0.5, -1.0] {
            let found = error(bars(), |c| c.series[2].points[0].x = x);
            assert!(matches!(found, E::NoSuchCategory { categories: 2, .. }));
        }
        assert!(
            matches!(error(bars(), |c| c.series[0].points[1].x = 0.0), E::RepeatedBar { category, .. } if category == "Iris")
        );
        assert!(matches!(error(bars(), |c| c.x.categories.clear()), E::BarsNeedCategories { .. }));
        assert!(matches!(
            error(bars(), |c| c.y.categories.push("a".to_owned())),
            E::CategoriesOnY { count: 1 }
        ));
        for range in [(1.0, 1.0), (1.0, 0.0), (1.0, 1.0 + 1e-12)] {
            assert!(matches!(error(bars(), |c| c.y.range = Some(range)), E::InvalidRange { axis: "y", .. }));
        }
        assert!(matches!(
            error(lines(), |c| c.y.range = Some((0.0, 9.0))),
            E::InvalidRange { axis: "y", .. }
        ));
        assert!(matches!(error(bars(), |c| c.title.push('\u{7}')), E::Svg(_)));
    }

    #[test]
    fn extreme_numbers_are_drawn() {
        for (low, high) in [(-1e100, 1e100), (0.0, 5e-324), (1e-99, 1e100), (1.0, 1.0 + 1e-15)] {
            let mut chart = lines();
            chart.series = vec![series("extreme", Mark::Line, &[(low, high), (high, high)])];
            for y in [Scale::Linear, Scale::Logarithmic] {
                chart.y.scale = y;
                chart.series[0].points.iter_mut().for_each(|point| point.y = high.max(1e-100));
                assert!(chart.svg().unwrap().matches("</text>").count() > 7);
            }
        }
    }
}
