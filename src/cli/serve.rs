//! `henn serve`

use std::net::{TcpListener, ToSocketAddrs};
use std::path::PathBuf;

use crate::cli::{CliError, Context, ExitStatus};
use crate::protocol::ProtocolError;
use crate::protocol::channel::ChannelError;
use crate::runner::RunError;
use crate::runner::serve;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Address to listen on; port 0 takes a free one. Loopback only: there is no authentication
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7447")]
    listen: String,
    /// Write the address that was taken to this file
    #[arg(long, value_name = "FILE")]
    address_file: Option<PathBuf>,
    /// Stop after so many connections
    #[arg(long, value_name = "N")]
    connections: Option<usize>,
}

pub(super) fn main(context: &Context, arguments: &Arguments) -> Result<ExitStatus, CliError> {
    let failed = |source| {
        let address = arguments.listen.clone();
        RunError::from(ProtocolError::from(ChannelError::Listen { address, source }))
    };
    let addresses: Vec<_> = arguments.listen.to_socket_addrs().map_err(failed)?.collect();
    if addresses.iter().any(|address| !address.ip().is_loopback()) {
        return Err(CliError::NotLoopback(arguments.listen.clone()));
    }
    let listener = TcpListener::bind(addresses.as_slice()).map_err(failed)?;
    if let Some(path) = &arguments.address_file {
        serve::announce(path, &listener)?;
    }
    let address =
        listener.local_addr().map_or_else(|_| arguments.listen.clone(), |address| address.to_string());
    context.progress.note(&format!("listening on {address}"));
    serve::serve(&listener, &context.store(), arguments.connections, &context.interrupt, &context.progress)?;
    Ok(ExitStatus::Success)
}
