//! How frames travel: within the process, or over TCP.
//!
//! On the wire a frame is its length (32 bits, little endian) followed by its bytes. The in-process pipe carries the same
//! bytes, so that counts do not depend on where the peer is.

use std::io::{self, BufReader, BufWriter, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use thiserror::Error;

/// Bytes that carry a frame's length.
pub const LENGTH_BYTES: usize = 4;
/// No frame is longer; a peer that announces more is refused before anything is allocated.
pub const FRAME_LIMIT: usize = 1 << 30;
/// A peer that is silent for so long is given up. Long computations of a large layer fit in it.
const SILENCE_LIMIT: Duration = Duration::from_hours(1);
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
    /// Another failure of the transport.
    #[error("transport failed: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ChannelError {
    fn from(error: io::Error) -> Self {
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

/// A TCP connection.
#[derive(Debug)]
pub struct Tcp {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Tcp {
    /// Connects to a serving party.
    pub fn connect(address: &str) -> Result<Self, ChannelError> {
        let failed = |source| ChannelError::Connect { address: address.to_owned(), source };
        let targets = address.to_socket_addrs().map_err(failed)?;
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name resolves to no address");
        for target in targets {
            match TcpStream::connect_timeout(&target, Duration::from_secs(10)) {
                Ok(stream) => return Self::new(stream),
                Err(error) => last = error,
            }
        }
        Err(failed(last))
    }

    /// Over an accepted connection.
    pub fn new(stream: TcpStream) -> Result<Self, ChannelError> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        let reader = BufReader::new(stream.try_clone()?);
        Ok(Self { reader, writer: BufWriter::new(stream) })
    }
}

impl Channel for Tcp {
    fn send(&mut self, frame: Vec<u8>) -> Result<(), ChannelError> {
        let length = check_length(frame.len())?;
        self.writer.write_all(&length.to_le_bytes())?;
        self.writer.write_all(&frame)?;
        Ok(self.writer.flush()?)
    }

    fn receive(&mut self) -> Result<Vec<u8>, ChannelError> {
        let mut length = [0; LENGTH_BYTES];
        self.reader.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        check_length(length as usize)?;
        // Grows as bytes arrive: an announced length alone allocates nothing.
        let mut frame = Vec::with_capacity(FIRST_ALLOCATION.min(length as usize));
        let read = (&mut self.reader).take(u64::from(length)).read_to_end(&mut frame)?;
        if read < length as usize { Err(ChannelError::Closed) } else { Ok(frame) }
    }
}

fn check_length(bytes: usize) -> Result<u32, ChannelError> {
    match u32::try_from(bytes) {
        Ok(length) if bytes <= FRAME_LIMIT => Ok(length),
        _ => Err(ChannelError::TooLong { bytes, limit: FRAME_LIMIT }),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

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
}
