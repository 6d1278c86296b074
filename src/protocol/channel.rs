//! How frames travel: within the process, or over TCP, with TLS or without.
//!
//! On the wire a frame is its length (32 bits, little endian) followed by its bytes. The in-process pipe carries the same
//! bytes, so that counts do not depend on where the peer is, nor on encryption of the line.

mod socket;

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use rustls::{ClientConnection, ServerConnection};
use thiserror::Error;

pub use socket::linger;
use socket::{Socket, Transport};

/// Bytes that carry a frame's length.
pub const LENGTH_BYTES: usize = 4;
/// No frame is longer; a peer that announces more is refused before anything is allocated.
pub const FRAME_LIMIT: usize = 1 << 30;
/// A server that is silent for so long is given up. Long computations of a large layer fit in it.
const SILENCE_LIMIT: Duration = Duration::from_hours(1);
/// What of a frame comes slower than this, after the time in which a peer may be silent, comes too late.
const LEAST_BYTES_PER_SECOND: usize = 1 << 16;
/// First allocation for an incoming frame; more is allocated as bytes really arrive.
const FIRST_ALLOCATION: usize = 1 << 16;

/// A two-way carrier of frames.
pub trait Channel: Send {
    /// Sends one frame.
    fn send(&mut self, frame: Vec<u8>) -> Result<(), ChannelError>;
    /// Waits for one frame.
    fn receive(&mut self) -> Result<Vec<u8>, ChannelError>;
}

/// Why a channel failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// The peer went away.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer sent nothing for too long.
    #[error("no answer from the peer within {0:?}")]
    Silent(Duration),
    /// The peer began to send, or was to greet, and did not end in time.
    #[error("what the peer sent did not come whole within {0:?}")]
    Late(Duration),
    /// A frame longer than allowed.
    #[error("frame of {bytes} bytes: at most {limit} allowed")]
    TooLong {
        /// as announced
        bytes: usize,
        /// the bound
        limit: usize,
    },
    /// No connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// as asked
        address: String,
        /// why
        source: io::Error,
    },
    /// Nobody can connect there.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// as asked
        address: String,
        /// why
        source: io::Error,
    },
    /// TLS failed.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
    /// The server has a certificate of its own, and not the one that was asked for.
    #[error("the server has another certificate than the pinned one")]
    WrongCertificate,
    /// No TLS where there should be some.
    #[error("the peer does not speak TLS")]
    WithoutTls,
    /// TLS where there should be none.
    #[error(
        "the peer speaks TLS, this side does not: a client takes --pin and --token, a server --certificate, --key and --token"
    )]
    UnexpectedTls,
    /// The server does not know the token; or the client has another one.
    #[error("refused: the token is wrong")]
    WrongToken,
    /// The server has enough to do.
    #[error("turned away: the server is serving as many as it may")]
    Full,
    /// What came in place of a greeting.
    #[error("a greeting of {found} bytes; {expected} expected")]
    Greeting {
        /// bytes that came
        found: usize,
        /// bytes of a greeting
        expected: usize,
    },
    /// Another failure of the transport.
    #[error("transport failed: {0}")]
    Io(io::Error),
}

impl From<rustls::Error> for ChannelError {
    fn from(error: rustls::Error) -> Self {
        use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
        match error {
            Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
                Self::WrongCertificate
            }
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType
                | InvalidMessage::UnknownProtocolVersion
                | InvalidMessage::MessageTooLarge,
            ) => Self::WithoutTls,
            // What a server that is full says before anything else.
            Error::AlertReceived(AlertDescription::InternalError) => Self::Full,
            other => Self::Tls(other),
        }
    }
}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
        let error = match error.downcast::<rustls::Error>() {
            Ok(error) => return error.into(),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent(SILENCE_LIMIT),
            _ => Self::Io(error),
        }
    }
}

/// One end of an in-process channel.
#[derive(Debug)]
pub struct Pipe {
    outgoing: Sender<Vec<u8>>,
    incoming: Receiver<Vec<u8>>,
}

