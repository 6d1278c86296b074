//! Who is let in, and how much of everything sessions may have together.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use thiserror::Error;

use crate::backend::meter::Interrupt;

/// Experiments of clients that are read and planned at once: what that takes is not known before it is done.
const PLANNED_AT_ONCE: usize = 4;

/// What a server allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once.
    pub sessions: usize,
    /// Of them, with one peer.
    pub sessions_per_peer: usize,
    /// Connections at once that have not yet said who they are and what they want.
    pub handshakes: usize,
    /// Of them, with one peer.
    pub handshakes_per_peer: usize,
    /// A client has so long to shake hands, show that it has the token, and say what it wants.
    pub hello_timeout: Duration,
    /// In a session a client may be silent for so long.
    pub idle_timeout: Duration,
    /// A session lasts at most so long.
    pub session_timeout: Duration,
    /// Bytes that sessions may take together, by their estimates; none: what is free when the server starts.
    pub memory: Option<u64>,
    /// Threads that each session computes with; none: one a core.
    pub threads: Option<usize>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sessions: 128,
            sessions_per_peer: 96,
            handshakes: 128,
            handshakes_per_peer: 64,
            hello_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(10),
            session_timeout: Duration::from_hours(24),
            memory: None,
            threads: None,
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Crowd {
    #[error("turned away: {0} sessions are being served, the most allowed")]
    Sessions(usize),
    #[error("turned away: {0} sessions with this peer are being served, the most allowed")]
    SessionsOfPeer(usize),
    #[error("turned away: {0} connections are shaking hands, the most allowed")]
    Handshakes(usize),
    #[error("turned away: {0} connections of this peer are shaking hands, the most allowed")]
    HandshakesOfPeer(usize),
    #[error(
        "turned away: the cell takes about {needed_mebibytes} MiB of memory; {free_mebibytes} MiB of the server's are not taken"
    )]
    Memory { needed_mebibytes: u64, free_mebibytes: u64 },
}

/// A machine, as far as addresses tell: the whole network of 64 bits that an address of IPv6 can move about in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn of(address: SocketAddr) -> Self {
        Self(match address.ip().to_canonical() {
            IpAddr::V6(ip) if !ip.is_loopback() => {
                let [a, b, c, d, ..] = ip.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            ip => ip,
        })
    }
}

/// How many there are, in all and by peer.
#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_peer: BTreeMap<Peer, usize>,
}

impl Counts {
    fn of(&self, peer: Peer) -> usize {
        self.by_peer.get(&peer).copied().unwrap_or(0)
    }

    fn add(&mut self, peer: Peer) {
        self.all += 1;
        *self.by_peer.entry(peer).or_default() += 1;
    }

    fn remove(&mut self, peer: Peer) {
        self.all = self.all.saturating_sub(1);
        let left = self.of(peer).saturating_sub(1);
        if left == 0 {
            self.by_peer.remove(&peer);
        } else {
            self.by_peer.insert(peer, left);
        }
    }
}

#[derive(Debug, Default)]
struct State {
    handshakes: Counts,
    sessions: Counts,
    /// Bytes that sessions have been promised.
    memory: u64,
    planning: usize,
}

/// Counts who is there; all that sessions have in common.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    /// In bytes.
    memory: u64,
    state: Mutex<State>,
    planned: Condvar,
}

/// What has been let in, until it is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    gate: Arc<Gate>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Handshake(Peer),
    Session(Peer),
    Memory(u64),
    Planning,
}

