//! A socket that waits for so long and no longer, and what lies over it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection, StreamOwned};

use super::LEAST_BYTES_PER_SECOND;

/// A TCP stream whose every wait has an end. The stream is shared with whoever may have to cut it off.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Arc<TcpStream>,
    /// No single wait is longer.
    pub(super) silence: Duration,
    /// No wait goes beyond.
    pub(super) deadline: Option<Instant>,
    /// What the deadline gave, for messages.
    pub(super) allowed: Duration,
}

impl Socket {
    pub(super) fn new(stream: Arc<TcpStream>, silence: Duration) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, silence, deadline: None, allowed: silence })
    }

    /// How long so many bytes may take.
    pub(super) fn patience(&mut self, bytes: usize) -> Duration {
        self.allowed = self.silence + Duration::from_secs((bytes / LEAST_BYTES_PER_SECOND) as u64);
        self.allowed
    }

    /// Whether the deadline is over.
    pub(super) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// The next wait.
    fn wait(&self) -> io::Result<Duration> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match left.map_or(self.silence, |left| left.min(self.silence)) {
            Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
            wait => Ok(wait),
        }
    }
}

/// TLS takes a wait that ended for a socket that is not ready, and would go on.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.wait()?))?;
        (&*self.stream).read(buffer).map_err(timed_out)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.wait()?))?;
        (&*self.stream).write(buffer).map_err(timed_out)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket, bare or under TLS.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    Client(Box<StreamOwned<ClientConnection, Socket>>),
    Server(Box<StreamOwned<ServerConnection, Socket>>),
}

impl Transport {
    pub(super) fn client(session: ClientConnection, socket: Socket) -> Self {
        Self::Client(Box::new(StreamOwned::new(session, socket)))
    }

    pub(super) fn server(session: ServerConnection, socket: Socket) -> Self {
        Self::Server(Box::new(StreamOwned::new(session, socket)))
    }

    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    pub(super) fn socket(&mut self) -> &mut Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => &mut stream.sock,
            Self::Server(stream) => &mut stream.sock,
        }
    }

    /// Shakes hands; nothing without TLS.
    pub(super) fn handshake(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => {}
            Self::Client(stream) => {
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
            }
            Self::Server(stream) => {
                while stream.conn.is_handshaking() {
                    stream.conn.complete_io(&mut stream.sock)?;
                }
            }
        }
        Ok(())
    }

    /// Keying material of the session for this label.
    pub(super) fn binding(&self, label: &[u8]) -> Option<Result<[u8; 32], rustls::Error>> {
        match self {
            Self::Plain(_) => None,
            Self::Client(stream) => Some(stream.conn.export_keying_material([0; 32], label, None)),
            Self::Server(stream) => Some(stream.conn.export_keying_material([0; 32], label, None)),
        }
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Client(stream) => stream.read(buffer),
            Self::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(buffer),
            Self::Client(stream) => stream.write(buffer),
            Self::Server(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Client(stream) => stream.flush(),
            Self::Server(stream) => stream.flush(),
        }
    }
}

/// Says nothing more, and waits a moment for the peer to hear what was said: a connection that is closed over bytes that nobody has read is reset,
/// and what the peer has not read yet is lost to it.
pub fn linger(stream: &TcpStream, limit: Duration) {
    const MOST_BYTES: usize = 8 << 20;
    const ONE_WAIT: Duration = Duration::from_millis(200);
    let end = Instant::now() + limit;
    // Whatever fails here, the connection is given up anyway.
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(ONE_WAIT.min(limit.max(Duration::from_millis(1)))));
    let (mut sink, mut read) = ([0; 1 << 14], 0);
    let mut stream = stream;
    while Instant::now() < end && read < MOST_BYTES {
        match stream.read(&mut sink) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
}