/// Two ends of an in-process channel.
pub fn pipe() -> (Pipe, Pipe) {
    let (to_right, from_left) = mpsc::channel();
    let (to_left, from_right) = mpsc::channel();
    (Pipe { outgoing: to_right, incoming: from_right }, Pipe { outgoing: to_left, incoming: from_left })
}

impl Channel for Pipe {
    fn send(&mut self, frame: Vec<u8>) -> Result<(), ChannelError> {
        check_length(frame.len())?;
        self.outgoing.send(frame).map_err(|_| ChannelError::Closed)
    }

    fn receive(&mut self) -> Result<Vec<u8>, ChannelError> {
        self.incoming.recv().map_err(|_| ChannelError::Closed)
    }
}

/// A TCP connection, with TLS or without.
#[derive(Debug)]
pub struct Tcp {
    /// Written to through the reader, which buffers what it reads and nothing else.
    reader: BufReader<Transport>,
    /// No longer frame is accepted.
    longest: usize,
    /// Everything until this moment, rather than every frame for itself.
    until: Option<(Instant, Duration)>,
    /// Nothing has been received yet.
    is_new: bool,
}

impl Tcp {
    /// Connects to a serving party, without TLS.
    pub fn connect(address: &str) -> Result<Self, ChannelError> {
        Self::new(dial(address)?)
    }

    /// Over a connection, without TLS.
    pub fn new(stream: TcpStream) -> Result<Self, ChannelError> {
        Self::patient(Arc::new(stream), SILENCE_LIMIT)
    }

    /// The same with a peer that may be silent for so long.
    pub fn patient(stream: Arc<TcpStream>, silence: Duration) -> Result<Self, ChannelError> {
        Ok(Self::over(Transport::Plain(Socket::new(stream, silence)?)))
    }

    /// Over a connection, as the client of a TLS session; the handshake has `within` to end.
    pub(super) fn tls_client(
        stream: TcpStream,
        session: ClientConnection,
        within: Duration,
    ) -> Result<Self, ChannelError> {
        let socket = Socket::new(Arc::new(stream), SILENCE_LIMIT)?;
        Self::over(Transport::client(session, socket)).shaken(within)
    }

    /// The same as its server.
    pub(super) fn tls_server(
        stream: Arc<TcpStream>,
        session: ServerConnection,
        silence: Duration,
        within: Duration,
    ) -> Result<Self, ChannelError> {
        Self::over(Transport::server(session, Socket::new(stream, silence)?)).shaken(within)
    }

    fn over(transport: Transport) -> Self {
        Self { reader: BufReader::new(transport), longest: FRAME_LIMIT, until: None, is_new: true }
    }

    fn shaken(mut self, within: Duration) -> Result<Self, ChannelError> {
        self.all_within(Some(within));
        let shaken = self.transport().handshake();
        shaken.map_err(|error| self.failed(error))?;
        Ok(self)
    }

    /// Gives the peer so long for everything from now on; with nothing, every frame has its own time again.
    pub fn all_within(&mut self, limit: Option<Duration>) {
        self.until = limit.map(|limit| (Instant::now() + limit, limit));
        let deadline = self.until.map(|(deadline, _)| deadline);
        self.transport().socket().deadline = deadline;
    }

    /// Accepts no frame of more bytes from now on.
    pub fn accept_at_most(&mut self, bytes: usize) {
        self.longest = bytes.min(FRAME_LIMIT);
    }

    /// What belongs to this TLS session and to no other, of which both ends know (RFC 8446, section 7.5); nothing without TLS.
    pub(super) fn binding(&mut self, label: &[u8]) -> Option<Result<[u8; 32], ChannelError>> {
        Some(self.transport().binding(label)?.map_err(ChannelError::from))
    }

    fn transport(&mut self) -> &mut Transport {
        self.reader.get_mut()
    }

    /// A frame of so many bytes is on its way: it has its time to come or go whole.
    fn expect_bytes(&mut self, bytes: usize) {
        if self.until.is_none() {
            let socket = self.transport().socket();
            socket.deadline = Some(Instant::now() + socket.patience(bytes));
        }
    }

