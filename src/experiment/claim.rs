//! Claims as relations between measured values: `encrypted.accuracy >= plain.accuracy - 0.01`.
//!
//! A relation is two sums of products of numbers and terms, with one comparison between them. A term is
//! `subject.metric`, where the subject is a variant or, for claims across points, a label. Signs stand between spaces, so that labels may
//! have hyphens and numbers may be negative. There are no parentheses.

use thiserror::Error;

use crate::experiment::metric::{self, Kind};

/// A comparison of two expressions.
#[derive(Debug, Clone, PartialEq)]
pub struct Relation {
    left: Sum,
    comparison: Comparison,
    right: Sum,
}

/// A sum of products, each with its sign.
type Sum = Vec<(bool, Product)>;
/// A product of factors; `true` where one divides.
type Product = Vec<(bool, Factor)>;

#[derive(Debug, Clone, PartialEq)]
enum Factor {
    Number(f64),
    Term(String, &'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    LessOrEqual,
    GreaterOrEqual,
    Less,
    Greater,
}

/// Why a relation cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RelationError {
    /// No comparison, or more than one.
    #[error("`{0}` needs exactly one of == != <= >= < >")]
    Comparison(String),
    /// Something that is neither number nor `subject.metric`.
    #[error("`{0}` is neither a number nor `variant.metric`")]
    Factor(String),
    /// A metric that does not exist.
    #[error("unknown metric `{0}`")]
    Metric(String),
}

/// Comparisons, longer spellings first so that `<=` is not read as `<`.
const COMPARISONS: [(&str, Comparison); 6] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Relation {
    /// Reads a relation.
    pub fn parse(text: &str) -> Result<Self, RelationError> {
        let (left, comparison, right) = COMPARISONS
            .iter()
            .find_map(|(sign, comparison)| {
                text.split_once(sign).map(|(left, right)| (left, *comparison, right))
            })
            .ok_or_else(|| RelationError::Comparison(text.to_owned()))?;
        if right.contains(['<', '>', '=']) {
            return Err(RelationError::Comparison(text.to_owned()));
        }
        Ok(Self { left: sum(left)?, comparison, right: sum(right)? })
    }

    /// Whether it holds, where `value` knows the terms; `None` when one of them is unknown.
    pub fn holds(&self, value: &dyn Fn(&str, &str) -> Option<f64>) -> Option<bool> {
        let (left, right) = (evaluate(&self.left, value)?, evaluate(&self.right, value)?);
        #[expect(
            clippy::float_cmp,
            reason = "a claim of equality means equality; tolerances are written as inequalities"
        )]
        Some(match self.comparison {
            Comparison::Equal => left == right,
            Comparison::NotEqual => left != right,
            Comparison::LessOrEqual => left <= right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Less => left < right,
            Comparison::Greater => left > right,
        })
    }

    /// Whether it speaks of times or memory, which differ from run to run.
    pub fn is_measured(&self) -> bool {
        self.terms().any(|(_, name)| metric::find(name).is_some_and(|metric| metric.kind == Kind::Measured))
    }

    /// What it speaks of: variants or labels.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.terms().map(|(subject, _)| subject)
    }

    fn terms(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.left.iter().chain(&self.right).flat_map(|(_, product)| product).filter_map(|(_, factor)| {
            match factor {
                Factor::Term(subject, name) => Some((subject.as_str(), *name)),
                Factor::Number(_) => None,
            }
        })
    }
}

fn sum(text: &str) -> Result<Sum, RelationError> {
    signed_parts(text, '+', '-').map(|(minus, part)| Ok((minus, product(part)?))).collect()
}

fn product(text: &str) -> Result<Product, RelationError> {
    signed_parts(text, '*', '/').map(|(divide, part)| Ok((divide, factor(part)?))).collect()
}

