//! Scales: from numbers to places on an axis, with round ticks.

use super::{Axis, Scale};

/// A tick: where it is, as a fraction of the axis, and its text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    /// Place on the axis, 0 at its first number and 1 at its last.
    pub(super) place: f64,
    /// The number, as it is printed.
    pub(super) label: String,
}

/// An axis of numbers, laid out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ruler {
    scale: Scale,
    /// First number, or its decimal logarithm.
    low: f64,
    /// Last number, or its decimal logarithm.
    high: f64,
    /// Ticks with a label.
    pub(super) ticks: Vec<Tick>,
    /// Places of the lines between them on a logarithmic axis.
    pub(super) minor: Vec<f64>,
}

/// How an axis without a given range is fitted to its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// From one round number to another.
    Round,
    /// From one round number to another, with zero (or, on a logarithmic axis, room below the least value), as bars
    /// start there.
    Bars,
    /// Just around the data.
    Close,
}

/// Mantissas of the ticks of a logarithmic axis, as logarithms; 10 closes the decade.
const ROUND: [(f64, f64); 4] =
    [(1.0, 0.0), (2.0, std::f64::consts::LOG10_2), (5.0, 1.0 - std::f64::consts::LOG10_2), (10.0, 1.0)];
/// Slack, as a share of a tick or a decade, for numbers that rounding has moved off a round one.
const SLACK: f64 = 1e-9;

impl Ruler {
    /// Lays out `axis` for data from `least` to `greatest`, which are in its range and above 0 where it is logarithmic,
    /// with about `count` ticks.
    pub(super) fn new(axis: &Axis, (least, greatest): (f64, f64), fit: Fit, count: f64) -> Self {
        match axis.scale {
            Scale::Linear => Self::linear(axis.range, (least, greatest), fit, count),
            Scale::Logarithmic => Self::logarithmic(axis.range, (least, greatest), fit, count),
        }
    }

    /// Place of a number on the axis, from 0 to 1; numbers beyond its ends are placed there.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = match self.scale {
            Scale::Linear => value,
            Scale::Logarithmic if value > 0.0 => libm::log10(value),
            Scale::Logarithmic => return 0.0,
        };
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }

    /// Whether the axis goes on to this number.
    pub(super) fn contains(&self, value: f64) -> bool {
        match self.scale {
            Scale::Linear => value >= self.low && value <= self.high,
            Scale::Logarithmic => {
                value > 0.0 && (self.low - SLACK..=self.high + SLACK).contains(&libm::log10(value))
            }
        }
    }

    fn linear(range: Option<(f64, f64)>, (least, greatest): (f64, f64), fit: Fit, count: f64) -> Self {
        let (mut low, mut high) = range.unwrap_or_else(|| {
            // A chart of positive numbers that nearly reach down to zero shows zero.
            let from_zero = fit == Fit::Bars || (fit == Fit::Round && least > 0.0 && least < 0.3 * greatest);
            if from_zero { (least.min(0.0), greatest.max(0.0)) } else { (least, greatest) }
        });
        let size = low.abs().max(high.abs());
        if high - low <= SLACK * size || size < 1e-90 {
            let room = if size < 1e-90 { 1.0 } else { 0.1 * size };
            (low, high) = (low - room, high + room);
        }
        let step = round_step((high - low) / count);
        if range.is_none() {
            if fit == Fit::Close {
                let room = 0.04 * (high - low);
                (low, high) = (low - room, high + room);
            } else {
                (low, high) = ((low / step + SLACK).floor() * step, (high / step - SLACK).ceil() * step);
            }
        }
        let (first, last) = (whole((low / step - SLACK).ceil()), whole((high / step + SLACK).floor()));
        let numbers: Vec<f64> = (first..=last).map(|index| index as f64 * step).collect();
        Self::assemble(
            Scale::Linear,
            (low, high),
            numbers.iter().map(|&n| (n, linear_label(n, step, size))),
            vec![],
        )
    }

    fn logarithmic(range: Option<(f64, f64)>, (least, greatest): (f64, f64), fit: Fit, count: f64) -> Self {
        let (low, high) = if let Some((low, high)) = range {
            (libm::log10(low), libm::log10(high))
        } else {
            // A bar of the least value must not vanish, so its axis starts below it.
            let room = if fit == Fit::Bars { 0.1 } else { 0.0 };
            let (low, high) = (round_below(libm::log10(least) - room), round_above(libm::log10(greatest)));
            if high - low < SLACK { (round_below(low - 0.1), round_above(high + 0.1)) } else { (low, high) }
        };
        let (first, last) = (whole((low - SLACK).ceil()), whole((high + SLACK).floor()));
        let (from, to) = (whole(low.floor()), whole(high.floor()));
        let inside = |place: &f64| (low - SLACK..=high + SLACK).contains(place);
        if last - first >= 2 {
            let stride = whole(((last - first) as f64 / (1.5 * count)).ceil()).max(1);
            let exponents: Vec<i64> = (first..=last).filter(|e| e.rem_euclid(stride) == 0).collect();
            let plain = exponents.iter().all(|e| (-3..=4).contains(e));
            let ticks = exponents.iter().map(|&e| (e as f64, power_label(1.0, e, plain)));
            // Between decades that are all labelled, 2 to 9; else the decades without a label.
            let minor: Vec<f64> = if stride == 1 {
                (from..=to).flat_map(|e| (2..=9).map(move |m| e as f64 + libm::log10(f64::from(m)))).collect()
            } else {
                (first..=last).map(|e| e as f64).collect()
            };
            let minor = minor.into_iter().filter(inside).collect();
            return Self::assemble(Scale::Logarithmic, (low, high), ticks, minor);
        }
        let plain = from >= -3 && to <= 4;
        let mantissas =
            |e: i64| ROUND[..3].iter().map(move |&(m, log)| (e as f64 + log, power_label(m, e, plain)));
        let ticks: Vec<(f64, String)> =
            (from..=to).flat_map(mantissas).filter(|(place, _)| inside(place)).collect();
        if ticks.len() >= 2 {
            return Self::assemble(Scale::Logarithmic, (low, high), ticks.into_iter(), vec![]);
        }
        // A range too narrow for those is nearly linear, so the ticks of a linear axis fit.
        let (start, end) = (libm::pow(10.0, low), libm::pow(10.0, high));
        let step = round_step((end - start) / count);
        let (first, last) = (whole((start / step - SLACK).ceil()), whole((end / step + SLACK).floor()));
        let numbers = (first..=last).map(|index| index as f64 * step);
        let ticks = numbers.map(|n| (libm::log10(n), linear_label(n, step, end)));
        Self::assemble(Scale::Logarithmic, (low, high), ticks, vec![])
    }

    fn assemble(
        scale: Scale,
        (low, high): (f64, f64),
        ticks: impl Iterator<Item = (f64, String)>,
        minor: Vec<f64>,
    ) -> Self {
        let place = |at: f64| ((at - low) / (high - low)).clamp(0.0, 1.0);
        let ticks = ticks.map(|(at, label)| Tick { place: place(at), label }).collect();
        Self { scale, low, high, ticks, minor: minor.into_iter().map(place).collect() }
    }
}

