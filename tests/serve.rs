//! `henn serve` among strangers: TLS, tokens, limits, and what a hostile client can do to the others, which is nothing.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test; the exemption for tests does not reach its helper functions"
)]

#[path = "serve/command.rs"]
mod command;
#[path = "serve/hostile.rs"]
mod hostile;
#[path = "serve/raw.rs"]
mod raw;
#[path = "serve/trial.rs"]
mod trial;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::dataset::Store;
use henn::experiment::plan::{Plan, Request};
use henn::experiment::spec::ProfileName;
use henn::protocol::ProtocolError;
use henn::protocol::channel::ChannelError;
use henn::protocol::message::{Kind, Message};
use henn::protocol::tls::{Access, Credentials, Identity, Remote, Token};
use henn::runner::RunError;
use henn::runner::cell::{self, Computed, Peer, Prepared};
use henn::runner::serve::{self, Hello, Limits, Options};
use henn::runner::watch::Watch;

use crate::hostile::Attack;
use crate::raw::{Raw, connect_from};

const FILE: &str = r#"
schema = 1
[data]
name = "iris"
test_limit = 4
[network]
hidden = [5]
[training]
epochs = 3
[scheme]
name = "paillier"
modulus_bits = 512
security = "paper"
[protocol]
name = "split"
batch = 3
training_iterations = 2
"#;

/// A cell that clients ask for.
struct Cell {
    plan: Plan,
    prepared: Prepared,
}

impl Cell {
    fn new(seed: usize) -> Self {
        let set = [format!("run.seed={seed}")];
        let profile = ProfileName::Quick;
        let request = Request { name: "test", origin: "test", text: FILE, profile, set: &set, grid: &[] };
        let (plan, _) = Plan::load(&request).unwrap();
        let settings = plan.points[0].task.inference().unwrap();
        let prepared = Prepared::new(settings, 0, &Store::new("absent"), &Interrupt::default()).unwrap();
        Self { plan, prepared }
    }

    fn hello(&self, variant: Variant) -> Vec<u8> {
        let key = cell::key(&self.plan.points[0].task, variant, 0, &Store::new("absent")).unwrap();
        Hello::new(&self.plan, 0, variant, 0, &key).to_bytes()
    }

    fn near(&self, variant: Variant) -> Computed {
        cell::compute(&self.prepared, variant, &Watch::default(), Peer::Local).unwrap()
    }

    fn far(&self, variant: Variant, remote: &Remote) -> Result<Computed, RunError> {
        let hello = self.hello(variant);
        cell::compute(&self.prepared, variant, &Watch::default(), Peer::Remote(remote, &hello))
    }
}

/// Every result is the one of a single process, byte for byte, and every label the plaintext network's.
fn assert_same(near: &Computed, far: &Computed) {
    assert_eq!(far.metrics["disagreements"].to_bits(), 0.0_f64.to_bits());
    assert!(!far.disagrees);
    assert_eq!((&near.metrics, &near.counts), (&far.metrics, &far.counts));
    assert_eq!((&near.digest, &near.transcript), (&far.digest, &far.transcript));
}

/// What a server runs with.
struct Server {
    address: String,
    credentials: Option<Credentials>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// As somebody with this pin and this token reaches it.
    fn remote_with(&self, pin: &Credentials, token: &Credentials) -> Remote {
        let token = Token::parse(&token.token).unwrap();
        Remote::secured(&self.address, Access::new(&pin.certificate, token).unwrap())
    }

    fn remote(&self) -> Remote {
        match &self.credentials {
            Some(own) => self.remote_with(own, own),
            None => Remote::plain(&self.address),
        }
    }

    fn token(&self) -> &str {
        &self.credentials.as_ref().unwrap().token
    }

    /// A connection of its own, and where its lines begin.
    fn dial(&self) -> (TcpStream, String) {
        let stream = connect_from(Ipv4Addr::LOCALHOST.into(), &self.address).unwrap();
        let start = format!("{}: ", stream.local_addr().unwrap());
        (stream, start)
    }

    fn raw(&self) -> (Raw, String) {
        let (stream, start) = self.dial();
        (Raw::new(stream).unwrap(), start)
    }

