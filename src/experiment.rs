//! From an experiment file to a checked plan.
//!
//! A file is parsed into a [`document`] that remembers places, overlaid by a profile, `--set` and the points of a sweep,
//! read into a [`spec`] and checked into a [`plan`]. Whatever is wrong is a [`diagnostic`], all of them in one go.

pub mod check;
pub mod claim;
pub mod diagnostic;
pub mod document;
pub mod metric;
pub mod plan;
pub mod spec;

/// The JSON schema of experiment files, for editors.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(spec::Spec).to_value()
}
