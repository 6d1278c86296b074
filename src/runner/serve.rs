//! The server party as a process of its own: `henn serve`.
//!
//! The client names a cell by sending the experiment's text; the server checks it with the same rules, prepares the same
//! model from the same seed, and plays its part. It keeps nothing from one connection to the next.
//!
//! Every connection has a thread, and every session a pool of threads of its own; what they share are counters ([`Limits`]) and the data sets on
//! the disk. Nobody can make the server do more than its limits say: connections that have not said who they are, sessions, memory and
//! every wait are bounded, each peer's share of them too. Whoever is not served to the end leaves one line in the log.

mod gate;
mod hello;
mod log;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::meter::Interrupt;
use crate::dataset::Store;
use crate::protocol::ProtocolError;
use crate::protocol::channel::{ChannelError, LENGTH_BYTES};
use crate::protocol::message::{Kind, Message};
use crate::protocol::tls::{ALERT, Identity};
use crate::runner::serve::gate::{Crowd, Gate, Peer, Ticket};
use crate::runner::serve::log::{About, Log};
use crate::runner::serve::session::{Ended, Watched};
use crate::runner::{RunError, file, provenance};

pub use self::gate::Limits;
pub use self::hello::Hello;
pub use self::log::Sink;

/// How often the server looks for connections, for sessions that last too long, and for a wish to stop.
const PERIOD: Duration = Duration::from_millis(10);
/// After a failure to accept, which the next attempt would only repeat.
const PAUSE: Duration = Duration::from_millis(200);
/// Sessions have so long to end when the server is asked to.
const GRACE: Duration = Duration::from_secs(5);
/// Connections that were turned away are kept open for so long, so that what they were told is not lost.
const PARTING: Duration = Duration::from_secs(1);
/// At most so many of them.
const MOST_PARTING: usize = 64;

/// What a server is and allows.
pub struct Options {
    /// Data sets.
    pub store: Store,
    /// What it allows.
    pub limits: Limits,
    /// Certificate and token; without, it speaks no TLS and asks for nothing.
    pub identity: Option<Identity>,
    /// Stops after so many connections.
    pub connections: Option<usize>,
    /// Where lines go.
    pub log: Sink,
}

impl Options {
    /// Without TLS and with the usual limits.
    pub fn new(store: Store, log: Sink) -> Self {
        Self { store, limits: Limits::default(), identity: None, connections: None, log }
    }
}

/// What sessions have in common.
struct Shared {
    store: Store,
    limits: Limits,
    identity: Option<Identity>,
    gate: Arc<Gate>,
    log: Log,
    sessions: Mutex<BTreeMap<u64, Arc<Watched>>>,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Watched>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends what has lasted too long.
    fn end_overdue(&self) {
        let sessions = self.sessions();
        let overdue = |watched: &&Arc<Watched>| {
            watched.since.elapsed() > self.limits.session_timeout && !watched.interrupt.is_raised()
        };
        sessions.values().filter(overdue).for_each(|watched| watched.end_overdue());
    }

    /// A connection in a thread of its own.
    fn spawn(self: &Arc<Self>, number: u64, stream: TcpStream, address: SocketAddr, handshake: Ticket) {
        let watched = Arc::new(Watched::new(Arc::new(stream)));
        self.sessions().insert(number, Arc::clone(&watched));
        let shared = Arc::clone(self);
        let name = format!("session {number}");
        let spawned = std::thread::Builder::new().name(name).spawn(move || {
            // A panic is a mistake in henn; the other sessions have nothing to do with it.
            let served =
                catch_unwind(AssertUnwindSafe(|| session::serve(&shared, &watched, address, handshake)));
            match served {
                Ok(Ok(served)) => shared.log.note(&format!("{address}: {served}")),
                Ok(Err(error)) => {
                    let about = match error {
                        Ended::Crowd(_) => About::TurnedAway,
                        _ if watched.has_session() => About::Broken,
                        _ => About::Stranger,
                    };
                    shared.log.about(address, about, &error.to_string());
                }
                Err(_) => shared.log.note(&format!("{address}: {}", RunError::Panicked)),
            }
            shared.sessions().remove(&number);
        });
        if let Err(error) = spawned {
            self.sessions().remove(&number);
            self.log.about(address, About::TurnedAway, &format!("turned away: no thread for it: {error}"));
        }
    }
}