    /// Waits for the lines that begin like that, and a moment longer for others that should not be there.
    fn lines_of(&self, start: &str) -> Vec<String> {
        let found = || -> Vec<String> {
            let lines = self.lines.lock().unwrap();
            lines.iter().filter_map(|line| line.strip_prefix(start)).map(str::to_owned).collect()
        };
        let since = Instant::now();
        while found().is_empty() && since.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(30));
        found()
    }

    /// The one line that a connection left, which says so much.
    fn assert_line(&self, start: &str, needle: &str) {
        let lines = self.lines_of(start);
        let [line] = &lines[..] else { panic!("{lines:?}, not one line with {needle:?}") };
        assert!(line.contains(needle), "{needle:?} is not in {line:?}");
    }
}

/// Runs a server while `client` does; asks it to stop then, and hands out what it wrote.
fn with_server(limits: Limits, tls: bool, client: impl FnOnce(&Server)) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&lines);
    let mut options = Options::new(
        Store::new("absent"),
        Box::new(move |line: &str| kept.lock().unwrap().push(line.to_owned())),
    );
    options.limits = limits;
    let credentials = tls.then(|| Credentials::generate().unwrap());
    options.identity = credentials
        .as_ref()
        .map(|own| Identity::new(&own.certificate, &own.key, Token::parse(&own.token).unwrap()).unwrap());
    let address = listener.local_addr().unwrap().to_string();
    let server = Server { address, credentials, lines };
    let interrupt = Interrupt::default();
    std::thread::scope(|scope| {
        // Stops the server whatever happens, or a test that failed would wait for it.
        struct Stop<'a>(&'a Interrupt);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.raise();
            }
        }
        let serving = scope.spawn(|| serve::serve(&listener, options, &interrupt));
        let stop = Stop(&interrupt);
        client(&server);
        let start = Instant::now();
        drop(stop);
        assert!(matches!(serving.join().unwrap(), Err(RunError::Interrupted)));
        assert!(start.elapsed() < Duration::from_secs(4), "it took {:?} to stop", start.elapsed());
    });
    server.lines.lock().unwrap().clone()
}

/// What a client was told by its channel.
fn channel_error(result: Result<Computed, RunError>) -> ChannelError {
    match result {
        Err(RunError::Protocol(ProtocolError::Channel(error))) => error,
        other => panic!("no failure of the channel: {other:?}"),
    }
}

#[test]
fn over_tls_the_bytes_are_those_of_one_process() {
    let cell = Cell::new(1);
    let lines = with_server(Limits::default(), true, |server| {
        for variant in Variant::ALL {
            assert_same(&cell.near(variant), &cell.far(variant, &server.remote()).unwrap());
        }
    });
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line.contains(": served test ")), "{lines:?}");
}

#[test]
fn whoever_is_not_let_in_is_told_why_and_leaves_one_line() {
    let cell = Cell::new(1);
    let other = Credentials::generate().unwrap();
    let try_with = |remote: &Remote| channel_error(cell.far(Variant::Simulated, remote));
    let lines = with_server(Limits::default(), true, |server| {
        let own = server.credentials.as_ref().unwrap();
        let error = try_with(&server.remote_with(&other, own));
        assert!(matches!(error, ChannelError::WrongCertificate), "{error:?}");
        let error = try_with(&server.remote_with(own, &other));
        assert!(matches!(error, ChannelError::WrongToken), "{error:?}");
        // Whatever is wrong with an answer, the refusal is the same.
        for answer in [&b""[..], &[0; 31], &[0; 32]] {
            let (mut raw, start) = server.raw();
            raw.receive().unwrap();
            raw.send(answer).unwrap();
            assert_eq!(raw.receive().unwrap(), [0]);
            server.assert_line(&start, "the token is wrong");
        }
        // No token at all: what would be a hello is too long for an answer.
        let (mut raw, start) = server.raw();
        raw.receive().unwrap();
        raw.send(&Message::new(Kind::Hello, cell.hello(Variant::Simulated)).into_frame()).unwrap();
        assert!(raw.receive().is_err());
        server.assert_line(&start, "at most 32 allowed");
        let error = try_with(&Remote::plain(&server.address));
        assert!(matches!(error, ChannelError::UnexpectedTls), "{error:?}");
        assert_same(&cell.near(Variant::Simulated), &cell.far(Variant::Simulated, &server.remote()).unwrap());
    });
    assert_eq!(lines.len(), 8, "{lines:#?}");
    assert!(lines.iter().any(|line| line.ends_with(": the peer does not speak TLS")), "{lines:#?}");
    // And under TLS where there is none.
    let lines = with_server(Limits::default(), false, |server| {
        let error = try_with(&server.remote_with(&other, &other));
        assert!(matches!(error, ChannelError::WithoutTls), "{error:?}");
    });
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert!(line.contains("the peer speaks TLS"), "{line}");
}

