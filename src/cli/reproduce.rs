//! `henn reproduce`

use crate::cli::{Choice, CliError, Context, ExitStatus, complain, names, run};
use crate::experiment::spec::ProfileName;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Papers; all of them when none is named
    papers: Vec<String>,
    /// Only these artifacts, for example `table_3`
    #[arg(long, value_name = "ARTIFACT")]
    artifact: Vec<String>,
    /// Scale
    #[arg(long, value_enum, default_value = "quick")]
    profile: ProfileName,
    #[command(flatten)]
    how: run::How,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let names: Vec<String> = names(&context.experiments()?)
        .into_iter()
        .filter(|name| {
            name.split_once('/').is_some_and(|(paper, artifact)| {
                (arguments.papers.is_empty() || arguments.papers.iter().any(|wanted| wanted == paper))
                    && (arguments.artifact.is_empty()
                        || arguments.artifact.iter().any(|wanted| wanted == artifact))
            })
        })
        .collect();
    if names.is_empty() {
        return Err(CliError::Usage(
            "no experiment of these papers and artifacts; see `henn list`".to_owned(),
        ));
    }
    let mut worst = ExitStatus::Success;
    for experiment in names {
        let choice = Choice { experiment, profile: arguments.profile, set: Vec::new(), seed: None };
        let status = context.plan(&choice, &[]).and_then(|plan| run::execute(context, &plan, &arguments.how));
        let status = match status {
            Ok(status) => status,
            // One experiment that cannot run does not keep the others from running.
            Err(error) => {
                complain(format!("error: {}: {error}", choice.experiment));
                error.status()
            }
        };
        match status {
            ExitStatus::Interrupted => return Ok(status),
            ExitStatus::Success => {}
            other => worst = other,
        }
    }
    Ok(worst)
}
