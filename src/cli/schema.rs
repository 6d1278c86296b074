//! `henn schema`

use crate::cli::{CliError, ExitStatus, say};

pub(super) fn main() -> Result<ExitStatus, CliError> {
    say(serde_json::to_string_pretty(&crate::experiment::schema())?);
    Ok(ExitStatus::Success)
}