    fn failed(&mut self, error: io::Error) -> ChannelError {
        let until = self.until;
        let socket = self.transport().socket();
        match (ChannelError::from(error), until) {
            (ChannelError::Silent(_), Some((_, limit))) => ChannelError::Late(limit),
            (ChannelError::Silent(_), None) if socket.is_late() => ChannelError::Late(socket.allowed),
            (ChannelError::Silent(_), None) => ChannelError::Silent(socket.silence),
            (other, _) => other,
        }
    }

    /// Reads until the buffer is full or nothing more will come; says how much came.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ChannelError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.reader.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(filled)
    }

    fn fill_all(&mut self, buffer: &mut [u8]) -> Result<(), ChannelError> {
        if self.fill(buffer)? < buffer.len() { Err(ChannelError::Closed) } else { Ok(()) }
    }

    /// The length of a frame and what else had to be read to know that the peer does not mean TLS.
    fn length(&mut self) -> Result<(usize, Vec<u8>), ChannelError> {
        let mut length = [0; LENGTH_BYTES];
        self.fill_all(&mut length)?;
        let mut frame = Vec::new();
        if std::mem::take(&mut self.is_new) && self.transport().is_plain() {
            // A record of TLS begins with its type and version; two bytes later a ClientHello begins with 1, and an alert has two bytes.
            // No first frame of henn's looks like that.
            if let [kind @ (0x15 | 0x16), 3, 1 | 3, _] = length {
                frame = vec![0; 2];
                self.expect_bytes(frame.len());
                self.fill_all(&mut frame)?;
                if (kind == 0x16 && frame[1] == 1) || (kind == 0x15 && frame[0] == 2) {
                    return Err(ChannelError::UnexpectedTls);
                }
            }
        }
        let length = u32::from_le_bytes(length) as usize;
        if length > self.longest {
            return Err(ChannelError::TooLong { bytes: length, limit: self.longest });
        }
        if frame.len() > length { Err(ChannelError::Closed) } else { Ok((length, frame)) }
    }

    fn try_send(&mut self, frame: &[u8]) -> io::Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX).to_le_bytes();
        let transport = self.transport();
        if frame.len() < FIRST_ALLOCATION {
            // In one packet, if it fits.
            transport.write_all(&[&length, frame].concat())?;
        } else {
            transport.write_all(&length)?;
            transport.write_all(frame)?;
        }
        transport.flush()
    }
}

impl Channel for Tcp {
    fn send(&mut self, frame: Vec<u8>) -> Result<(), ChannelError> {
        check_length(frame.len())?;
        self.expect_bytes(frame.len());
        let sent = self.try_send(&frame);
        sent.map_err(|error| self.failed(error))
    }

    fn receive(&mut self) -> Result<Vec<u8>, ChannelError> {
        if self.until.is_none() {
            self.transport().socket().deadline = None;
        }
        let (length, mut frame) = self.length()?;
        self.expect_bytes(length);
        // Grows as bytes arrive, at most to twice of them: an announced length alone allocates nothing.
        while frame.len() < length {
            let start = frame.len();
            let more = (length - start).min(start.max(FIRST_ALLOCATION));
            frame.reserve_exact(more);
            frame.resize(start + more, 0);
            self.fill_all(&mut frame[start..])?;
        }
        Ok(frame)
    }
}

