//! Mean and spread over repetitions.

use serde::Serialize;

use crate::experiment::metric::Metric;
use crate::runner::record::Finished;

/// Values of one metric over repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Summary {
    /// Number of repetitions.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n - 1); none for a single repetition.
    pub std: Option<f64>,
}

impl Summary {
    /// Of the cells that have the metric; none when no cell has.
    pub fn of<'a>(metric: &Metric, cells: impl Iterator<Item = &'a Finished>) -> Option<Self> {
        let values: Vec<f64> = cells.filter_map(|cell| cell.value(metric)).collect();
        let n = values.len();
        if n == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let std = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        Some(Self { n, mean, std })
    }

    /// As it stands in tables.
    pub fn format(&self, metric: &Metric, spread: bool) -> String {
        match self.std {
            Some(std) if spread => format!("{} ± {}", metric.format(self.mean), metric.format(std)),
            _ => metric.format(self.mean),
        }
    }
}