impl Gate {
    /// `free` bytes are what there is where the limits do not say.
    pub(super) fn new(limits: Limits, free: Option<u64>) -> Arc<Self> {
        let memory = limits.memory.or(free).unwrap_or(u64::MAX);
        Arc::new(Self { limits, memory, state: Mutex::default(), planned: Condvar::new() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ticket(self: &Arc<Self>, kind: Kind) -> Ticket {
        Ticket { gate: Arc::clone(self), kind }
    }

    /// Lets a connection shake hands.
    pub(super) fn handshake(self: &Arc<Self>, peer: Peer) -> Result<Ticket, Crowd> {
        let mut state = self.state();
        if state.handshakes.of(peer) >= self.limits.handshakes_per_peer {
            return Err(Crowd::HandshakesOfPeer(self.limits.handshakes_per_peer));
        }
        if state.handshakes.all >= self.limits.handshakes {
            return Err(Crowd::Handshakes(self.limits.handshakes));
        }
        state.handshakes.add(peer);
        Ok(self.ticket(Kind::Handshake(peer)))
    }

    /// Lets a client have a session.
    pub(super) fn session(self: &Arc<Self>, peer: Peer) -> Result<Ticket, Crowd> {
        let mut state = self.state();
        if state.sessions.of(peer) >= self.limits.sessions_per_peer {
            return Err(Crowd::SessionsOfPeer(self.limits.sessions_per_peer));
        }
        if state.sessions.all >= self.limits.sessions {
            return Err(Crowd::Sessions(self.limits.sessions));
        }
        state.sessions.add(peer);
        Ok(self.ticket(Kind::Session(peer)))
    }

    /// Promises memory to a session.
    pub(super) fn memory(self: &Arc<Self>, needed: u64) -> Result<Ticket, Crowd> {
        let mut state = self.state();
        let free = self.memory.saturating_sub(state.memory);
        if needed > free {
            return Err(Crowd::Memory { needed_mebibytes: needed >> 20, free_mebibytes: free >> 20 });
        }
        state.memory += needed;
        Ok(self.ticket(Kind::Memory(needed)))
    }

    /// Waits until a client's experiment may be planned; nothing when the session has to end before.
    pub(super) fn planning(self: &Arc<Self>, interrupt: &Interrupt) -> Option<Ticket> {
        const LOOK: Duration = Duration::from_millis(100);
        let mut state = self.state();
        while state.planning >= PLANNED_AT_ONCE {
            if interrupt.is_raised() {
                return None;
            }
            (state, _) = self.planned.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner);
        }
        state.planning += 1;
        Some(self.ticket(Kind::Planning))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        match self.kind {
            Kind::Handshake(peer) => state.handshakes.remove(peer),
            Kind::Session(peer) => state.sessions.remove(peer),
            Kind::Memory(bytes) => state.memory = state.memory.saturating_sub(bytes),
            Kind::Planning => {
                state.planning = state.planning.saturating_sub(1);
                self.gate.planned.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::of(SocketAddr::from(([192, 0, 2, last], 7)))
    }

    #[test]
    fn nobody_takes_the_places_of_all() {
        let limits = Limits {
            sessions: 3,
            sessions_per_peer: 2,
            handshakes: 3,
            handshakes_per_peer: 2,
            memory: Some(10 << 20),
            ..Limits::default()
        };
        let gate = Gate::new(limits, None);
        let first: Vec<Ticket> = (0..2).map(|_| gate.handshake(peer(1)).unwrap()).collect();
        assert_eq!(gate.handshake(peer(1)).unwrap_err(), Crowd::HandshakesOfPeer(2));
        let _second = gate.handshake(peer(2)).unwrap();
        assert_eq!(gate.handshake(peer(3)).unwrap_err(), Crowd::Handshakes(3));
        drop(first);
        gate.handshake(peer(1)).unwrap();
        let held: Vec<Ticket> = [1, 1, 2].iter().map(|&last| gate.session(peer(last)).unwrap()).collect();
        assert_eq!(gate.session(peer(1)).unwrap_err(), Crowd::SessionsOfPeer(2));
        assert_eq!(gate.session(peer(3)).unwrap_err(), Crowd::Sessions(3));
        drop(held);
        assert!(gate.state().sessions.by_peer.is_empty());
        let _memory = gate.memory(7 << 20).unwrap();
        let refused = gate.memory(4 << 20).unwrap_err();
        assert_eq!(refused, Crowd::Memory { needed_mebibytes: 4, free_mebibytes: 3 });
        gate.memory(3 << 20).unwrap();
    }

    #[test]
    fn a_peer_of_ipv6_is_its_network() {
        let of = |text: &str| Peer::of(text.parse().unwrap());
        assert_eq!(of("[2001:db8:0:1::1]:1"), of("[2001:db8:0:1:ffff::2]:2"));
        assert_ne!(of("[2001:db8:0:1::1]:1"), of("[2001:db8:0:2::1]:1"));
        assert_eq!(of("[::ffff:192.0.2.1]:1"), peer(1));
    }

    #[test]
    fn planning_waits_and_gives_up_when_it_has_to() {
        let gate = Gate::new(Limits::default(), None);
        let interrupt = Interrupt::default();
        let held: Vec<Ticket> = (0..PLANNED_AT_ONCE).map(|_| gate.planning(&interrupt).unwrap()).collect();
        interrupt.raise();
        assert!(gate.planning(&interrupt).is_none());
        drop(held);
        assert!(gate.planning(&interrupt).is_some());
    }
}