#[test]
fn every_attack_leaves_one_line_and_no_harm() {
    let cell = Cell::new(1);
    let near = cell.near(Variant::Simulated);
    let limits = Limits {
        hello_timeout: Duration::from_millis(1500),
        idle_timeout: Duration::from_millis(1500),
        ..Limits::default()
    };
    let hello = Message::new(Kind::Hello, cell.hello(Variant::Simulated)).into_frame();
    let lines = with_server(limits, true, |server| {
        for attack in Attack::ALL {
            let (stream, start) = server.dial();
            attack.run(stream, server.token(), &hello).unwrap();
            server.assert_line(&start, attack.line());
            assert_same(&near, &cell.far(Variant::Simulated, &server.remote()).unwrap());
        }
    });
    assert_eq!(lines.len(), 2 * Attack::ALL.len(), "{lines:#?}");
    let plain = |line: &String| line.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ');
    assert!(lines.iter().all(plain), "{lines:#?}");
}

/// Passes one connection on and keeps what the client says.
fn recording(listener: &TcpListener, address: &str) -> Vec<u8> {
    let (near, _) = listener.accept().unwrap();
    let far = TcpStream::connect(address).unwrap();
    let (mut from_server, mut to_client) = (far.try_clone().unwrap(), near.try_clone().unwrap());
    let back = std::thread::spawn(move || drop(std::io::copy(&mut from_server, &mut to_client)));
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    let (mut near, mut far) = (near, far);
    while let Ok(more @ 1..) = near.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..more]);
        if far.write_all(&buffer[..more]).is_err() {
            break;
        }
    }
    drop(far.shutdown(std::net::Shutdown::Both));
    back.join().unwrap();
    kept
}

#[test]
fn what_was_recorded_is_of_no_use() {
    let cell = Cell::new(1);
    with_server(Limits::default(), true, |server| {
        // Somebody on the line keeps a whole session, which works, and says the same again.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = listener.local_addr().unwrap().to_string();
        let own = server.credentials.as_ref().unwrap();
        let access = Access::new(&own.certificate, Token::parse(&own.token).unwrap()).unwrap();
        let recorded = std::thread::scope(|scope| {
            let kept = scope.spawn(|| recording(&listener, &server.address));
            let far = cell.far(Variant::Simulated, &Remote::secured(between, access)).unwrap();
            assert_same(&cell.near(Variant::Simulated), &far);
            kept.join().unwrap()
        });
        assert!(recorded.len() > 1000);
        let (mut stream, start) = server.dial();
        stream.write_all(&recorded).unwrap();
        server.assert_line(&start, "TLS: ");
        // Somebody who has seen the greeting itself says it in another session.
        let (mut first, _) = server.raw();
        let answer = first.greet(server.token()).unwrap();
        let (mut second, start) = server.raw();
        second.receive().unwrap();
        second.send(&answer).unwrap();
        assert_eq!(second.receive().unwrap(), [0]);
        server.assert_line(&start, "the token is wrong");
    });
}

#[test]
fn a_flood_is_turned_away_in_one_line_and_others_are_served() {
    let cell = Cell::new(1);
    let limits = Limits { handshakes_per_peer: 8, ..Limits::default() };
    let lines = with_server(limits, true, |server| {
        let flooder = Ipv4Addr::new(127, 0, 0, 66);
        let flood: Vec<TcpStream> =
            (0..300).map(|_| connect_from(flooder.into(), &server.address).unwrap()).collect();
        server.lines_of("127.0.0.66");
        assert_same(&cell.near(Variant::Simulated), &cell.far(Variant::Simulated, &server.remote()).unwrap());
        drop(flood);
    });
    let turned_away = lines.iter().filter(|line| line.contains("turned away")).count();
    assert_eq!(turned_away, 1, "{lines:#?}");
    assert_eq!(lines.len(), 1 + 1, "{lines:#?}");
}

