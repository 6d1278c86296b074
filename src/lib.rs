#![doc = include_str!("../README.md")]

pub mod math;
pub mod scheme;
pub mod dataset;
pub mod network;
pub mod backend;
pub mod protocol;
pub mod experiment;
pub mod runner;
pub mod report;
pub mod cli;
