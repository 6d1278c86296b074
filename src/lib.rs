#![doc = include_str!("../README.md")]

// The chain: a lower module never imports a higher one (`tests/layers.rs`). The blank lines keep rustfmt from sorting it.

pub mod math;

pub mod scheme;

pub mod approximation;

pub mod dataset;

pub mod network;

pub mod backend;

pub mod protocol;

pub mod attack;

pub mod experiment;

pub mod runner;

pub mod report;

pub mod cli;