/// Connections that were told that there is no room for them.
#[derive(Default)]
struct Parting(VecDeque<(Instant, TcpStream)>);

impl Parting {
    fn turn_away(&mut self, mut stream: TcpStream, crowd: Crowd, under_tls: bool) {
        let words = if under_tls {
            ALERT.to_vec()
        } else {
            let fault = Message::new(Kind::Fault, crowd.to_string().into_bytes()).into_frame();
            let mut frame = Vec::with_capacity(LENGTH_BYTES + fault.len());
            frame.extend(u32::try_from(fault.len()).unwrap_or(0).to_le_bytes());
            frame.extend(fault);
            frame
        };
        // Never waits: what does not go at once is not said.
        let told = stream.set_nonblocking(true).and_then(|()| stream.write_all(&words));
        if told.is_ok() && stream.shutdown(Shutdown::Write).is_ok() {
            if self.0.len() >= MOST_PARTING {
                self.0.pop_front();
            }
            self.0.push_back((Instant::now(), stream));
        }
    }

    fn let_go(&mut self) {
        while self.0.front().is_some_and(|(since, _)| since.elapsed() > PARTING) {
            self.0.pop_front();
        }
    }
}

/// Serves until interrupted, or as many connections as the options say.
pub fn serve(listener: &TcpListener, options: Options, interrupt: &Interrupt) -> Result<(), RunError> {
    let io = |error| RunError::from(ProtocolError::from(ChannelError::Io(error)));
    // Polled, so that a wish to stop is heard while nobody calls.
    listener.set_nonblocking(true).map_err(io)?;
    let Options { store, limits, identity, connections, log } = options;
    let gate = Gate::new(limits.clone(), provenance::free_memory_bytes());
    let shared =
        Arc::new(Shared { store, limits, identity, gate, log: Log::new(log), sessions: Mutex::default() });
    let mut parting = Parting::default();
    let mut accepted = 0;
    let mut is_failing = false;
    while !interrupt.is_raised() && connections.is_none_or(|limit| accepted < limit) {
        shared.end_overdue();
        parting.let_go();
        match listener.accept() {
            Ok((stream, address)) => {
                is_failing = false;
                accepted += 1;
                let admitted = shared.gate.handshake(Peer::of(address));
                match (admitted, stream.set_nonblocking(false)) {
                    (Ok(handshake), Ok(())) => shared.spawn(accepted as u64, stream, address, handshake),
                    (Err(crowd), _) => {
                        parting.turn_away(stream, crowd, shared.identity.is_some());
                        shared.log.about(address, About::TurnedAway, &crowd.to_string());
                    }
                    (_, Err(error)) => shared.log.about(address, About::Stranger, &error.to_string()),
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PERIOD),
            // The client was gone before it was looked at.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if !std::mem::replace(&mut is_failing, true) {
                    shared.log.note(&format!("cannot accept: {error}"));
                }
                std::thread::sleep(PAUSE);
            }
        }
    }
    finish(&shared, interrupt);
    if interrupt.is_raised() { Err(RunError::Interrupted) } else { Ok(()) }
}

/// Waits for the sessions that there are; once interrupted, for a moment only.
fn finish(shared: &Shared, interrupt: &Interrupt) {
    let mut stopping: Option<Instant> = None;
    loop {
        let left = shared.sessions().len();
        if left == 0 {
            return;
        }
        match stopping {
            None if interrupt.is_raised() => {
                stopping = Some(Instant::now());
                shared.sessions().values().for_each(|watched| watched.end());
            }
            None => shared.end_overdue(),
            Some(since) if since.elapsed() > GRACE => {
                shared.log.note(&format!("{left} sessions did not end within {GRACE:?}, and are abandoned"));
                return;
            }
            Some(_) => {}
        }
        std::thread::sleep(PERIOD);
    }
}

/// Where `henn serve` writes its address, for scripts that start it on a free port.
pub fn announce(path: &Path, listener: &TcpListener) -> Result<(), RunError> {
    let address = listener.local_addr().map_err(RunError::file(path))?;
    file::write_atomic(path, address.to_string().as_bytes())
}