/// The least step of 1, 2 or 5 times a power of ten that is not below `step`, up to a little slack.
fn round_step(step: f64) -> f64 {
    let exponent = libm::floor(libm::log10(step));
    let power = libm::pow(10.0, exponent);
    let factor = ROUND.iter().map(|&(mantissa, _)| mantissa).find(|m| m * power >= 0.95 * step);
    factor.unwrap_or(10.0) * power
}

/// Logarithm of the greatest round number (1, 2 or 5 times a power of ten) not above the one with logarithm `log`.
fn round_below(log: f64) -> f64 {
    let decade = log.floor();
    let rest = ROUND.iter().rev().map(|&(_, at)| at).find(|at| *at <= log - decade + SLACK);
    decade + rest.unwrap_or(0.0)
}

/// Logarithm of the least round number not below the one with logarithm `log`.
fn round_above(log: f64) -> f64 {
    let decade = log.floor();
    let rest = ROUND.iter().map(|&(_, at)| at).find(|at| *at >= log - decade - SLACK);
    decade + rest.unwrap_or(1.0)
}

/// A tick of a linear axis with this `step` and numbers of up to `size`.
fn linear_label(value: f64, step: f64, size: f64) -> String {
    let exponent_of = |number: f64| whole(libm::floor(libm::log10(number) + SLACK));
    let finest = exponent_of(step);
    let top = if size > 0.0 { exponent_of(size) } else { 0 };
    let decimals = |exponent: i64| usize::try_from(-exponent).unwrap_or(0);
    let zero = libm::fabs(value) < 0.5 * step;
    if (top > 4 || finest < -4) && zero {
        return "0".to_owned();
    }
    if top > 4 || finest < -4 {
        let digits = value / libm::pow(10.0, top as f64);
        return minus(format!("{digits:.0$}×10{1}", decimals(finest - top), superscript(top)));
    }
    minus(format!("{:.1$}", if zero { 0.0 } else { value }, decimals(finest)))
}

