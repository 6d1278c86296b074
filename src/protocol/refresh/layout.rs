//! Where samples, neurons and weights are in the slots.

#![expect(clippy::needless_pass_by_value, reason = "a view of an array is a reference already")]

use ndarray::{ArrayView1, ArrayView2};
use rayon::prelude::*;

/// How numbers lie in the slots of one ciphertext. A row of slots is cut into blocks of as many slots as a batch has samples, rounded up to a
/// power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One number a sample, the same in every block.
    Replicated,
    /// A neuron a block, one number a sample in it.
    Grouped,
    /// A weight a block; its first slot counts, and all of them have it once it is encrypted anew.
    Weights,
}

/// Blocks and their length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    slots: usize,
    row: usize,
    /// Slots of a block, a power of two.
    pub period: usize,
    /// Blocks that hold different numbers; 1: all hold the same.
    pub blocks: usize,
}

impl Layout {
    /// For batches of 2 to the power `log_period` on slots that rotate in rows; `None` where they do not fit.
    pub fn new(slots: usize, row: usize, log_period: u32, packing: bool) -> Option<Self> {
        let period = 1_usize.checked_shl(log_period)?;
        (period <= row).then(|| Self { slots, row, period, blocks: if packing { row / period } else { 1 } })
    }

    /// Ciphertexts that so many neurons take.
    pub fn groups(&self, neurons: usize) -> usize {
        neurons.div_ceil(self.blocks)
    }

    /// Neurons of so many that share the ciphertexts of a group.
    pub fn shared(&self, neurons: usize, group: usize) -> usize {
        neurons.saturating_sub(group * self.blocks).min(self.blocks)
    }

    /// Steps of the rotations that sum over the samples.
    pub fn sample_steps(&self) -> impl Iterator<Item = i64> {
        doubling(1, self.period)
    }

    /// Steps of the rotations that sum over the blocks.
    pub fn block_steps(&self) -> impl Iterator<Item = i64> {
        doubling(self.period, self.period * self.blocks)
    }

    /// The slots of a number for every block and sample.
    fn fill(&self, number: impl Fn(usize, usize) -> f64) -> Vec<f64> {
        let blocks = (0..self.blocks).flat_map(|block| (0..self.period).map(move |sample| (block, sample)));
        let different: Vec<f64> = blocks.map(|(block, sample)| number(block, sample)).collect();
        different.repeat(self.slots / different.len())
    }

    /// A number of every sample: as many slots as a block has are filled round and round.
    pub fn replicated(&self, values: ArrayView1<'_, f64>) -> Vec<f64> {
        self.fill(|_, sample| values.get(sample % values.len().max(1)).copied().unwrap_or(0.0))
    }

    /// The ciphertexts of neurons (neurons x samples); `beyond` stands where there are none.
    pub fn grouped(&self, values: ArrayView2<'_, f64>, beyond: f64) -> Vec<Vec<f64>> {
        let samples = values.ncols().max(1);
        let group = |group: usize| {
            self.fill(|block, sample| {
                let at = [group * self.blocks + block, sample % samples];
                values.get(at).copied().unwrap_or(beyond)
            })
        };
        (0..self.groups(values.nrows())).map(group).collect()
    }

    /// The ciphertexts of a layer's weights (outputs x inputs): those of a group of outputs lie together, one an input.
    pub fn weights(&self, values: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
        let (outputs, inputs) = values.dim();
        let at = |group: usize, input: usize| {
            self.fill(|block, _| values.get([group * self.blocks + block, input]).copied().unwrap_or(0.0))
        };
        (0..self.groups(outputs))
            .flat_map(|group| (0..inputs).map(move |input| (group, input)))
            .map(|(g, i)| at(g, i))
            .collect()
    }

    /// The weight of an output and input from the slots of its layer's ciphertexts.
    pub fn weight<N: Clone>(
        &self,
        slots: &[Vec<N>],
        (output, input): (usize, usize),
        inputs: usize,
    ) -> Option<N> {
        slots.get(output / self.blocks * inputs + input)?.get(output % self.blocks * self.period).cloned()
    }

    /// A number of a neuron and sample from the slots of a layer's grouped ciphertexts.
    pub fn neuron<N: Clone>(&self, slots: &[Vec<N>], neuron: usize, sample: usize) -> Option<N> {
        slots.get(neuron / self.blocks)?.get(neuron % self.blocks * self.period + sample).cloned()
    }

    /// The first slot of every block: what counts of weights.
    pub fn firsts(&self, slots: &[f64]) -> impl Iterator<Item = f64> {
        (0..self.blocks).map(move |block| slots.get(block * self.period).copied().unwrap_or(0.0))
    }

    /// A number in all slots of every block.
    pub fn spread(&self, numbers: &[f64]) -> Vec<f64> {
        self.fill(|block, _| numbers.get(block).copied().unwrap_or(0.0))
    }

    /// The slots of what is encrypted anew, from those that were opened: `count` neurons of one form in another, or one for one.
    pub fn reformed(&self, opened: &[Vec<f64>], from: Form, to: Form, count: usize) -> Vec<Vec<f64>> {
        match (from, to) {
            (Form::Grouped, Form::Replicated) => (0..count)
                .into_par_iter()
                .map(|neuron| self.fill(|_, sample| self.neuron(opened, neuron, sample).unwrap_or(0.0)))
                .collect(),
            (Form::Replicated, Form::Grouped) => (0..self.groups(count))
                .into_par_iter()
                .map(|group| {
                    self.fill(|block, sample| {
                        let neuron = group * self.blocks + block;
                        let found =
                            (neuron < count).then(|| opened.get(neuron)?.get(sample).copied()).flatten();
                        found.unwrap_or(0.0)
                    })
                })
                .collect(),
            (_, Form::Weights) => {
                opened.par_iter().map(|slots| self.spread(&self.firsts(slots).collect::<Vec<_>>())).collect()
            }
            _ => opened.to_vec(),
        }
    }
}

fn doubling(from: usize, to: usize) -> impl Iterator<Item = i64> {
    let steps = std::iter::successors(Some(from), |step| Some(2 * step)).take_while(move |step| *step < to);
    steps.filter_map(|step| i64::try_from(step).ok())
}
