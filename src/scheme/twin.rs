//! The simulated twin of an additive scheme: the same interface, plaintext space and sizes, and nothing hidden.
//!
//! The simulated variant of an experiment is the encrypted one with the scheme replaced by its twin, so circuit,
//! rounding, message sizes and operation counts are the same by construction, at the speed of plain integers.

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::One;

use crate::math::{
    rows::{Rows, Term},
    stream::Stream,
};
use crate::scheme::additive::{AdditiveScheme, SchemeError, check_lengths, check_samples};
use crate::scheme::encoding::centred;

/// An additive "scheme" without encryption that imitates the sizes of a real one.
#[derive(Debug, Clone)]
pub struct Twin {
    modulus: BigUint,
    public_key_bytes: usize,
    ciphertext_bytes: usize,
    message_bound: Option<BigUint>,
}

/// A message in the clear, as the representative of least magnitude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clear(BigInt);

impl Twin {
    /// The twin of `scheme`, whose plaintext modulus has `plaintext_bits` bits.
    ///
    /// The modulus is the least number of that size without prime factors below 100, so that every value that fits here
    /// fits under a real key of the size, and small numbers have inverses as they do there.
    pub fn of<S: AdditiveScheme>(scheme: &S, plaintext_bits: u64) -> Self {
        // 3 * 5 * 7 * ... * 97
        let small_primes = BigUint::from(1_152_783_981_972_759_212_376_551_073_665_878_035_u128);
        let mut modulus = (BigUint::one() << (plaintext_bits - 1)) + 1_u32;
        while !modulus.gcd(&small_primes).is_one() {
            modulus += 2_u32;
        }
        Self {
            modulus,
            public_key_bytes: scheme.public_key_bytes(),
            ciphertext_bytes: scheme.ciphertext_bytes(),
            message_bound: scheme.message_bound(),
        }
    }

    fn reduce(&self, value: &BigInt) -> Clear {
        let modulus = BigInt::from(self.modulus.clone());
        if value.magnitude() << 1_u32 < self.modulus {
            return Clear(value.clone());
        }
        let residue = value.mod_floor(&modulus).to_biguint().unwrap_or_default();
        Clear(centred(&residue, &self.modulus))
    }

    fn residue(&self, clear: &Clear) -> BigUint {
        match clear.0.sign() {
            Sign::Minus => &self.modulus - clear.0.magnitude(),
            _ => clear.0.magnitude().clone(),
        }
    }

    fn write_padded(value: &BigUint, bytes: usize, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&value.to_bytes_le());
        out.resize(start + bytes, 0);
    }
}

impl AdditiveScheme for Twin {
    type PublicKey = BigUint;
    type SecretKey = BigUint;
    type Ciphertext = Clear;

    fn generate_keys(&self, _randomness: &Stream) -> Result<BigUint, SchemeError> {
        Ok(self.modulus.clone())
    }

    fn public_key<'k>(&self, key: &'k BigUint) -> &'k BigUint {
        key
    }

    fn plaintext_modulus<'k>(&self, key: &'k BigUint) -> &'k BigUint {
        key
    }

    fn encrypt(
        &self,
        _key: &BigUint,
        residues: &[BigUint],
        _randomness: &Stream,
    ) -> Result<Vec<Clear>, SchemeError> {
        residues
            .iter()
            .enumerate()
            .map(|(index, residue)| {
                if *residue < self.modulus {
                    Ok(Clear(centred(residue, &self.modulus)))
                } else {
                    Err(SchemeError::MessageRange { index, bits: self.modulus.bits() })
                }
            })
            .collect()
    }

    fn message_bound(&self) -> Option<BigUint> {
        self.message_bound.clone()
    }

    fn decrypt(&self, _key: &BigUint, ciphertexts: &[Clear]) -> Result<Vec<BigUint>, SchemeError> {
        let bound = self.message_bound.as_ref();
        let open = |(index, clear): (usize, &Clear)| match bound {
            Some(bound) if clear.0.magnitude() > bound => {
                Err(SchemeError::BeyondBound { index, bound: bound.clone() })
            }
            _ => Ok(self.residue(clear)),
        };
        ciphertexts.iter().enumerate().map(open).collect()
    }

    fn add(&self, _key: &BigUint, left: &[Clear], right: &[Clear]) -> Result<Vec<Clear>, SchemeError> {
        check_lengths(left.len(), right.len())?;
        Ok(left.iter().zip(right).map(|(left, right)| self.reduce(&(&left.0 + &right.0))).collect())
    }

    fn add_plain(
        &self,
        _key: &BigUint,
        left: &[Clear],
        residues: &[BigUint],
    ) -> Result<Vec<Clear>, SchemeError> {
        check_lengths(left.len(), residues.len())?;
        let sum =
            |(left, residue): (&Clear, &BigUint)| self.reduce(&(&left.0 + centred(residue, &self.modulus)));
        Ok(left.iter().zip(residues).map(sum).collect())
    }

    fn combine(&self, _key: &BigUint, inputs: &[Clear], rows: &Rows<'_>) -> Result<Vec<Clear>, SchemeError> {
        check_samples(inputs.len(), rows.columns(), rows.len())?;
        let dot = |sample: &[Clear], row: &[Term<'_>]| {
            let terms = row.iter().map(|(column, weight)| &sample[*column].0 * *weight);
            self.reduce(&terms.sum())
        };
        let samples = (0..rows.samples(inputs.len())).map(|sample| &inputs[sample * rows.columns()..]);
        Ok(samples.flat_map(|sample| rows.iter().map(move |row| dot(sample, row))).collect())
    }

    fn rerandomise(&self, _key: &BigUint, ciphertexts: &[Clear], _randomness: &Stream) -> Vec<Clear> {
        ciphertexts.to_vec()
    }

    fn public_key_bytes(&self) -> usize {
        self.public_key_bytes
    }

    fn ciphertext_bytes(&self) -> usize {
        self.ciphertext_bytes
    }

    fn write_public_key(&self, key: &BigUint, out: &mut Vec<u8>) {
        Self::write_padded(key, self.public_key_bytes, out);
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<BigUint, SchemeError> {
        if bytes.len() != self.public_key_bytes {
            return Err(SchemeError::Length {
                what: "public key",
                bytes: bytes.len(),
                expected: self.public_key_bytes,
            });
        }
        let key = BigUint::from_bytes_le(bytes);
        if key == self.modulus { Ok(key) } else { Err(SchemeError::Range { what: "public key", index: 0 }) }
    }

    fn write_ciphertexts(&self, _key: &BigUint, ciphertexts: &[Clear], out: &mut Vec<u8>) {
        for ciphertext in ciphertexts {
            Self::write_padded(&self.residue(ciphertext), self.ciphertext_bytes, out);
        }
    }

    fn read_ciphertexts(&self, _key: &BigUint, bytes: &[u8]) -> Result<Vec<Clear>, SchemeError> {
        let chunks = bytes.chunks_exact(self.ciphertext_bytes);
        if !chunks.remainder().is_empty() {
            return Err(SchemeError::Length {
                what: "ciphertexts",
                bytes: bytes.len(),
                expected: self.ciphertext_bytes,
            });
        }
        chunks
            .enumerate()
            .map(|(index, chunk)| {
                let residue = BigUint::from_bytes_le(chunk);
                if residue < self.modulus {
                    Ok(Clear(centred(&residue, &self.modulus)))
                } else {
                    Err(SchemeError::Range { what: "ciphertext", index })
                }
            })
            .collect()
    }
}
