//! `henn show`

use serde_json::json;

use crate::cli::{Choice, CliError, Context, ExitStatus, say};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    choice: Choice,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let plan = context.plan(&arguments.choice, &[])?;
    let points: Vec<_> = plan
        .points
        .iter()
        .map(|point| {
            let labels: serde_json::Map<String, serde_json::Value> =
                point.labels.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
            json!({
                "point": labels,
                "variants": point.variants,
                "repetitions": point.repetitions,
                "settings": point.task,
            })
        })
        .collect();
    let claims: Vec<_> =
        plan.claims.iter().map(|claim| json!({ "text": claim.text, "holds": claim.source })).collect();
    let whole = json!({
        "name": plan.name,
        "title": plan.title,
        "paper": plan.paper,
        "artifact": plan.artifact,
        "profile": plan.profile.name(),
        "points": points,
        "claims": claims,
    });
    say(serde_json::to_string_pretty(&whole)?);
    Ok(ExitStatus::Success)
}
