//! Seeded randomness: one stream per purpose.
//!
//! Every random choice in henn is drawn from a [`Stream`] whose key is derived from the run's seed and a path of labels
//! ("split", "weights/layer-2", "client/keys"). Two purposes never share a stream, parallel work takes one child per
//! index, and so neither the number of threads nor the order of evaluation can change a byte.

use rand::{RngCore, SeedableRng, TryRngCore, rngs::OsRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A node in the tree of random streams: a 256-bit key from which children and one generator are derived.
///
/// Derivation is `SHA-256(key || kind || label)`, so that children are independent of each other and of the parent's
/// own generator for anyone who does not know the key.
///
/// # Security
/// A stream made by [`Stream::seeded`] is public: keys drawn from it protect nothing. [`Stream::from_os`] draws real
/// entropy.
pub struct Stream {
    key: [u8; 32],
}

impl Stream {
    /// The root stream of a reproducible run.
    pub fn seeded(seed: u64) -> Self {
        Self { key: hash(&[b"henn/root/v1", &seed.to_le_bytes()]) }
    }

    /// A root stream from the operating system's entropy source.
    ///
    /// # Errors
    /// When the operating system has no entropy to give.
    pub fn from_os() -> Result<Self, rand::rand_core::OsError> {
        let mut key = [0; 32];
        OsRng.try_fill_bytes(&mut key)?;
        Ok(Self { key })
    }

    /// The child stream named `label`.
    #[must_use]
    pub fn derive(&self, label: &str) -> Self {
        Self { key: hash(&[&self.key, b"/label/", label.as_bytes()]) }
    }

    /// The `index`-th child stream, for items of a batch.
    #[must_use]
    pub fn item(&self, index: u64) -> Self {
        Self { key: hash(&[&self.key, b"/item/", &index.to_le_bytes()]) }
    }

    /// The generator of this stream; each call starts it anew.
    pub fn rng(&self) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(hash(&[&self.key, b"/rng/"]))
    }

    /// A 64-bit seed, for libraries that want one.
    pub fn seed_u64(&self) -> u64 {
        self.rng().next_u64()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_reproducible_and_distinct_by_label_and_index() {
        let root = Stream::seeded(1);
        let draw = |stream: Stream| stream.seed_u64();
        assert_eq!(draw(root.derive("a")), draw(Stream::seeded(1).derive("a")));
        let all = [
            root.derive("a"),
            root.derive("b"),
            root.item(0),
            root.item(1),
            Stream::seeded(2),
            root.derive("a").item(0),
        ]
        .map(draw);
        for (i, left) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|right| left != right));
        }
    }

    #[test]
    fn a_label_cannot_imitate_a_path() {
        let root = Stream::seeded(1);
        assert_ne!(root.derive("a/b").seed_u64(), root.derive("a").derive("b").seed_u64());
    }
}
