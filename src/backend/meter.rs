//! Counts what a backend does, and carries the wish to stop into long computations.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::BackendError;

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Encryptions of a message.
    Encryption,
    /// Decryptions of a ciphertext.
    Decryption,
    /// Products of a ciphertext with a plain integer.
    ScalarProduct,
    /// Sums of two ciphertexts.
    Addition,
    /// Sums of a ciphertext and a plain integer.
    PlainAddition,
    /// Fresh randomness for a ciphertext.
    Rerandomisation,
    /// Products of two ciphertexts.
    Product,
    /// Products, or sums of them, that become ciphertexts of two parts again.
    Relinearisation,
    /// Products of a ciphertext with a vector of plain numbers.
    PlainProduct,
    /// Rotations of a ciphertext's slots.
    Rotation,
    /// Divisions of a ciphertext by a prime of its modulus.
    Rescaling,
}

impl Operation {
    /// All of them, in the order of records.
    pub const ALL: [Self; 11] = [
        Self::Encryption,
        Self::Decryption,
        Self::ScalarProduct,
        Self::Addition,
        Self::PlainAddition,
        Self::Rerandomisation,
        Self::Product,
        Self::Relinearisation,
        Self::PlainProduct,
        Self::Rotation,
        Self::Rescaling,
    ];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encryption => "encryptions",
            Self::Decryption => "decryptions",
            Self::ScalarProduct => "scalar_products",
            Self::Addition => "additions",
            Self::PlainAddition => "plain_additions",
            Self::Rerandomisation => "rerandomisations",
            Self::Product => "products",
            Self::Relinearisation => "relinearisations",
            Self::PlainProduct => "plain_products",
            Self::Rotation => "rotations",
            Self::Rescaling => "rescalings",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Numbers of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperationCounts([u64; Operation::ALL.len()]);

impl OperationCounts {
    /// The number of one operation.
    pub fn get(&self, operation: Operation) -> u64 {
        self.0[operation.index()]
    }

    /// Adds `count` of one operation.
    pub fn add(&mut self, operation: Operation, count: u64) {
        self.0[operation.index()] += count;
    }

    /// The sum of two counts.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        for operation in Operation::ALL {
            self.add(operation, other.get(operation));
        }
        self
    }

    /// So many times over.
    #[must_use]
    pub fn times(mut self, factor: u64) -> Self {
        self.0.iter_mut().for_each(|count| *count *= factor);
        self
    }

    /// By name, for records.
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        Operation::ALL
            .into_iter()
            .map(|operation| (operation.name().to_owned(), self.get(operation)))
            .collect()
    }

    /// From names, as another party reports them; unknown names are ignored.
    pub fn from_names(names: &BTreeMap<String, u64>) -> Self {
        let mut counts = Self::default();
        for operation in Operation::ALL {
            counts.add(operation, names.get(operation.name()).copied().unwrap_or(0));
        }
        counts
    }
}

/// A flag that asks long computations to stop; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Asks to stop.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether to stop.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A shared counter of operations that can be read while they happen; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    counts: Arc<[AtomicU64; Operation::ALL.len()]>,
    interrupt: Interrupt,
    stage: Arc<Mutex<String>>,
}

impl Meter {
    /// A meter at zero that listens to `interrupt`.
    pub fn new(interrupt: Interrupt) -> Self {
        Self { interrupt, ..Self::default() }
    }

    /// As if so many operations had been counted, and no others.
    pub fn resume(&self, counts: &OperationCounts) {
        for operation in Operation::ALL {
            self.counts[operation.index()].store(counts.get(operation), Ordering::Relaxed);
        }
    }

    /// Where a long computation has come to, in words, for whoever watches it.
    pub fn at(&self, stage: String) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }

    /// The same for the watcher; empty before anything was said.
    pub fn stage(&self) -> String {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Counts `count` of one operation.
    pub fn add(&self, operation: Operation, count: usize) {
        self.counts[operation.index()].fetch_add(count as u64, Ordering::Relaxed);
    }

    /// What has been counted so far.
    pub fn counts(&self) -> OperationCounts {
        let mut counts = OperationCounts::default();
        for operation in Operation::ALL {
            counts.add(operation, self.counts[operation.index()].load(Ordering::Relaxed));
        }
        counts
    }

    /// # Errors
    /// [`BackendError::Interrupted`] once the user has asked to stop.
    pub fn check(&self) -> Result<(), BackendError> {
        if self.interrupt.is_raised() { Err(BackendError::Interrupted) } else { Ok(()) }
    }
}
