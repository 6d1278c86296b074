//! One line for whatever happens, and no more of them than somebody can read.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::runner::serve::gate::Peer;

/// Lines are counted for so long.
const PERIOD: Duration = Duration::from_mins(1);
/// Lines about what one peer broke, in one period.
const MOST_BROKEN: u32 = 100;
/// Peers of whom lines are counted.
const MOST_PEERS: usize = 4096;
/// Characters of a line; what a client can put into one is cut off there.
const LONGEST: usize = 400;

/// Where lines go.
pub type Sink = Box<dyn Fn(&str) + Send + Sync>;

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum About {
    /// A client that was turned away for want of room: a flood of them is one line.
    TurnedAway,
    /// A connection that ended before it was let in: a part of the flood, if there is one.
    Stranger,
    /// A client that broke something, or broke off.
    Broken,
}

/// Writes lines.
pub(super) struct Log {
    sink: Sink,
    written: Mutex<BTreeMap<(Peer, About), (Instant, u32)>>,
}

impl Log {
    pub(super) fn new(sink: Sink) -> Self {
        Self { sink, written: Mutex::default() }
    }

    /// A line of the server's own.
    pub(super) fn note(&self, line: &str) {
        (self.sink)(&clean(line));
    }

    /// A line about a peer, unless there were too many.
    pub(super) fn about(&self, address: SocketAddr, about: About, text: &str) {
        let most = match about {
            About::TurnedAway => 1,
            About::Stranger | About::Broken => MOST_BROKEN,
        };
        let peer = Peer::of(address);
        if about == About::Stranger && self.is_flooded_by(peer) {
            return;
        }
        let number = self.count(peer, about);
        if number <= most && about == About::TurnedAway {
            self.note(&format!("{address}: {text}; no more lines of this kind about it for a minute"));
        } else if number <= most {
            self.note(&format!("{address}: {text}"));
        }
        if number == most && about != About::TurnedAway {
            self.note(&format!("{}: {most} lines within a minute, no more until it is over", address.ip()));
        }
    }

    fn is_flooded_by(&self, peer: Peer) -> bool {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        written.get(&(peer, About::TurnedAway)).is_some_and(|(since, _)| since.elapsed() < PERIOD)
    }

    /// The number of this line in the present period.
    fn count(&self, peer: Peer, about: About) -> u32 {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.len() >= MOST_PEERS {
            written.retain(|_, (since, _)| since.elapsed() < PERIOD);
        }
        if written.len() >= MOST_PEERS {
            // As many peers as that are no peers: better some lines too many than a list without an end.
            written.clear();
        }
        let (since, number) = written.entry((peer, about)).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= PERIOD {
            (*since, *number) = (Instant::now(), 0);
        }
        *number = number.saturating_add(1);
        *number
    }
}

/// A single line without anything that a terminal or a reader of logs could take for something else. What a client says can be in it.
fn clean(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LONGEST));
    for letter in text.chars() {
        if line.len() >= LONGEST {
            line.push_str(" ...");
            break;
        }
        if letter.is_ascii_graphic() || letter == ' ' {
            line.push(letter);
        } else {
            line.extend(letter.escape_unicode());
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn log() -> (Log, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        (Log::new(Box::new(move |line| kept.lock().unwrap().push(line.to_owned()))), lines)
    }

    #[test]
    fn a_line_is_one_line_of_plain_letters() {
        assert_eq!(clean("a\nb\x1b[2Jc\u{202e}"), "a\\u{a}b\\u{1b}[2Jc\\u{202e}");
        assert!(clean(&"\u{7}".repeat(10_000)).len() < LONGEST + 20);
    }

    #[test]
    fn a_flood_is_one_line_and_broken_clients_are_so_many() {
        let (log, lines) = log();
        let addresses: Vec<SocketAddr> =
            (1..=1000).map(|port| SocketAddr::from(([192, 0, 2, 1], port))).collect();
        for &address in &addresses {
            log.about(address, About::TurnedAway, "turned away");
        }
        assert_eq!(lines.lock().unwrap().len(), 1);
        for &address in &addresses {
            log.about(address, About::Stranger, "went away");
        }
        assert_eq!(lines.lock().unwrap().len(), 1, "a part of the flood");
        for &address in &addresses {
            log.about(address, About::Broken, "garbage");
        }
        assert_eq!(lines.lock().unwrap().len(), 1 + MOST_BROKEN as usize + 1);
        log.about(SocketAddr::from(([192, 0, 2, 2], 1)), About::Stranger, "another");
        assert!(lines.lock().unwrap().last().unwrap().ends_with("another"));
    }
}
