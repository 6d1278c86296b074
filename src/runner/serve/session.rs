//! One client, from its first byte to its last.

use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::backend::meter::Interrupt;
use crate::dataset;
use crate::experiment::plan::Plan;
use crate::protocol::ProtocolError;
use crate::protocol::channel::{Channel, ChannelError, Tcp, linger};
use crate::protocol::message::{Kind, Message};
use crate::protocol::tls::Identity;
use crate::runner::cell::{self, Prepared};
use crate::runner::serve::Shared;
use crate::runner::serve::gate::{Crowd, Peer, Ticket};
use crate::runner::serve::hello::{Hello, MAX_FRAME_BYTES};
use crate::runner::watch::Watch;
use crate::runner::{RunError, estimate};

/// A client that was told why it is not served has so long to hear it.
const PARTING: Duration = Duration::from_secs(2);

/// What there is of a session for whoever watches over it.
pub(super) struct Watched {
    pub(super) stream: Arc<TcpStream>,
    pub(super) since: Instant,
    pub(super) interrupt: Interrupt,
    is_overdue: AtomicBool,
    has_session: AtomicBool,
}

impl Watched {
    pub(super) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            since: Instant::now(),
            interrupt: Interrupt::default(),
            is_overdue: AtomicBool::new(false),
            has_session: AtomicBool::new(false),
        }
    }

    /// Whether it has been let in.
    pub(super) fn has_session(&self) -> bool {
        self.has_session.load(Ordering::Relaxed)
    }

    /// Ends the session: neither a computation nor a silent client keeps it.
    pub(super) fn end(&self) {
        self.interrupt.raise();
        // One that is closed already needs no end.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// The same for one that has lasted too long.
    pub(super) fn end_overdue(&self) {
        self.is_overdue.store(true, Ordering::Relaxed);
        self.end();
    }
}