/// `mantissa · 10^exponent`, written out when `plain`.
fn power_label(mantissa: f64, exponent: i64, plain: bool) -> String {
    if plain {
        let decimals = usize::try_from(-exponent).unwrap_or(0);
        return format!("{:.decimals$}", mantissa * libm::pow(10.0, exponent as f64));
    }
    let factor = if mantissa > 1.0 { format!("{mantissa}×") } else { String::new() };
    format!("{factor}10{}", superscript(exponent))
}

fn superscript(number: i64) -> String {
    let raise = |digit| match digit {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    };
    number.to_string().chars().map(raise).collect()
}

/// The hyphen before a number becomes a minus sign.
fn minus(number: String) -> String {
    match number.strip_prefix('-') {
        Some(rest) => format!("−{rest}"),
        None => number,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "tick indices and exponents are small, and the cast saturates"
)]
fn whole(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ruler: &Ruler) -> Vec<&str> {
        ruler.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    fn ruler(scale: Scale, range: Option<(f64, f64)>, data: (f64, f64), fit: Fit) -> Ruler {
        Ruler::new(&Axis { scale, range, ..Axis::default() }, data, fit, 5.0)
    }

    #[test]
    fn a_given_range_is_honoured_to_its_ends() {
        let ruler = ruler(Scale::Linear, Some((0.0, 1.0)), (0.42, 0.97), Fit::Bars);
        assert_eq!(labels(&ruler), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert!((ruler.place(0.25) - 0.25).abs() < 1e-12);
        assert!(ruler.contains(1.0) && !ruler.contains(1.001));
    }

    #[test]
    fn a_fitted_axis_runs_between_round_numbers_around_the_data() {
        assert_eq!(
            labels(&ruler(Scale::Linear, None, (12.0, 97.0), Fit::Round)),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(
            labels(&ruler(Scale::Linear, None, (81.0, 99.0), Fit::Round)),
            ["80", "85", "90", "95", "100"]
        );
        assert_eq!(labels(&ruler(Scale::Linear, None, (-3.0, 4.0), Fit::Bars)), ["−4", "−2", "0", "2", "4"]);
        let large = ruler(Scale::Linear, None, (0.0, 1.9e6), Fit::Bars);
        assert_eq!(labels(&large), ["0", "0.5×10⁶", "1.0×10⁶", "1.5×10⁶", "2.0×10⁶"]);
    }

    #[test]
    fn equal_values_still_get_an_axis_around_them() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for (value, fit) in
                [(7.0, Fit::Round), (1.0, Fit::Close), (1e-95, Fit::Bars), (1e100, Fit::Round)]
            {
                let ruler = ruler(scale, None, (value, value), fit);
                assert!(ruler.ticks.len() >= 2 && ruler.ticks.len() < 20, "{ruler:?}");
                assert!(ruler.contains(value) && ruler.place(value).is_finite(), "{ruler:?}");
            }
        }
        let zero = ruler(Scale::Linear, None, (0.0, 0.0), Fit::Bars);
        assert!((zero.place(0.0) - 0.5).abs() < 1e-12, "{zero:?}");
    }

    #[test]
    fn a_logarithmic_axis_shows_decades_and_their_parts() {
        let decades = ruler(Scale::Logarithmic, None, (0.003, 150.0), Fit::Round);
        assert_eq!(labels(&decades), ["0.01", "0.1", "1", "10", "100"]);
        assert!((decades.place(0.002)).abs() < 1e-9 && (decades.place(200.0) - 1.0).abs() < 1e-9);
        let wide = ruler(Scale::Logarithmic, None, (1e-9, 1e9), Fit::Round);
        assert_eq!(labels(&wide), ["10⁻⁹", "10⁻⁶", "10⁻³", "10⁰", "10³", "10⁶", "10⁹"]);
        let part = ruler(Scale::Logarithmic, None, (12.0, 300.0), Fit::Round);
        assert_eq!(labels(&part), ["10", "20", "50", "100", "200", "500"]);
        let narrow = ruler(Scale::Logarithmic, Some((300.0, 400.0)), (300.0, 400.0), Fit::Round);
        assert_eq!(labels(&narrow), ["300", "320", "340", "360", "380", "400"]);
        assert!(narrow.ticks[1].place > 0.2, "{narrow:?}");
    }

    #[test]
    fn the_least_bar_of_a_logarithmic_axis_is_visible() {
        assert!(ruler(Scale::Logarithmic, None, (10.0, 1000.0), Fit::Bars).place(10.0) > 0.03);
    }
}
