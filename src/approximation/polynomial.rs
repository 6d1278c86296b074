//! Polynomials, in powers or in Chebyshev's polynomials.

use serde::{Deserialize, Serialize};

/// What coefficients are those of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// 1, x, x², ...
    Monomial,
    /// Chebyshev's polynomials of the first kind on the interval.
    Chebyshev,
}

/// A polynomial, and where it stands for a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polynomial {
    /// What the coefficients are those of.
    pub basis: Basis,
    /// That of degree 0 first.
    pub coefficients: Vec<f64>,
    /// Where it was fitted; Chebyshev's polynomials are those of this interval.
    pub interval: [f64; 2],
}

impl Polynomial {
    /// Of powers of x.
    pub fn monomial(coefficients: Vec<f64>, interval: [f64; 2]) -> Self {
        Self { basis: Basis::Monomial, coefficients, interval }
    }

    /// The highest power whose coefficient is not 0; 0 of a constant.
    pub fn degree(&self) -> usize {
        self.coefficients.iter().rposition(|coefficient| *coefficient != 0.0).unwrap_or(0)
    }

    /// The value: by Horner's or Clenshaw's recurrence.
    pub fn value(&self, x: f64) -> f64 {
        match self.basis {
            Basis::Monomial => {
                self.coefficients.iter().rev().fold(0.0, |sum, coefficient| sum * x + coefficient)
            }
            Basis::Chebyshev => {
                let [low, high] = self.interval;
                let u = (2.0 * x - (low + high)) / (high - low);
                let (first, rest) = self.coefficients.split_first().map_or((0.0, &[][..]), |(a, b)| (*a, b));
                let step = |(a, b): (f64, f64), c: &f64| (c + 2.0 * u * a - b, a);
                let (a, b) = rest.iter().rev().fold((0.0, 0.0), step);
                first + u * a - b
            }
        }
    }

    /// The derivative's value; that of Chebyshev's polynomials by `T_n' = n U_(n-1)`.
    pub fn derivative(&self, x: f64) -> f64 {
        match self.basis {
            Basis::Monomial => {
                let terms = self.coefficients.iter().enumerate().skip(1).rev();
                terms.fold(0.0, |sum, (power, coefficient)| sum * x + power as f64 * coefficient)
            }
            Basis::Chebyshev => {
                let [low, high] = self.interval;
                let u = (2.0 * x - (low + high)) / (high - low);
                // U_(n-1) and U_(n-2)
                let mut second = (1.0, 0.0);
                let mut sum = 0.0;
                for (n, coefficient) in self.coefficients.iter().enumerate().skip(1) {
                    sum += n as f64 * coefficient * second.0;
                    second = (2.0 * u * second.0 - second.1, second.0);
                }
                sum * 2.0 / (high - low)
            }
        }
    }

    /// The same in powers of x. Chebyshev's coefficients become powers of u in [-1, 1] first and of x last, so that on an interval about 0
    /// every power keeps its own digits however wide the interval is; on others the shift takes digits.
    #[must_use]
    pub fn to_monomial(&self) -> Self {
        if self.basis == Basis::Monomial {
            return self.clone();
        }
        let [low, high] = self.interval;
        let (middle, half) = (low.midpoint(high), (high - low) / 2.0);
        let powers = powers_of(&self.coefficients);
        let coefficients = if middle == 0.0 {
            let mut scale = 1.0;
            let scaled = powers.into_iter().map(|coefficient| {
                let result = coefficient / scale;
                scale *= half;
                result
            });
            scaled.collect()
        } else {
            // Horner's rule on polynomials: p <- p (x - middle) / half + c.
            powers.iter().rev().fold(Vec::with_capacity(powers.len()), |sum: Vec<f64>, coefficient| {
                let mut next = vec![*coefficient];
                next.resize(sum.len() + 1, 0.0);
                for (power, c) in sum.iter().enumerate() {
                    next[power] -= c * (middle / half);
                    next[power + 1] += c / half;
                }
                next
            })
        };
        Self::monomial(coefficients, self.interval)
    }

    /// Products of ciphertexts that follow one another when it is evaluated: the least that any method takes, the product with the
    /// leading coefficient included.
    pub fn depth(&self) -> u32 {
        (self.degree() + 1).next_power_of_two().trailing_zeros()
    }
}