#[test]
fn a_full_server_is_asked_again() {
    let cell = Cell::new(1);
    let limits = Limits { sessions: 1, ..Limits::default() };
    let lines = with_server(limits, true, |server| {
        let (mut first, start) = server.raw();
        first.greet(server.token()).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| cell.far(Variant::Simulated, &server.remote()).unwrap());
            std::thread::sleep(Duration::from_millis(300));
            drop(first);
            assert_same(&cell.near(Variant::Simulated), &waiting.join().unwrap());
        });
        server.assert_line(&start, "closed");
    });
    assert!(lines.iter().any(|line| line.contains("turned away: 1 sessions")), "{lines:#?}");
}

#[test]
fn sessions_have_an_end_and_memory_has_a_bound() {
    let cell = Cell::new(1);
    let limits = Limits { session_timeout: Duration::from_millis(400), ..Limits::default() };
    let lines = with_server(limits, false, |server| {
        let (stream, start) = server.dial();
        server.assert_line(&start, "lasted longer than 400ms");
        drop(stream);
    });
    assert_eq!(lines.len(), 1, "{lines:?}");
    let limits = Limits { memory: Some(1 << 20), ..Limits::default() };
    let lines = with_server(limits, true, |server| {
        let error = cell.far(Variant::Simulated, &server.remote()).unwrap_err();
        assert!(error.to_string().contains("MiB of memory"), "{error}");
    });
    assert!(matches!(&lines[..], [line] if line.contains("MiB of memory")), "{lines:?}");
    // An experiment that would take all memory there is is refused by whoever reads it.
    let text = FILE.replace("[5]", "[100000, 100000]\nbias = false");
    let request = Request {
        name: "test",
        origin: "test",
        text: &text,
        profile: ProfileName::Quick,
        set: &[],
        grid: &[],
    };
    assert!(Plan::load_point(&request, 0).unwrap_err().to_string().contains("weights; allowed"));
}

#[test]
fn a_point_alone_is_the_point_among_others() {
    let text = format!(
        "{FILE}\n[sweep]\n\"network.hidden\" = [[2], [3], [4]]\n[[exclude]]\n\"network.hidden\" = [3]\n"
    );
    let request = Request {
        name: "test",
        origin: "test",
        text: &text,
        profile: ProfileName::Quick,
        set: &[],
        grid: &[],
    };
    let (all, _) = Plan::load(&request).unwrap();
    assert_eq!(all.points.len(), 2);
    for (index, point) in all.points.iter().enumerate() {
        let (one, _) = Plan::load_point(&request, index).unwrap();
        let [found] = &one.points[..] else { panic!("{} points", one.points.len()) };
        let key = |task| cell::key(task, Variant::Plain, 0, &Store::new("absent")).unwrap();
        assert_eq!((&found.labels, key(&found.task)), (&point.labels, key(&point.task)));
    }
    assert!(Plan::load_point(&request, 2).unwrap().0.points.is_empty());
}

/// The small form of the trial: everything at once for a few seconds.
#[test]
fn many_clients_are_served_beside_a_hostile_one() {
    let cells: Vec<Cell> = (1..=12).map(Cell::new).collect();
    let near: Vec<Computed> = cells.iter().map(|cell| cell.near(Variant::Encrypted)).collect();
    let limits = Limits { hello_timeout: Duration::from_secs(5), ..Limits::default() };
    let lines = with_server(limits, true, |server| {
        let (remote, done) = (server.remote(), Interrupt::default());
        std::thread::scope(|scope| {
            let hostile = scope.spawn(|| hostile::torment(&server.address, server.token(), &cells[0], &done));
            let honest: Vec<_> = cells
                .iter()
                .zip(&near)
                .map(|(cell, near)| {
                    scope.spawn(|| {
                        (0..2)
                            .for_each(|_| assert_same(near, &cell.far(Variant::Encrypted, &remote).unwrap()));
                    })
                })
                .collect();
            let ends: Vec<_> = honest.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
            done.raise();
            hostile.join().unwrap();
            assert!(ends.iter().all(Result::is_ok));
        });
    });
    assert_eq!(lines.iter().filter(|line| line.contains(": served test encrypted")).count(), 24);
    assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:#?}");
}