/// Opens a connection to a name or number with a port.
pub(super) fn dial(address: &str) -> Result<TcpStream, ChannelError> {
    let failed = |source| ChannelError::Connect { address: address.to_owned(), source };
    let targets = address.to_socket_addrs().map_err(failed)?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address");
    for target in targets {
        match TcpStream::connect_timeout(&target, Duration::from_secs(10)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(failed(last))
}

fn check_length(bytes: usize) -> Result<(), ChannelError> {
    if bytes <= FRAME_LIMIT { Ok(()) } else { Err(ChannelError::TooLong { bytes, limit: FRAME_LIMIT }) }
}

#[cfg(test)]
mod tests {
    use std::net::{Shutdown, TcpListener};

    use super::*;

    fn loopback() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (Tcp::new(listener.accept().unwrap().0).unwrap(), stream)
    }

    #[test]
    fn pipe_and_tcp_carry_the_same_frames() {
        let (mut left, mut right) = pipe();
        let (mut tcp, stream) = loopback();
        let mut other = Tcp::new(stream).unwrap();
        for frame in [vec![], vec![7], vec![3; 200_000]] {
            left.send(frame.clone()).unwrap();
            other.send(frame.clone()).unwrap();
            assert_eq!(right.receive().unwrap(), frame);
            assert_eq!(tcp.receive().unwrap(), frame);
        }
        drop(left);
        drop(other);
        assert!(matches!(right.receive(), Err(ChannelError::Closed)));
        assert!(matches!(tcp.receive(), Err(ChannelError::Closed)));
    }

    #[test]
    fn a_frame_that_announces_too_much_is_refused() {
        let (mut tcp, mut stream) = loopback();
        stream.write_all(&u32::MAX.to_le_bytes()).unwrap();
        assert!(
            matches!(tcp.receive(), Err(ChannelError::TooLong { bytes, .. }) if bytes == u32::MAX as usize)
        );
    }

    #[test]
    fn a_frame_cut_short_is_refused() {
        let (mut tcp, mut stream) = loopback();
        stream.write_all(&100_u32.to_le_bytes()).unwrap();
        stream.write_all(&[1; 40]).unwrap();
        drop(stream);
        assert!(matches!(tcp.receive(), Err(ChannelError::Closed)));
    }

    #[test]
    fn a_frame_is_refused_by_the_limit_that_was_set() {
        let (mut tcp, mut stream) = loopback();
        tcp.accept_at_most(10);
        stream.write_all(&11_u32.to_le_bytes()).unwrap();
        assert!(matches!(tcp.receive(), Err(ChannelError::TooLong { bytes: 11, limit: 10 })));
    }

    #[test]
    fn silence_and_slowness_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = Arc::new(listener.accept().unwrap().0);
        let silence = Duration::from_millis(100);
        let mut tcp = Tcp::patient(accepted, silence).unwrap();
        assert!(matches!(tcp.receive(), Err(ChannelError::Silent(limit)) if limit == silence));
        // A byte now and then is no silence, and still too slow.
        stream.write_all(&100_u32.to_le_bytes()).unwrap();
        let dripping = std::thread::spawn(move || {
            while stream.write_all(&[1]).is_ok() {
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        let start = Instant::now();
        assert!(matches!(tcp.receive(), Err(ChannelError::Late(_))));
        assert!(start.elapsed() < Duration::from_secs(2));
        tcp.all_within(Some(Duration::from_millis(60)));
        assert!(matches!(tcp.receive(), Err(ChannelError::Late(_) | ChannelError::TooLong { .. })));
        drop(tcp);
        dripping.join().unwrap();
    }

    #[test]
    fn tls_is_recognised_where_there_should_be_none() {
        // The first bytes of a ClientHello, and an alert.
        for bytes in [&[0x16, 3, 1, 0, 0xf0, 1, 0, 0, 0xec][..], &[0x15, 3, 3, 0, 2, 2, 80]] {
            let (mut tcp, mut stream) = loopback();
            stream.write_all(bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            assert!(matches!(tcp.receive(), Err(ChannelError::UnexpectedTls)), "{bytes:?}");
        }
        // Of the same lengths, and none.
        for (length, first) in [(0x0001_0316_u32, [129, 0]), (0x0000_0315, [1, 0])] {
            let (mut tcp, stream) = loopback();
            let mut other = Tcp::new(stream).unwrap();
            let mut frame = vec![7; length as usize];
            frame[..2].copy_from_slice(&first);
            let sending = std::thread::spawn(move || other.send(frame).map(|()| other));
            assert_eq!(tcp.receive().unwrap().len(), length as usize);
            sending.join().unwrap().unwrap();
        }
    }
}
