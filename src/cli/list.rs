//! `henn list`

use crate::cli::{Choice, CliError, Context, ExitStatus, complain, names, say};
use crate::experiment::spec::ProfileName;
use crate::report::export::grid;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Only experiments of this paper
    paper: Option<String>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let mut rows = Vec::new();
    let mut status = ExitStatus::Success;
    for name in names(&context.experiments()?) {
        if arguments.paper.as_ref().is_some_and(|paper| !name.starts_with(&format!("{paper}/"))) {
            continue;
        }
        let choice =
            Choice { experiment: name.clone(), profile: ProfileName::Quick, set: Vec::new(), seed: None };
        match context.plan(&choice, &[]) {
            Ok(plan) => rows.push((name, plan.title)),
            Err(error) => {
                complain(error);
                status = ExitStatus::Usage;
            }
        }
    }
    if context.global.json {
        for (name, title) in rows {
            say(serde_json::json!({ "name": name, "title": title }));
        }
    } else {
        let heads = ["name", "title"].map(str::to_owned);
        let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, title)| vec![name, title]).collect();
        let table = grid(&heads, 2, &rows);
        say(table);
    }
    Ok(status)
}
