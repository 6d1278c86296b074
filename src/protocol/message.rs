//! What the parties say: a kind, two small numbers and a body.

use std::{
    fmt,
    ops::{Deref, DerefMut},
};

use rayon::prelude::*;

use crate::protocol::ProtocolError;

/// Kinds of message. Those above 128 belong to the harness, not to the protocol, and are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A public key. Client to server and back.
    PublicKey = 1,
    /// `[a]_c` of layer `layer` for `count` samples. Client to server.
    Activations = 2,
    /// `[z]_c` in answer to activations. Server to client.
    Sums = 3,
    /// Asks for a training session; `count` iterations are left. Client to server.
    Begin = 4,
    /// The session's number of iterations in `count`, and `[1/η]_s`. Server to client.
    Session = 5,
    /// `[δ]_c` of layer `layer`. Client to server.
    Errors = 6,
    /// `[q]_c` in answer to errors. Server to client.
    Products = 7,
    /// Masked gradients `[Δ + r/η]_s` of every layer. Client to server.
    MaskedGradients = 8,
    /// Summed gradients `[ΣΔ]_s` of every layer, which end a session. Client to server.
    SummedGradients = 9,
    /// The sums have been applied. Server to client.
    Updated = 10,
    /// Encrypted weights of layer `layer`; `count` ciphertexts. Client to server, and back after training.
    Weights = 11,
    /// `count` ciphertexts of layer `layer` that are to be encrypted anew. Server to client.
    Refresh = 12,
    /// The same numbers, fresh. Client to server.
    Refreshed = 13,
    /// Harness: which cell is to be served, as JSON.
    Hello = 129,
    /// Harness: nothing more will be asked.
    Close = 130,
    /// Harness: the server's counts and weights, as JSON.
    Report = 131,
    /// Harness: the sender gives up; the body says why.
    Fault = 132,
}

impl Kind {
    /// Kinds above this are the harness's.
    const CONTROL: u8 = 128;

    const ALL: [Self; 17] = [
        Self::PublicKey,
        Self::Activations,
        Self::Sums,
        Self::Begin,
        Self::Session,
        Self::Errors,
        Self::Products,
        Self::MaskedGradients,
        Self::SummedGradients,
        Self::Updated,
        Self::Weights,
        Self::Refresh,
        Self::Refreshed,
        Self::Hello,
        Self::Close,
        Self::Report,
        Self::Fault,
    ];

    /// Whether it belongs to the harness and is not counted.
    pub fn is_control(self) -> bool {
        self as u8 > Self::CONTROL
    }
}

/// The bytes of a message, with room for the header before them: messages of some hundred megabytes become frames, and frames messages,
/// without being copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// So many parts of one length, each written by a call that is told its index. All threads take part.
    ///
    /// # Errors
    /// What `write` gives.
    ///
    /// # Panics
    /// Where a part has another length.
    pub fn of_parts<E: Send>(
        count: usize,
        bytes: usize,
        write: impl Fn(usize, &mut Vec<u8>) -> Result<(), E> + Sync,
    ) -> Result<Self, E> {
        let mut body = Self(vec![0; HEADER_BYTES + count * bytes]);
        let parts = body.par_chunks_exact_mut(bytes.max(1)).enumerate();
        parts.try_for_each_init(
            || Vec::with_capacity(bytes),
            |written, (index, part)| {
                written.clear();
                write(index, written)?;
                part.copy_from_slice(written);
                Ok(())
            },
        )?;
        Ok(body)
    }

    /// What is written at once, of so many bytes as far as is known.
    pub fn written(bytes: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut body = Vec::with_capacity(HEADER_BYTES + bytes);
        body.resize(HEADER_BYTES, 0);
        write(&mut body);
        Self(body)
    }

    /// Appends the bytes of another.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(other);
    }
}

impl From<Vec<u8>> for Body {
    fn from(mut bytes: Vec<u8>) -> Self {
        bytes.splice(..0, [0; HEADER_BYTES]);
        Self(bytes)
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[HEADER_BYTES..]
    }
}

impl DerefMut for Body {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0[HEADER_BYTES..]
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: Kind,
    /// A layer, counted from 0; 0 where the kind has none.
    pub layer: u32,
    /// A number of samples or iterations; 0 where the kind has none.
    pub count: u32,
    /// The rest: ciphertexts one after another, a key, JSON, or text.
    pub body: Body,
}

/// Bytes before the body.
pub const HEADER_BYTES: usize = 9;

impl Message {
    /// A message without numbers.
    pub fn new(kind: Kind, body: impl Into<Body>) -> Self {
        Self { kind, layer: 0, count: 0, body: body.into() }
    }

    /// What stands before the body.
    pub fn header(&self) -> [u8; HEADER_BYTES] {
        let ([a, b, c, d], [e, f, g, h]) = (self.layer.to_le_bytes(), self.count.to_le_bytes());
        [self.kind as u8, a, b, c, d, e, f, g, h]
    }

    /// As a frame.
    pub fn into_frame(mut self) -> Vec<u8> {
        let header = self.header();
        self.body.0[..HEADER_BYTES].copy_from_slice(&header);
        self.body.0
    }

    /// From a stranger's frame.
    pub fn from_frame(frame: Vec<u8>) -> Result<Self, ProtocolError> {
        let garbage = |found: String| ProtocolError::Unexpected { found, expected: "a message" };
        let Some((header, _)) = frame.split_first_chunk::<HEADER_BYTES>() else {
            return Err(garbage(format!("a frame of {} bytes", frame.len())));
        };
        let [kind, a, b, c, d, e, f, g, h] = *header;
        let kind = Kind::ALL
            .into_iter()
            .find(|known| *known as u8 == kind)
            .ok_or_else(|| garbage(format!("a message of unknown kind {kind}")))?;
        let layer = u32::from_le_bytes([a, b, c, d]);
        let count = u32::from_le_bytes([e, f, g, h]);
        Ok(Self { kind, layer, count, body: Body(frame) })
    }

    /// This message, if it is of the kind that the protocol allows here.
    pub fn expect(self, kind: Kind, name: &'static str) -> Result<Self, ProtocolError> {
        if self.kind == kind {
            Ok(self)
        } else if self.kind == Kind::Fault {
            Err(ProtocolError::Fault(String::from_utf8_lossy(&self.body).into_owned()))
        } else {
            Err(ProtocolError::Unexpected { found: format!("{:?}", self.kind), expected: name })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_wire_and_garbage_does_not() {
        for kind in Kind::ALL {
            let message = Message { kind, layer: 3, count: 1 << 30, body: vec![1, 2, 3].into() };
            let frame = message.clone().into_frame();
            assert_eq!(frame, [&message.header()[..], &[1, 2, 3]].concat());
            assert_eq!(*Message::from_frame(frame).unwrap().body, [1, 2, 3]);
        }
        let parts = Body::of_parts(3, 2, |index, out| {
            out.resize(2, if index == 1 { 7 } else { 9 });
            Ok::<_, ()>(())
        });
        assert_eq!(*parts.unwrap(), [9, 9, 7, 7, 9, 9]);
        assert!(Body::of_parts(3, 2, |index, _| Err(index)).unwrap_err() < 3);
        assert!(Message::from_frame(vec![]).is_err());
        assert!(Message::from_frame(vec![1; 8]).is_err());
        assert!(Message::from_frame(vec![200; 20]).is_err());
    }
}