/// The parts between two signs that stand alone, each with whether the second stands before it.
fn signed_parts(text: &str, first: char, second: char) -> impl Iterator<Item = (bool, &str)> {
    let is_sign = move |(at, letter): &(usize, char)| {
        let (before, after) = (&text[..*at], &text[at + letter.len_utf8()..]);
        (*letter == first || *letter == second) && before.ends_with(' ') && after.starts_with(' ')
    };
    let mut signs = text.char_indices().filter(is_sign).collect::<Vec<_>>().into_iter();
    let (mut start, mut marked) = (0, Some(false));
    std::iter::from_fn(move || {
        let mine = marked?;
        let sign = signs.next();
        let part = &text[start..sign.map_or(text.len(), |(at, _)| at)];
        marked = sign.map(|(_, letter)| letter == second);
        start = sign.map_or(text.len(), |(at, letter)| at + letter.len_utf8());
        Some((mine, part))
    })
}

fn factor(text: &str) -> Result<Factor, RelationError> {
    let text = text.trim();
    if let Ok(number) = text.parse::<f64>() {
        return Ok(Factor::Number(number));
    }
    let (subject, name) = text.split_once('.').ok_or_else(|| RelationError::Factor(text.to_owned()))?;
    let metric = metric::find(name).ok_or_else(|| RelationError::Metric(name.to_owned()))?;
    Ok(Factor::Term(subject.to_owned(), metric.name))
}

fn evaluate(sum: &Sum, value: &dyn Fn(&str, &str) -> Option<f64>) -> Option<f64> {
    let mut total = 0.0;
    for (minus, product) in sum {
        let mut result = 1.0;
        for (divide, factor) in product {
            let factor = match factor {
                Factor::Number(number) => *number,
                Factor::Term(subject, name) => value(subject, name)?,
            };
            if *divide {
                result /= factor;
            } else {
                result *= factor;
            }
        }
        total += if *minus { -result } else { result };
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Option<bool> {
        let value = |subject: &str, name: &str| match (subject, name) {
            ("plain", "accuracy") => Some(0.5),
            ("encrypted", "accuracy") => Some(0.25),
            _ => None,
        };
        Relation::parse(text).unwrap().holds(&value)
    }

    #[test]
    fn relations_mean_what_they_say() {
        assert_eq!(check("plain.accuracy == 0.5"), Some(true));
        assert_eq!(check("encrypted.accuracy >= plain.accuracy - 0.2"), Some(false));
        assert_eq!(check("encrypted.accuracy >= plain.accuracy - 0.25"), Some(true));
        assert_eq!(check("plain.accuracy / encrypted.accuracy * 3 <= 6"), Some(true));
        assert_eq!(check("1 - plain.accuracy < 0.5"), Some(false));
        assert_eq!(check("2 * plain.accuracy != 1"), Some(false));
        assert_eq!(check("plain.accuracy * 2 - 1 >= -0.5"), Some(true));
        assert_eq!(check("-1 * plain.accuracy - -0.5 == 0"), Some(true));
        assert_eq!(check("simulated.accuracy > 0"), None);
    }

    #[test]
    fn what_cannot_be_read_is_refused_by_name() {
        assert!(matches!(Relation::parse("plain.accuracy"), Err(RelationError::Comparison(_))));
        assert!(matches!(Relation::parse("1 < plain.accuracy < 2"), Err(RelationError::Comparison(_))));
        let relation = Relation::parse("plan.accuracy > wide_net.loss").unwrap();
        assert_eq!(relation.subjects().collect::<Vec<_>>(), ["plan", "wide_net"]);
        let relation = Relation::parse("GELU-Net.accuracy - 2 * a/b+c.loss > 0").unwrap();
        assert_eq!(relation.subjects().collect::<Vec<_>>(), ["GELU-Net", "a/b+c"]);
        let unspaced = Err(RelationError::Metric("accuracy-1".into()));
        assert_eq!(Relation::parse("plain.accuracy-1 > 0"), unspaced);
        assert_eq!(Relation::parse("plain.acuracy > 1"), Err(RelationError::Metric("acuracy".into())));
        assert_eq!(Relation::parse("plain.accuracy > "), Err(RelationError::Factor(String::new())));
    }
}