/// Why a client was not served to its end.
#[derive(Debug, Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Channel(#[from] ChannelError),
    #[error("{0}")]
    Crowd(#[from] Crowd),
    /// What the client's file has for mistakes is for the client; the log has their number.
    #[error("the client's experiment was refused: {0} mistakes")]
    Mistakes(usize, String),
    #[error("{0}")]
    Run(#[from] RunError),
    #[error("no threads for the session: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    #[error("the session lasted longer than {0:?}, and was ended")]
    Overdue(Duration),
    #[error("the server is stopping")]
    Stopping,
}

impl From<ProtocolError> for Ended {
    fn from(error: ProtocolError) -> Self {
        match error {
            ProtocolError::Channel(error) => Self::Channel(error),
            other => Self::Run(other.into()),
        }
    }
}

impl Ended {
    /// What the client may be told.
    fn for_peer(&self) -> String {
        match self {
            Self::Mistakes(_, report) => report.clone(),
            Self::Run(RunError::Protocol(error)) => error.for_peer(),
            other => other.to_string(),
        }
    }
}

/// Serves a client, and says in a line how it went.
pub(super) fn serve(
    shared: &Shared,
    watched: &Watched,
    address: SocketAddr,
    handshake: Ticket,
) -> Result<String, Ended> {
    let served = serve_client(shared, watched, address, handshake);
    let served = served.map_err(|error| {
        if watched.is_overdue.load(Ordering::Relaxed) {
            Ended::Overdue(shared.limits.session_timeout)
        } else if watched.interrupt.is_raised() {
            Ended::Stopping
        } else {
            error
        }
    });
    if served.is_err() {
        linger(&watched.stream, PARTING);
    }
    served
}

fn serve_client(
    shared: &Shared,
    watched: &Watched,
    address: SocketAddr,
    handshake: Ticket,
) -> Result<String, Ended> {
    let limits = &shared.limits;
    let stream = Arc::clone(&watched.stream);
    let (silence, within) = (limits.idle_timeout, limits.hello_timeout);
    let peer = Peer::of(address);
    let (mut tcp, early) = if let Some(identity) = &shared.identity {
        let mut tcp = identity.greet(stream, silence, within)?;
        let session = shared.gate.session(peer);
        watched.has_session.store(session.is_ok(), Ordering::Relaxed);
        match &session {
            Ok(_) => Identity::admit(&mut tcp)?,
            // The reason is for the log; a client that is gone already needs none.
            Err(_) => drop(Identity::turn_away(&mut tcp)),
        }
        (tcp, Some(session?))
    } else {
        let mut tcp = Tcp::patient(stream, silence)?;
        tcp.all_within(Some(within));
        (tcp, None)
    };
    tcp.accept_at_most(MAX_FRAME_BYTES);
    let greeted = receive_hello(&mut tcp).and_then(|hello| match early {
        Some(session) => Ok((hello, session)),
        // Whoever has not even asked for anything takes no session's place.
        None => Ok((hello, shared.gate.session(peer)?)),
    });
    let (hello, session) = match greeted {
        Ok(greeted) => greeted,
        Err(error) => {
            tell(&mut tcp, &error.for_peer());
            return Err(error);
        }
    };
    watched.has_session.store(true, Ordering::Relaxed);
    drop(handshake);
    tcp.all_within(None);
    let threads = limits.threads.unwrap_or_else(rayon::current_num_threads);
    // A pool of its own: what one session computes, or hangs in, is not in the way of another.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let served = pool.install(|| serve_cell(shared, watched, &hello, tcp));
    drop(session);
    served.map(|()| format!("served {} {}, repetition {}", hello.name, hello.variant, hello.repetition + 1))
}

/// Says why there will be no session; a client that is gone already is told nothing.
fn tell(channel: &mut dyn Channel, why: &str) {
    drop(channel.send(Message::new(Kind::Fault, why.as_bytes().to_vec()).into_frame()));
}

fn receive_hello(channel: &mut dyn Channel) -> Result<Hello, Ended> {
    let frame = channel.receive()?;
    let message = Message::from_frame(frame)?.expect(Kind::Hello, "a hello")?;
    Ok(Hello::from_bytes(&message.body)?)
}

fn serve_cell(shared: &Shared, watched: &Watched, hello: &Hello, mut tcp: Tcp) -> Result<(), Ended> {
    let (prepared, _memory) = match prepare(shared, watched, hello, &mut tcp) {
        Ok(prepared) => prepared,
        Err(error) => {
            tell(&mut tcp, &error.for_peer());
            return Err(error);
        }
    };
    let watch = Watch::new(watched.interrupt.clone());
    // A failure in here is told to the client before it comes back.
    let answered = cell::answer_variant(&prepared, hello.variant, &watch, Box::new(tcp));
    answered.map_err(|error| match error {
        RunError::Protocol(error) => error.into(),
        other => other.into(),
    })
}

/// The cell that a client asks for, and the memory that it has been promised.
fn prepare(
    shared: &Shared,
    watched: &Watched,
    hello: &Hello,
    tcp: &mut Tcp,
) -> Result<(Prepared, Ticket), Ended> {
    let refuse = |found: String| {
        RunError::Protocol(ProtocolError::Unexpected { found, expected: "a cell that can be served" })
    };
    let planning = shared.gate.planning(&watched.interrupt).ok_or(Ended::Stopping)?;
    let (plan, _) = Plan::load_point(&hello.request(), hello.point)
        .map_err(|report| Ended::Mistakes(report.diagnostics.len(), report.render(false)))?;
    let point = plan.points.first().filter(|point| hello.repetition < point.repetitions);
    let (point, settings) = point
        .and_then(|point| Some((point, point.task.inference()?)))
        .ok_or_else(|| refuse(format!("point {}, repetition {}", hello.point, hello.repetition)))?;
    let own = cell::key(&point.task, hello.variant, hello.repetition, &shared.store)?;
    if own != hello.cell {
        return Err(refuse(format!("another cell than {own}, which it is here")).into());
    }
    let entry = dataset::catalogue().and_then(|all| all.get(&settings.data.name)).map_err(RunError::from)?;
    let needed = estimate::session_memory(settings, entry, hello.variant) as u64;
    let memory = shared.gate.memory(needed)?;
    drop(planning);
    let prepared = Prepared::new(settings, hello.repetition, &shared.store, &watched.interrupt)?;
    let forecast = prepared.forecast()?.ok_or(RunError::NoProtocol)?;
    tcp.accept_at_most(estimate::longest_message(&prepared.settings, &forecast, hello.variant));
    Ok((prepared, memory))
}