/// A sum of Chebyshev's polynomials in powers, by `T_(n+1) = 2 u T_n - T_(n-1)`; their coefficients are integers.
fn powers_of(chebyshev: &[f64]) -> Vec<f64> {
    let mut powers = vec![0.0; chebyshev.len()];
    // T_n and T_(n-1)
    let (mut now, mut before) = (vec![1.0], Vec::new());
    for coefficient in chebyshev {
        powers.iter_mut().zip(&now).for_each(|(sum, power)| *sum += coefficient * power);
        let mut next = vec![0.0; now.len() + 1];
        // T_1 is u, and from there on 2 u T_n.
        let factor = if now.len() == 1 { 1.0 } else { 2.0 };
        next.iter_mut().skip(1).zip(&now).for_each(|(sum, power)| *sum += factor * power);
        next.iter_mut().zip(&before).for_each(|(sum, power)| *sum -= power);
        before = std::mem::replace(&mut now, next);
    }
    powers
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Chebyshev's polynomials are cosines of multiples.
        #[test]
        fn chebyshev_polynomials_are_cosines(degree in 0_usize..12, angle in 0.0..std::f64::consts::PI) {
            let mut coefficients = vec![0.0; degree + 1];
            coefficients[degree] = 1.0;
            let polynomial = Polynomial { basis: Basis::Chebyshev, coefficients, interval: [-3.0, 5.0] };
            let x = 1.0 + 4.0 * angle.cos();
            prop_assert!((polynomial.value(x) - (degree as f64 * angle).cos()).abs() < 1e-10);
            if angle.sin() > 0.01 {
                let slope = degree as f64 * (degree as f64 * angle).sin() / angle.sin() / 4.0;
                prop_assert!((polynomial.derivative(x) - slope).abs() < 1e-8);
            }
        }

        #[test]
        fn monomials_are_powers(coefficients in prop::collection::vec(-2.0..2.0, 0..8), x in -2.0..2.0) {
            let polynomial = Polynomial::monomial(coefficients.clone(), [-2.0, 2.0]);
            let power = |i: usize| f64::powi(x, i32::try_from(i).unwrap());
            let value: f64 = coefficients.iter().enumerate().map(|(i, c)| c * power(i)).sum();
            prop_assert!((polynomial.value(x) - value).abs() < 1e-9);
            let slope: f64 = coefficients.iter().enumerate().skip(1).map(|(i, c)| c * i as f64 * power(i - 1)).sum();
            prop_assert!((polynomial.derivative(x) - slope).abs() < 1e-9);
        }
    }

    proptest! {
        #[test]
        fn powers_have_the_values_of_chebyshevs_polynomials(
            coefficients in prop::collection::vec(-2.0..2.0, 0..9), low in -3.0..0.0_f64, width in 1.0..6.0_f64, at in 0.0..1.0_f64,
        ) {
            for interval in [[low, low + width], [-width, width]] {
                let chebyshev = Polynomial { basis: Basis::Chebyshev, coefficients: coefficients.clone(), interval };
                let x = interval[0] + at * (interval[1] - interval[0]);
                let powers = chebyshev.to_monomial();
                prop_assert_eq!(powers.basis, Basis::Monomial);
                // Narrow and far from 0 an interval costs up to 5 bits a degree.
                prop_assert!((powers.value(x) - chebyshev.value(x)).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn powers_of_the_ninth_polynomial_are_exact() {
        let mut coefficients = vec![0.0; 10];
        coefficients[9] = 1.0;
        let chebyshev = Polynomial { basis: Basis::Chebyshev, coefficients, interval: [-2.0, 2.0] };
        // T_9 = 256 u^9 - 576 u^7 + 432 u^5 - 120 u^3 + 9 u at u = x/2
        let expected = [0.0, 4.5, 0.0, -15.0, 0.0, 13.5, 0.0, -4.5, 0.0, 0.5];
        assert_eq!(chebyshev.to_monomial().coefficients, expected);
    }

    #[test]
    fn depth_counts_the_leading_coefficient() {
        let depth = |degree: usize| {
            let mut coefficients = vec![0.0; degree + 1];
            coefficients[degree] = 1.0;
            Polynomial::monomial(coefficients, [-1.0, 1.0]).depth()
        };
        assert_eq!([0, 1, 2, 3, 4, 7, 8].map(depth), [0, 1, 2, 2, 3, 3, 4]);
    }
}
