//! henn
pub mod math;
