//! `henn run`

use std::net::ToSocketAddrs;
use std::path::PathBuf;

use crate::backend::Variant;
use crate::cli::credential;
use crate::cli::{Choice, CliError, Context, ExitStatus, complain, say};
use crate::experiment::plan::Plan;
use crate::protocol::tls::Remote;
use crate::report::reference::Reference;
use crate::report::{self, ReportError};
use crate::runner::sweep::{self, Options, Outcome};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    how: How,
}

/// How a plan is run.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Only these variants
    #[arg(long, value_enum, value_delimiter = ',')]
    variant: Vec<Variant>,
    /// Compute cells again that are cached
    #[arg(long)]
    fresh: bool,
    /// MiB that a cell may take, by the estimate of `henn check`; what is free, unless given
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=1 << 32))]
    memory: Option<u64>,
    /// Exit 1 when a claim fails or a published value is not reproduced
    #[arg(long)]
    strict: bool,
    /// Address of a serving party (`henn serve`); its own process plays the server. Loopback only, without --pin and --token
    #[arg(long, value_name = "ADDR")]
    connect: Option<String>,
    /// The server's certificate: TLS with whoever has the key to it, and with nobody else
    #[arg(long, value_name = "FILE", requires_all = ["connect", "token"])]
    pin: Option<PathBuf>,
    /// The token that the server asks for
    #[arg(long, value_name = "FILE", requires_all = ["connect", "pin"])]
    token: Option<PathBuf>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let plan = context.plan(&arguments.choice, &[])?;
    execute(context, &plan, &arguments.how)
}

/// Runs a plan, writes its report and prints it.
pub(super) fn execute(context: &Context, plan: &Plan, how: &How) -> Result<ExitStatus, CliError> {
    let reference = reference(context, plan)?;
    let store = context.store();
    let remote = remote(how)?;
    let outcome = sweep::run(
        plan,
        &Options {
            out: &context.global.out,
            variants: &how.variant,
            fresh: how.fresh,
            connect: remote.as_ref(),
            store: &store,
            memory: how.memory.map(|mebibytes| mebibytes << 20),
            interrupt: context.interrupt.clone(),
            progress: &context.progress,
        },
    )?;
    let report = report::make(plan, &outcome.finished, &outcome.not_run, reference.as_ref());
    report.write(&outcome.directory, plan, &outcome.finished, reference.as_ref())?;
    if context.global.json {
        for finished in &outcome.finished {
            say(serde_json::to_string(finished)?);
        }
    } else if !outcome.finished.is_empty() {
        say(report.to_terminal().trim_end());
    }
    closing(context, &outcome);
    Ok(if !outcome.disagreements.is_empty() {
        ExitStatus::Disagreement
    } else if outcome.interrupted {
        ExitStatus::Interrupted
    } else if outcome.finished.is_empty() || (how.strict && !report.verdict.is_good()) {
        ExitStatus::Failed
    } else {
        ExitStatus::Success
    })
}

/// The serving party, where there is one.
fn remote(how: &How) -> Result<Option<Remote>, CliError> {
    let Some(address) = &how.connect else { return Ok(None) };
    Ok(Some(if let (Some(pin), Some(token)) = (&how.pin, &how.token) {
        Remote::secured(address, credential::access(pin, token)?)
    } else {
        // A name that cannot be resolved is named when it is connected to.
        let mut addresses = address.to_socket_addrs().into_iter().flatten();
        if addresses.any(|address| !address.ip().is_loopback()) {
            return Err(CliError::NotLoopback(address.clone()));
        }
        Remote::plain(address)
    }))
}

fn closing(context: &Context, outcome: &Outcome) {
    for cell in &outcome.disagreements {
        complain(format!("error: cell {cell}: the encrypted result disagrees with its exact circuit"));
    }
    if outcome.interrupted {
        context.progress.note("interrupted: what is finished is kept, run again to go on");
    }
    let cached = match outcome.cached {
        0 => String::new(),
        n => format!(" ({n} of {} cells from cache)", outcome.finished.len()),
    };
    context.progress.note(&format!("results in {}{cached}", outcome.directory.display()));
}

/// The published values that a plan is compared with.
pub(super) fn reference(context: &Context, plan: &Plan) -> Result<Option<Reference>, CliError> {
    match &plan.paper {
        Some(paper) => Ok(Some(Reference::load(&context.experiments()?, paper).map_err(ReportError::from)?)),
        None => Ok(None),
    }
}
