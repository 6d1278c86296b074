//! What a hostile client does; with the token, as one without it does not come far.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::protocol::message::{Kind, Message};

use crate::Cell;
use crate::raw::{Raw, connect_from};

/// Where it comes from, so that limits of a peer hold it and nobody else.
pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// One thing that it does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attack {
    /// Goes away at once.
    Nothing,
    /// Bytes that are no TLS.
    Garbage,
    /// The beginning of a handshake, and silence.
    HalfAHandshake,
    /// Half of the answer to the challenge, and away.
    HalfAnAnswer,
    /// A wrong answer.
    WrongToken,
    /// Nothing after the greeting.
    NoHello,
    /// Half a hello, and away.
    HalfAHello,
    /// A byte of the hello now and then.
    DrippingHello,
    /// A hello that is longer than any.
    LongHello,
    /// A hello of other bytes, with some in it that a terminal would obey.
    BrokenHello,
    /// Another kind of message than a hello.
    WrongKind,
    /// No key where a key should come.
    WrongKey,
    /// A message in a session that is longer than any of the plan's.
    LongMessage,
    /// Half a message in a session, and away.
    HalfAMessage,
    /// Nothing more in a session.
    Silence,
    /// Gives up, with a text of its own.
    Fault,
}

impl Attack {
    pub(crate) const ALL: [Self; 16] = [
        Self::Nothing,
        Self::Garbage,
        Self::HalfAHandshake,
        Self::HalfAnAnswer,
        Self::WrongToken,
        Self::NoHello,
        Self::HalfAHello,
        Self::DrippingHello,
        Self::LongHello,
        Self::BrokenHello,
        Self::WrongKind,
        Self::WrongKey,
        Self::LongMessage,
        Self::HalfAMessage,
        Self::Silence,
        Self::Fault,
    ];

    /// What the server says of it.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Nothing | Self::HalfAnAnswer | Self::HalfAHello | Self::HalfAMessage => {
                "the peer closed the connection"
            }
            Self::Garbage => "the peer does not speak TLS",
            Self::HalfAHandshake | Self::NoHello | Self::DrippingHello => "did not come whole within",
            Self::WrongToken => "the token is wrong",
            Self::LongHello | Self::LongMessage => "allowed",
            Self::BrokenHello => "a broken hello",
            Self::WrongKind => "unexpected message from the peer: Activations, expected a hello",
            Self::WrongKey => "key",
            Self::Silence => "no answer from the peer within",
            Self::Fault => "the peer gave up: \\u{1b}[2Jserved",
        }
    }

    /// Does it over a connection; until the server has closed it where it has to.
    pub(crate) fn run(self, mut stream: TcpStream, token: &str, hello: &[u8]) -> io::Result<()> {
        match self {
            Self::Nothing => return Ok(()),
            Self::Garbage => {
                stream.write_all(&[0x5a; 3000])?;
                return until_closed(&mut stream);
            }
            Self::HalfAHandshake => {
                stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])?;
                return until_closed(&mut stream);
            }
            _ => {}
        }
        let mut raw = Raw::new(stream)?;
        match self {
            Self::HalfAnAnswer => {
                raw.receive()?;
                return raw.announce(32, &[1; 16]);
            }
            Self::WrongToken => {
                raw.receive()?;
                raw.send(&[7; 32])?;
                return until_closed(&mut raw.tls);
            }
            _ => drop(raw.greet(token)?),
        }
        let length = u32::try_from(hello.len()).unwrap_or(u32::MAX);
        match self {
            Self::HalfAHello => return raw.announce(length, &hello[..hello.len() / 2]),
            Self::DrippingHello => {
                raw.announce(length, &hello[..1])?;
                while raw.tls.write_all(b" ").and_then(|()| raw.tls.flush()).is_ok() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                return Ok(());
            }
            Self::LongHello => drop(raw.announce(16 << 20, &vec![b'['; 2 << 20])),
            Self::BrokenHello => {
                raw.send(&Message::new(Kind::Hello, b"{\"\x1b[2J\x07\n\": 1}".to_vec()).into_frame())?;
            }
            Self::WrongKind => raw.send(&Message::new(Kind::Activations, vec![0; 1000]).into_frame())?,
            Self::NoHello => {}
            _ => raw.send(hello)?,
        }
        match self {
            Self::WrongKey => raw.send(&Message::new(Kind::PublicKey, vec![0xff; 17]).into_frame())?,
            Self::LongMessage => raw.announce(512 << 20, &[1; 100])?,
            Self::HalfAMessage => return raw.announce(1000, &[1; 100]),
            Self::Fault => {
                raw.send(
                    &Message::new(Kind::Fault, b"\x1b[2Jserved\n127.0.0.1:1: served".to_vec()).into_frame(),
                )?;
            }
            _ => {}
        }
        until_closed(&mut raw.tls)
    }
}

fn until_closed(stream: &mut impl Read) -> io::Result<()> {
    let mut sink = [0; 4096];
    loop {
        match stream.read(&mut sink) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(error);
            }
            // Reset or cut off.
            Err(_) => return Ok(()),
        }
    }
}

/// Attacks in every way, and floods between them, until told to stop; says how many connections it made.
pub(crate) fn torment(address: &str, token: &str, cell: &Cell, done: &Interrupt) -> usize {
    let hello = Message::new(Kind::Hello, cell.hello(Variant::Encrypted)).into_frame();
    let mut connections = 0;
    while !done.is_raised() {
        let flood: Vec<TcpStream> =
            (0..150).map_while(|_| connect_from(SOURCE.into(), address).ok()).collect();
        connections += flood.len();
        std::thread::sleep(Duration::from_millis(50));
        // Half of them say something first.
        for mut stream in flood.iter().step_by(2) {
            drop(stream.write_all(&[0x16, 3, 1, 0xff]));
        }
        drop(flood);
        for attack in Attack::ALL {
            if done.is_raised() {
                break;
            }
            // Those that only wait are cut short: there is more to do.
            let Ok(stream) = connect_from(SOURCE.into(), address) else { continue };
            connections += 1;
            let waits = [Attack::HalfAHandshake, Attack::NoHello, Attack::DrippingHello, Attack::Silence];
            if let (true, Ok(other)) =
                (waits.iter().any(|known| *known as u8 == attack as u8), stream.try_clone())
            {
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(500));
                    drop(other.shutdown(Shutdown::Both));
                });
            }
            // Turned away, cut off or refused: all of it may happen to it.
            drop(attack.run(stream, token, &hello));
        }
    }
    connections
}
