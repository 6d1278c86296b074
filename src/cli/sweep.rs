//! `henn sweep`

use crate::cli::{Choice, CliError, Context, ExitStatus, run};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    /// Keys of the file with the values to run
    #[arg(required = true, value_name = "KEY=V1,V2,...")]
    grid: Vec<String>,
    #[command(flatten)]
    how: run::How,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let mut plan = context.plan(&arguments.choice, &arguments.grid)?;
    // Beside the experiment's own results, never over them.
    plan.name = format!("{}.sweep", plan.name);
    run::execute(context, &plan, &arguments.how)
}
