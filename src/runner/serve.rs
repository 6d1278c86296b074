//! The server party as a process of its own: `henn serve`.
//!
//! The client names a cell by sending the experiment's text; the server checks it with the same rules, prepares the same
//! model from the same seed, and plays its part. It keeps nothing from one connection to the next.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};

use crate::backend::Variant;
use crate::backend::meter::Interrupt;
use crate::dataset::Store;
use crate::experiment::plan::{Plan, Request};
use crate::experiment::spec::ProfileName;
use crate::protocol::ProtocolError;
use crate::protocol::channel::{Channel, Tcp};
use crate::protocol::message::{Kind, Message};
use crate::runner::cell::{self, Prepared};
use crate::runner::progress::Progress;
use crate::runner::watch::Watch;
use crate::runner::{RunError, file};

/// Connections that are served at once; more are turned away.
const MAX_CONNECTIONS: usize = 8;
/// No hello is longer.
const MAX_HELLO_BYTES: usize = 1 << 20;

/// Which cell the client wants.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    henn: String,
    name: String,
    text: String,
    profile: ProfileName,
    set: Vec<String>,
    grid: Vec<String>,
    point: usize,
    variant: Variant,
    repetition: usize,
    cell: String,
}

impl Hello {
    /// The hello for one cell of a plan.
    pub fn new(plan: &Plan, point: usize, variant: Variant, repetition: usize, cell: &str) -> Self {
        Self {
            henn: env!("CARGO_PKG_VERSION").to_owned(),
            name: plan.name.clone(),
            text: plan.text.clone(),
            profile: plan.profile,
            set: plan.set.clone(),
            grid: plan.grid.clone(),
            point,
            variant,
            repetition,
            cell: cell.to_owned(),
        }
    }

    /// As JSON.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// From a stranger.
    fn from_bytes(bytes: &[u8]) -> Result<Self, ProtocolError> {
        let refuse = |found: String| ProtocolError::Unexpected { found, expected: "a hello" };
        if bytes.len() > MAX_HELLO_BYTES {
            return Err(refuse(format!("a hello of {} bytes", bytes.len())));
        }
        let hello: Self =
            serde_json::from_slice(bytes).map_err(|error| refuse(format!("a broken hello ({error})")))?;
        if hello.henn == env!("CARGO_PKG_VERSION") {
            Ok(hello)
        } else {
            Err(refuse(format!("a client of version {}, this is {}", hello.henn, env!("CARGO_PKG_VERSION"))))
        }
    }
}

/// A connection that is being served.
struct Serving(Arc<AtomicUsize>);

impl Serving {
    fn new(active: &Arc<AtomicUsize>) -> Self {
        active.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(active))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Serves until interrupted, or `connections` of them.
pub fn serve(
    listener: &TcpListener,
    store: &Store,
    connections: Option<usize>,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<(), RunError> {
    let io = |error| ProtocolError::Channel(crate::protocol::channel::ChannelError::Io(error));
    // Polled, so that a wish to stop is heard while nobody calls.
    listener.set_nonblocking(true).map_err(io)?;
    let active = Arc::new(AtomicUsize::new(0));
    let mut accepted = 0;
    std::thread::scope(|scope| {
        while !interrupt.is_raised() && connections.is_none_or(|limit| accepted < limit) {
            let (stream, address) = match listener.accept() {
                Ok(connection) => connection,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                    continue;
                }
                Err(error) => {
                    progress.note(&format!("cannot accept: {error}"));
                    continue;
                }
            };
            accepted += 1;
            if active.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
                progress
                    .note(&format!("{address}: turned away, {MAX_CONNECTIONS} connections are being served"));
                continue;
            }
            let serving = Serving::new(&active);
            scope.spawn(move || {
                // Counted until the end, be it a panic.
                let _serving = serving;
                match answer(stream, store, interrupt) {
                    Ok(served) => progress.note(&format!("{address}: {served}")),
                    Err(error) => progress.note(&format!("{address}: {error}")),
                }
            });
        }
    });
    if interrupt.is_raised() { Err(RunError::Interrupted) } else { Ok(()) }
}

fn answer(stream: TcpStream, store: &Store, interrupt: &Interrupt) -> Result<String, RunError> {
    stream
        .set_nonblocking(false)
        .map_err(|error| ProtocolError::Channel(crate::protocol::channel::ChannelError::Io(error)))?;
    let mut channel: Box<dyn Channel> = Box::new(Tcp::new(stream).map_err(ProtocolError::from)?);
    match greet(channel.as_mut(), store, interrupt) {
        Ok((hello, prepared)) => {
            let watch = Watch::new(interrupt.clone());
            cell::answer_variant(&prepared, hello.variant, &watch, channel)?;
            Ok(format!("served {} {}, repetition {}", hello.name, hello.variant, hello.repetition + 1))
        }
        Err(error) => {
            let fault = Message::new(Kind::Fault, error.to_string().into_bytes());
            // The client may be gone already; then nobody is left to be told.
            drop(channel.send(fault.to_frame()));
            Err(error)
        }
    }
}

fn greet(
    channel: &mut dyn Channel,
    store: &Store,
    interrupt: &Interrupt,
) -> Result<(Hello, Prepared), RunError> {
    let refuse = |found: String| {
        RunError::Protocol(ProtocolError::Unexpected { found, expected: "a cell that can be served" })
    };
    let frame = channel.receive().map_err(ProtocolError::from)?;
    let message = Message::from_frame(frame)?.expect(Kind::Hello, "a hello")?;
    let hello = Hello::from_bytes(&message.body)?;
    let request = Request {
        name: &hello.name,
        origin: "the client's experiment",
        text: &hello.text,
        profile: hello.profile,
        set: &hello.set,
        grid: &hello.grid,
    };
    let (plan, _) = Plan::load(&request).map_err(|report| refuse(report.render(false)))?;
    let found = plan.points.get(hello.point).filter(|point| hello.repetition < point.repetitions);
    let (point, settings) = found
        .and_then(|point| Some((point, point.task.inference()?)))
        .ok_or_else(|| refuse(format!("point {}, repetition {}", hello.point, hello.repetition)))?;
    let own = cell::key(&point.task, hello.variant, hello.repetition, store)?;
    if own != hello.cell {
        return Err(refuse(format!("cell {}, which is {own} here", hello.cell)));
    }
    let prepared = Prepared::new(settings, hello.repetition, store, interrupt)?;
    Ok((hello, prepared))
}

/// Where `henn serve` writes its address, for scripts that start it on a free port.
pub fn announce(path: &std::path::Path, listener: &TcpListener) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::file(path))?;
    file::write_atomic(path, address.to_string().as_bytes())
}
