//! A channel that counts what the protocol says over it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::protocol::ProtocolError;
use crate::protocol::channel::{Channel, LENGTH_BYTES};
use crate::protocol::message::{HEADER_BYTES, Kind, Message};

/// From so many bytes on, all threads hash: fewer take less time than the threads to wake.
const SHARED_BYTES: usize = 1 << 18;

/// What went over a channel, as the client sees it: up is towards the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traffic {
    /// Times that the client waited for an answer.
    pub rounds: u64,
    /// Messages to the server.
    pub messages_up: u64,
    /// Messages to the client.
    pub messages_down: u64,
    /// Bytes to the server, frames included.
    pub bytes_up: u64,
    /// Bytes to the client, frames included.
    pub bytes_down: u64,
    /// Ciphertexts to the server: what the GELU-Net paper counts as messages.
    pub ciphertexts_up: u64,
    /// Ciphertexts to the client.
    pub ciphertexts_down: u64,
}

impl Traffic {
    /// The sum with so many times another's.
    #[must_use]
    pub fn plus(self, other: &Self, times: u64) -> Self {
        Self {
            rounds: self.rounds + times * other.rounds,
            messages_up: self.messages_up + times * other.messages_up,
            messages_down: self.messages_down + times * other.messages_down,
            bytes_up: self.bytes_up + times * other.bytes_up,
            bytes_down: self.bytes_down + times * other.bytes_down,
            ciphertexts_up: self.ciphertexts_up + times * other.ciphertexts_up,
            ciphertexts_down: self.ciphertexts_down + times * other.ciphertexts_down,
        }
    }

    /// What came after some of it.
    #[must_use]
    pub fn since(self, before: &Self) -> Self {
        Self {
            rounds: self.rounds - before.rounds,
            messages_up: self.messages_up - before.messages_up,
            messages_down: self.messages_down - before.messages_down,
            bytes_up: self.bytes_up - before.bytes_up,
            bytes_down: self.bytes_down - before.bytes_down,
            ciphertexts_up: self.ciphertexts_up - before.ciphertexts_up,
            ciphertexts_down: self.ciphertexts_down - before.ciphertexts_down,
        }
    }

    /// Names and numbers, in the order of records.
    pub fn by_name(&self) -> [(&'static str, u64); 6] {
        [
            ("rounds", self.rounds),
            ("messages", self.messages_up + self.messages_down),
            ("bytes_up", self.bytes_up),
            ("bytes_down", self.bytes_down),
            ("ciphertexts_up", self.ciphertexts_up),
            ("ciphertexts_down", self.ciphertexts_down),
        ]
    }
}

/// The client's or the server's end of a counted channel.
pub struct Link {
    channel: Box<dyn Channel>,
    is_client: bool,
    /// up and down; none where messages say how many ciphertexts they have
    ciphertext_bytes: Option<[usize; 2]>,
    awaiting: bool,
    traffic: Traffic,
    /// ciphertexts by the number of their messages' kind
    kinds: BTreeMap<u8, u64>,
    chain: Chain,
}

impl Link {
    /// The client's end. `ciphertext_bytes` is the length of a serialised ciphertext.
    pub fn client(channel: Box<dyn Channel>, ciphertext_bytes: usize) -> Self {
        Self::new(channel, true, Some([ciphertext_bytes; 2]))
    }

    /// The server's end.
    pub fn server(channel: Box<dyn Channel>, ciphertext_bytes: usize) -> Self {
        Self::new(channel, false, Some([ciphertext_bytes; 2]))
    }

    /// An end of a channel whose ciphertexts have one length on the way up and another on the way down; where they have more lengths than
    /// that (`None`), the count of a message is that of its ciphertexts.
    pub fn new(channel: Box<dyn Channel>, is_client: bool, ciphertext_bytes: Option<[usize; 2]>) -> Self {
        Self {
            channel,
            is_client,
            ciphertext_bytes,
            awaiting: false,
            traffic: Traffic::default(),
            kinds: BTreeMap::new(),
            chain: Chain::default(),
        }
    }

    /// Sends a message.
    pub fn send(&mut self, message: Message) -> Result<(), ProtocolError> {
        self.count(&message, self.is_client);
        Ok(self.channel.send(message.into_frame())?)
    }

    /// Waits for a message.
    pub fn receive(&mut self) -> Result<Message, ProtocolError> {
        let frame = self.channel.receive()?;
        let message = Message::from_frame(frame)?;
        if !message.kind.is_control() {
            self.count(&message, !self.is_client);
        }
        Ok(message)
    }

    /// Waits for a message of one kind.
    pub fn expect(&mut self, kind: Kind, name: &'static str) -> Result<Message, ProtocolError> {
        self.receive()?.expect(kind, name)
    }

    fn count(&mut self, message: &Message, up: bool) {
        if message.kind.is_control() {
            return;
        }
        let length = HEADER_BYTES + message.body.len();
        let bytes = (LENGTH_BYTES + length) as u64;
        let ciphertexts = match message.kind {
            Kind::PublicKey => 0,
            _ => self.ciphertext_bytes.map_or_else(
                || u64::from(message.count),
                |bytes| (message.body.len() / bytes[usize::from(!up)].max(1)) as u64,
            ),
        };
        *self.kinds.entry(message.kind as u8).or_default() += ciphertexts;
        let traffic = &mut self.traffic;
        if up {
            traffic.messages_up += 1;
            traffic.bytes_up += bytes;
            traffic.ciphertexts_up += ciphertexts;
            self.awaiting = true;
        } else {
            traffic.messages_down += 1;
            traffic.bytes_down += bytes;
            traffic.ciphertexts_down += ciphertexts;
            traffic.rounds += u64::from(std::mem::take(&mut self.awaiting));
        }
        if self.is_client {
            let length = (length as u64).to_le_bytes();
            self.chain.extend([&[u8::from(up)], &length[..], &message.header(), &message.body]);
        }
    }

    /// What has been counted so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Ciphertexts in messages of one kind, in whichever direction; of what has gone through this end itself, not of what it was told by
    /// [`resume`](Self::resume).
    pub fn ciphertexts(&self, kind: Kind) -> u64 {
        self.kinds.get(&(kind as u8)).copied().unwrap_or(0)
    }

    /// Hash over every counted frame and its direction; of the client's end, as the server's hashes nothing.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// As if these had been counted, and nothing else: the conversation goes on where another one ended.
    pub fn resume(&mut self, traffic: Traffic, chain: Chain) {
        (self.traffic, self.chain) = (traffic, chain);
    }
}

/// A chain of hashes (BLAKE3), each over the one before it and some bytes: where a sequence has come to, short enough to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain([u8; 32]);

impl Chain {
    /// Adds what lies one after the other in some pieces.
    pub fn extend<P: AsRef<[u8]>>(&mut self, pieces: impl IntoIterator<Item = P>) {
        let mut hash = blake3::Hasher::new();
        hash.update(&self.0);
        for piece in pieces {
            let piece = piece.as_ref();
            if piece.len() < SHARED_BYTES || rayon::current_num_threads() == 1 {
                hash.update(piece);
            } else {
                hash.update_rayon(piece);
            }
        }
        self.0 = hash.finalize().into();
    }

    /// The last hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_pieces_are_hashed_as_short_ones_are() {
        let long: Vec<u8> = (0..=250).cycle().take(2 * SHARED_BYTES + 77).collect();
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let of = |size| {
                let mut chain = Chain::default();
                pool.install(|| chain.extend(long.chunks(size)));
                chain
            };
            assert_eq!(of(long.len()), of(1000));
            assert_ne!(of(long.len()), Chain::default());
        }
    }
}
