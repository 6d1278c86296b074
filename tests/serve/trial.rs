//! The whole trial: 64 clients, one of them hostile, against one server for two minutes.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use henn::backend::Variant;
use henn::backend::meter::Interrupt;
use henn::protocol::tls::{Access, Remote, Token};
use henn::runner::cell::Computed;

use crate::{Cell, assert_same, hostile};

/// Those who follow the protocol; one more does not.
const HONEST: usize = 63;
const DURATION: Duration = Duration::from_mins(2);
/// Above what the server has before anybody calls: less than 4 MiB a session.
const MOST_BYTES: u64 = 256 << 20;

/// A server that is gone when the trial is, be it by a failure.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already where all went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A number of bytes that the system tells of a process.
fn bytes_of(process: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kibibytes| kibibytes << 10)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_henn"));
    command.args(arguments);
    command
}

fn wait_for(path: &Path) -> String {
    let start = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(path) {
            return text;
        }
        assert!(start.elapsed() < Duration::from_mins(1), "the server did not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[ignore = "slow: two minutes, and it wants the machine for itself; .ci/run runs it"]
fn sixty_four_clients_one_of_them_hostile_for_two_minutes() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let secrets = path("secrets");
    let made = command(&["doctor", "--certificates", &secrets]).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let [certificate, key, token, address_file, log] =
        ["secrets/certificate.pem", "secrets/key.pem", "secrets/token", "address", "log"].map(path);
    let child = command(&["serve", "--listen", "127.0.0.1:0", "--address-file", &address_file])
        .args(["--certificate", &certificate, "--key", &key, "--token", &token])
        .stderr(File::create(&log).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server(child);
    let process = server.0.id();
    let address = wait_for(address_file.as_ref());
    let secret = fs::read_to_string(&token).unwrap();
    let pin = fs::read_to_string(&certificate).unwrap();
    let remote = Remote::secured(&address, Access::new(&pin, Token::parse(&secret).unwrap()).unwrap());

    // Every client has data, keys and weights of its own, so that whatever came from another's session would show.
    let cells: Vec<Cell> = (1..=HONEST).map(Cell::new).collect();
    let near: Vec<Computed> = cells.iter().map(|cell| cell.near(Variant::Encrypted)).collect();
    let before = bytes_of(process, "VmRSS").unwrap_or(0);
    let (done, served) = (Interrupt::default(), AtomicUsize::new(0));
    let start = Instant::now();
    // Resident bytes now and then, and what the hostile client has opened.
    let (memory, connections) = std::thread::scope(|scope| {
        let hostile = scope.spawn(|| hostile::torment(&address, &secret, &cells[0], &done));
        let clients: Vec<_> = cells
            .iter()
            .zip(&near)
            .map(|(cell, near)| {
                let (remote, served) = (&remote, &served);
                scope.spawn(move || {
                    let mut own = 0;
                    while start.elapsed() < DURATION {
                        assert_same(near, &cell.far(Variant::Encrypted, remote).unwrap());
                        served.fetch_add(1, Ordering::Relaxed);
                        own += 1;
                    }
                    own
                })
            })
            .collect();
        let mut memory: Vec<u64> = Vec::new();
        while start.elapsed() < DURATION {
            memory.extend(bytes_of(process, "VmRSS"));
            std::thread::sleep(Duration::from_millis(200));
        }
        let each: Vec<_> = clients.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.raise();
        let connections = hostile.join().unwrap();
        let least = each.into_iter().map(Result::unwrap).min();
        assert!(least >= Some(1), "a client was never served");
        (memory, connections)
    });
    let peak = bytes_of(process, "VmHWM").unwrap_or(0);
    let asked = Command::new("kill").args(["-INT", &process.to_string()]).status().unwrap();
    assert!(asked.success());
    let stopping = Instant::now();
    assert_eq!(server.0.wait().unwrap().code(), Some(130));
    let stopped = stopping.elapsed();
    assert!(stopped < Duration::from_secs(10), "it took {stopped:?} to stop");

    let log = fs::read_to_string(&log).unwrap();
    let served = served.into_inner();
    let said = log.lines().filter(|line| line.contains(": served test encrypted")).count();
    let half = memory.len() / 2;
    let most = |part: &[u64]| part.iter().copied().max().unwrap_or(0);
    let (first, second) = (most(&memory[..half]), most(&memory[half..]));
    eprintln!(
        "{served} answers to {HONEST} clients, all right; {connections} connections of the hostile one; {} lines in the log; \
         memory of the server: {} KiB before, at most {} KiB in the first half, {} KiB in the second, {} KiB ever; stopped within {stopped:?}",
        log.lines().count(),
        before >> 10,
        first >> 10,
        second >> 10,
        peak >> 10
    );
    assert_eq!(said, served);
    assert!(!log.contains("panicked"), "{log}");
    assert!(peak < before + MOST_BYTES, "{peak} bytes after {before}");
    assert!(second <= first + first / 4, "memory grows: {first}, then {second} bytes");
}
