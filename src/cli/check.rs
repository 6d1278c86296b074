//! `henn check`

use crate::backend::Variant;
use crate::cli::{Choice, CliError, Context, ExitStatus, complain, say};
use crate::dataset;
use crate::experiment::plan::{Plan, Point};
use crate::experiment::spec::ProfileName;
use crate::runner::cost::UnitCosts;
use crate::runner::estimate;
use crate::runner::progress::human;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Names or files
    #[arg(required = true)]
    #[arg(id = "names", value_name = "EXPERIMENT")]
    experiments: Vec<String>,
    /// Scale [default: both]
    #[arg(long, value_enum)]
    profile: Option<ProfileName>,
    /// Override a key of the file
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let mut status = ExitStatus::Success;
    let profiles = match arguments.profile {
        Some(profile) => vec![profile],
        None => vec![ProfileName::Quick, ProfileName::Paper],
    };
    for experiment in &arguments.experiments {
        for &profile in &profiles {
            let choice =
                Choice { experiment: experiment.clone(), profile, set: arguments.set.clone(), seed: None };
            match context.plan(&choice, &[]) {
                Ok(plan) => describe(context, &plan)?,
                Err(error) => {
                    complain(match &error {
                        CliError::Invalid(report) => report.render(super::color()).trim_end().to_owned(),
                        other => format!("error: {other}"),
                    });
                    // An invalid file weighs more than an insecure one.
                    if status != ExitStatus::Usage {
                        status = error.status();
                    }
                    break;
                }
            }
        }
    }
    Ok(status)
}

fn describe(context: &Context, plan: &Plan) -> Result<(), CliError> {
    let cells: usize =
        plan.points.iter().map(|point| point.settings.variants.len() * point.settings.repetitions).sum();
    say(format!(
        "{} ({} profile): {} points, {cells} cells",
        plan.name,
        plan.profile.name(),
        plan.points.len()
    ));
    for point in &plan.points {
        describe_point(context, point)?;
    }
    Ok(())
}

fn describe_point(context: &Context, point: &Point) -> Result<(), CliError> {
    let settings = &point.settings;
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    let protocol = &settings.protocol;
    let (forecast, samples) = estimate::forecast_ahead(settings, 0)?;
    let widths: Vec<String> = protocol.widths.iter().map(usize::to_string).collect();
    let present = if context.store().is_present(entry) {
        String::new()
    } else {
        format!(", ABSENT: `henn datasets fetch {}`", entry.name())
    };
    say(format!(
        "  {}: network {}, {:?}, {} epochs at rate {}; {samples} test samples, {} training iterations{present}",
        settings.data.name,
        widths.join("-"),
        protocol.activation,
        settings.training.epochs,
        settings.training.learning_rate,
        protocol.training_iterations,
    ));
    let traffic = forecast.traffic;
    say(format!(
        "    split protocol: {} rounds, {} messages, {} bytes up, {} bytes down; {} of {} plaintext bits used",
        traffic.rounds,
        traffic.messages_up + traffic.messages_down,
        traffic.bytes_up,
        traffic.bytes_down,
        protocol.required_bits(),
        settings.scheme.parameters.plaintext_bits(),
    ));
    for &variant in &settings.variants {
        let line = match variant {
            Variant::Plain => "real numbers".to_owned(),
            Variant::Simulated => "the encrypted circuit on integers in the clear".to_owned(),
            Variant::Encrypted => {
                let seconds = UnitCosts::of(&settings.scheme.parameters)?.predict(settings, &forecast);
                let mark = if settings.scheme.marked { ", BELOW the required 128: marked" } else { "" };
                let parameters = &settings.scheme.parameters;
                let modulus = match parameters.modulus_bits {
                    0 => String::new(),
                    bits => format!(", {bits} bits"),
                };
                format!(
                    "{}{modulus}: {} bits of security ({}){mark}; about {} a cell",
                    parameters.name,
                    settings.scheme.security_bits,
                    parameters.security_source(),
                    human(seconds),
                )
            }
        };
        let mebibytes = estimate::memory(settings, entry, variant) / (1 << 20);
        say(format!("    {:<9} x {}: {line}, about {mebibytes} MiB", variant.name(), settings.repetitions));
    }
    Ok(())
}
