//! `henn check`

use crate::backend::Variant;
use crate::cli::{Choice, CliError, Context, ExitStatus, complain, say};
use crate::dataset;
use crate::experiment::plan::System;
use crate::experiment::plan::{Plan, Point};
use crate::experiment::spec::ProfileName;
use crate::runner::cost::Costs;
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
    let system = &settings.system;
    let (forecast, samples) = estimate::forecast_ahead(settings, 0)?;
    let widths: Vec<String> = system.widths().iter().map(usize::to_string).collect();
    let present = if context.store().is_present(entry) {
        String::new()
    } else {
        format!(", ABSENT: `henn datasets fetch {}`", entry.name())
    };
    let polynomial = settings.approximation.as_ref();
    let polynomial =
        polynomial.map_or_else(String::new, |found| format!(" as a polynomial of degree {}", found.degree()));
    say(format!(
        "  {}: network {}, {:?}{polynomial}, {} epochs {}; {samples} test samples, {} training iterations{present}",
        settings.data.name,
        widths.join("-"),
        settings.activation,
        settings.training.epochs,
        settings.training.optimiser,
        system.training_iterations(),
    ));
    let traffic = forecast.traffic();
    let (name, room) = match system {
        System::Split { scheme, protocol } => (
            "split",
            format!("{} of {} plaintext bits used", protocol.required_bits(), scheme.plaintext_bits()),
        ),
        System::NonInteractive { scheme, protocol } => (
            "non-interactive",
            format!(
                "depth {}; ring degree 2^{}, {} + {} primes of {} bits{}",
                protocol.depth(),
                scheme.log_degree,
                scheme.modulus_bits.len(),
                scheme.special_bits.len(),
                scheme.total_bits(),
                match scheme.plaintext_bits() {
                    0 => String::new(),
                    bits => format!(", {} plaintext moduli of {bits} bits", scheme.plaintext_moduli.len()),
                }
            ),
        ),
    };
    say(format!(
        "    {name} protocol: {} rounds, {} messages, {} bytes up, {} bytes down; {room}",
        traffic.rounds,
        traffic.messages_up + traffic.messages_down,
        traffic.bytes_up,
        traffic.bytes_down,
    ));
    for &variant in &settings.variants {
        let line = match variant {
            Variant::Plain => "real numbers".to_owned(),
            Variant::Simulated => "the encrypted circuit on numbers in the clear".to_owned(),
            Variant::Encrypted => {
                let seconds = Costs::of(settings, &forecast)?.predict(settings, &forecast);
                let mark = if settings.marked { ", BELOW the required 128: marked" } else { "" };
                let modulus = match system {
                    System::Split { scheme, .. } if scheme.modulus_bits > 0 => {
                        format!(", {} bits", scheme.modulus_bits)
                    }
                    System::Split { .. } | System::NonInteractive { .. } => String::new(),
                };
                format!(
                    "{}{modulus}: {} bits of security ({}){mark}; about {} a cell",
                    system.scheme_name(),
                    settings.security_bits,
                    system.security_source(),
                    human(seconds),
                )
            }
        };
        let mebibytes = estimate::memory(settings, entry, variant) / (1 << 20);
        say(format!("    {:<9} x {}: {line}, about {mebibytes} MiB", variant.name(), settings.repetitions));
    }
    Ok(())
}
