//! `henn serve`

use std::net::{TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;

use clap::value_parser;

use crate::cli::{CliError, Context, ExitStatus, credential};
use crate::protocol::ProtocolError;
use crate::protocol::channel::ChannelError;
use crate::runner::RunError;
use crate::runner::progress::Progress;
use crate::runner::serve::{self, Limits, Options};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 takes a free one. Loopback only, without --certificate, --key and --token
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7447")]
    listen: String,
    /// The server's certificate, in PEM (`henn doctor --certificates` makes one): TLS 1.3 and nothing else
    #[arg(long, value_name = "FILE", requires_all = ["key", "token"])]
    certificate: Option<PathBuf>,
    /// Its private key, in PEM
    #[arg(long, value_name = "FILE", requires_all = ["certificate", "token"])]
    key: Option<PathBuf>,
    /// The token that clients must have: 64 hexadecimal digits
    #[arg(long, value_name = "FILE", requires_all = ["certificate", "key"])]
    token: Option<PathBuf>,
    /// Write the address that was taken to this file
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Stop after so many connections
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
    #[command(flatten)]
    limits: LimitArguments,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct LimitArguments {
    /// Sessions at once
    #[arg(long, value_name = "N", default_value_t = Limits::default().sessions as u64, value_parser = value_parser!(u64).range(1..=4096))]
    sessions: u64,
    /// Sessions at once with one address (of IPv6: one network of 64 bits)
    #[arg(long, value_name = "N", default_value_t = Limits::default().sessions_per_peer as u64, value_parser = value_parser!(u64).range(1..=4096))]
    sessions_per_peer: u64,
    /// Connections at once that have not said yet who they are and what they want
    #[arg(long, value_name = "N", default_value_t = Limits::default().handshakes as u64, value_parser = value_parser!(u64).range(1..=4096))]
    handshakes: u64,
    /// The same from one address
    #[arg(long, value_name = "N", default_value_t = Limits::default().handshakes_per_peer as u64, value_parser = value_parser!(u64).range(1..=4096))]
    handshakes_per_peer: u64,
    /// Seconds in which a client has to say who it is and what it wants
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().hello_timeout.as_secs(), value_parser = value_parser!(u64).range(1..=3600))]
    hello_timeout: u64,
    /// Seconds that a client may be silent in a session
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().idle_timeout.as_secs(), value_parser = value_parser!(u64).range(1..=86_400))]
    idle_timeout: u64,
    /// Seconds that a session may last
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().session_timeout.as_secs(), value_parser = value_parser!(u64).range(1..=31_536_000))]
    session_timeout: u64,
    /// MiB that all sessions together may take, by their estimates; what is free at the start, unless given
    #[arg(long, value_name = "MIB", value_parser = value_parser!(u64).range(1..=1 << 32))]
    memory: Option<u64>,
    /// Threads that each session computes with [default: one a core, or --jobs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1024))]
    session_threads: Option<u64>,
}

impl LimitArguments {
    fn limits(&self) -> Limits {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Limits {
            sessions: count(self.sessions),
            sessions_per_peer: count(self.sessions_per_peer),
            handshakes: count(self.handshakes),
            handshakes_per_peer: count(self.handshakes_per_peer),
            hello_timeout: Duration::from_secs(self.hello_timeout),
            idle_timeout: Duration::from_secs(self.idle_timeout),
            session_timeout: Duration::from_secs(self.session_timeout),
            memory: self.memory.map(|mebibytes| mebibytes << 20),
            threads: self.session_threads.map(count),
        }
    }
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let failed = |source| {
        let address = arguments.listen.clone();
        RunError::from(ProtocolError::from(ChannelError::Listen { address, source }))
    };
    let identity = match (&arguments.certificate, &arguments.key, &arguments.token) {
        (Some(certificate), Some(key), Some(token)) => Some(credential::identity(certificate, key, token)?),
        _ => None,
    };
    let addresses: Vec<_> = arguments.listen.to_socket_addrs().map_err(failed)?.collect();
    if identity.is_none() && addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(CliError::NotLoopback(arguments.listen.clone()));
    }
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    if let Some(path) = &arguments.address_file {
        serve::announce(path, &listener)?;
    }
    let address =
        listener.local_addr().map_or_else(|_| arguments.listen.clone(), |address| address.to_string());
    let how = if identity.is_some() { "under TLS, for whoever has the token" } else { "without TLS" };
    context.progress.note(&format!("listening on {address}, {how}"));
    let progress = Progress::new(context.global.quiet);
    let options = Options {
        limits: arguments.limits.limits(),
        identity,
        connections: arguments.connections,
        ..Options::new(context.store(), Box::new(move |line| progress.note(line)))
    };
    serve::serve(&listener, options, &context.interrupt)?;
    Ok(ExitStatus::Success)
}
