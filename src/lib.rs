#![doc = include_str!("../README.md")]

pub mod backend;
pub mod cli;
pub mod dataset;
pub mod experiment;
pub mod math;
pub mod network;
pub mod protocol;
pub mod report;
pub mod runner;
pub mod scheme;
