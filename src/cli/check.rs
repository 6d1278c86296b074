//! `henn check`

use crate::approximation::Request;
use crate::backend::Variant;
use crate::cli::{Choice, CliError, Context, ExitStatus, complain, say};
use crate::dataset;
use crate::experiment::plan::{Plan, Point, Priced, System, Task, input_shape};
use crate::experiment::spec::ProfileName;
use crate::math::stream::Stream;
use crate::network::Network;
use crate::protocol::non_interactive::parameters::Lattice;
use crate::runner::cost::{Care, Costs};
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
    let cells: usize = plan.points.iter().map(|point| point.variants.len() * point.repetitions).sum();
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
    let present = match point.task.data().map(|name| dataset::catalogue()?.get(name)).transpose()? {
        Some(entry) if !context.store().is_present(entry) => {
            format!(", ABSENT: `henn datasets fetch {}`", entry.name())
        }
        _ => String::new(),
    };
    let settings = match &point.task {
        Task::Inference(settings) => settings,
        Task::Approximation(request) => {
            let [low, high] = request.interval;
            let Request { function, method, degree, .. } = request;
            say(format!("  {function:?} by {method:?}, degree {degree}, on [{low}, {high}]"));
            return Ok(());
        }
        Task::Attack(attack) => {
            say(format!("  {}: an attack on {:?}{present}", attack.settings.data.name, attack.on));
            return Ok(());
        }
        Task::Cost(cost) => {
            let mark = if cost.marked { ", BELOW the required 128: marked" } else { "" };
            say(format!("  cost of {}: {} bits of security{mark}", priced(&cost.of), cost.security_bits));
            return Ok(());
        }
        Task::Data { describe } => {
            say(format!("  {describe}: the data set as it is found{present}"));
            return Ok(());
        }
    };
    let entry = dataset::catalogue()?.get(&settings.data.name)?;
    let system = &settings.system;
    let (forecast, samples) = estimate::forecast_ahead(settings, 0)?;
    let network = Network::<f32>::build(
        input_shape(entry, settings.data.feature_limit),
        &settings.layer_specs(entry.classes()),
        entry.classes(),
        system.loss(),
        &Stream::seeded(0),
    );
    let layers = match (&settings.layers, network) {
        (None, _) => {
            let ends = [entry.columns(), entry.classes()];
            let widths = ends[..1].iter().chain(&settings.hidden).chain(&ends[1..]);
            widths.map(usize::to_string).collect::<Vec<_>>().join("-")
        }
        (Some(layers), Ok(network)) => {
            format!("of {} layers, {} weights", layers.len(), network.parameters())
        }
        (Some(layers), Err(_)) => format!("of {} layers", layers.len()),
    };
    let polynomial = settings.approximation.as_ref().map_or_else(String::new, |found| {
        format!(" as a polynomial of degree {} at most", found.request.degree)
    });
    say(format!(
        "  {}: network {layers}, {:?}{polynomial}, {} epochs {}; {samples} test samples, {} training iterations{present}",
        settings.data.name,
        settings.activation,
        settings.training.epochs,
        settings.training.optimiser,
        system.training_iterations(),
    ));
    if let Some(forecast) = &forecast {
        let traffic = forecast.traffic();
        say(format!(
            "    {}: {} rounds, {} messages, {} bytes up, {} bytes down; {}",
            protocol_name(system),
            traffic.rounds,
            traffic.messages_up + traffic.messages_down,
            traffic.bytes_up,
            traffic.bytes_down,
            room(system),
        ));
    } else {
        say(format!("    {}", protocol_name(system)));
    }
    for &variant in &point.variants {
        let line = match variant {
            Variant::Plain => "real numbers".to_owned(),
            Variant::Simulated => "the encrypted circuit on numbers in the clear".to_owned(),
            Variant::Encrypted => {
                let seconds = match &forecast {
                    Some(forecast) => human(Costs::of(settings, forecast, Care::Glance)?.predict(forecast)),
                    None => "an unknown time".to_owned(),
                };
                let mark = if settings.marked { ", BELOW the required 128: marked" } else { "" };
                let modulus = match system {
                    System::Split { scheme, .. } if scheme.modulus_bits > 0 => {
                        format!(", {} bits", scheme.modulus_bits)
                    }
                    _ => String::new(),
                };
                format!(
                    "{}{modulus}: {} bits of security ({}){mark}; about {} a cell",
                    system.scheme_name(),
                    settings.security_bits,
                    system.security_source(),
                    seconds,
                )
            }
        };
        let mebibytes = estimate::memory(settings, entry, variant) / (1 << 20);
        say(format!("    {:<9} x {}: {line}, about {mebibytes} MiB", variant.name(), point.repetitions));
    }
    Ok(())
}

/// What is priced, under which scheme.
fn priced(of: &Priced) -> String {
    match of {
        Priced::Polynomial { scheme, protocol, .. } => format!(
            "a polynomial of degree {} under {}: {}",
            protocol.activation.degree(),
            scheme.name,
            ring(scheme)
        ),
        Priced::Outsourced { scheme, .. } => {
            format!("an activation that goes to the client under {}", scheme.name)
        }
        Priced::Network { scheme, widths, .. } => {
            let widths = widths.iter().map(usize::to_string).collect::<Vec<_>>().join("-");
            format!("an iteration of a network {widths} under {}", scheme.name)
        }
    }
}

fn protocol_name(system: &System) -> &'static str {
    match system {
        System::Split { .. } => "split protocol",
        System::NonInteractive { .. } => "non-interactive protocol",
        System::Refresh { .. } => "refresh protocol",
        System::Pending { .. } => "non-interactive protocol, whose parameters follow from the data",
        System::Local(_) => "no protocol",
    }
}

/// How full the plaintext space is, or how large the ring.
fn room(system: &System) -> String {
    match system {
        System::Split { scheme, protocol } => {
            format!("{} of {} plaintext bits used", protocol.required_bits(), scheme.plaintext_bits())
        }
        System::NonInteractive { scheme, protocol } => {
            format!("depth {}; {}", protocol.depth(), ring(scheme))
        }
        System::Refresh { scheme, .. } => ring(&scheme.scheme),
        System::Pending { .. } | System::Local(_) => String::new(),
    }
}

fn ring(scheme: &Lattice) -> String {
    format!(
        "ring degree 2^{}, {} + {} primes of {} bits{}",
        scheme.log_degree,
        scheme.modulus_bits.len(),
        scheme.special_bits.len(),
        scheme.total_bits(),
        match scheme.plaintext_bits() {
            0 => String::new(),
            bits => format!(", {} plaintext moduli of {bits} bits", scheme.plaintext_moduli.len()),
        }
    )
}
