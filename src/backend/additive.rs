//! Fixed-point integers under an additively homomorphic scheme, or under its simulated twin.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use rand::RngCore;

use crate::backend::{Backend, BackendError, Matrix, Meter, Operation, Rate};
use crate::math::rows::Rows;
use crate::math::stream::Stream;
use crate::math::uniform;
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::encoding::{EncodingError, Fixed, Scale, centred, decode_signed, encode_signed};
use crate::scheme::packing::Packing;

/// Numbers are handed to the scheme in pieces of so many, between which a wish to stop is heard.
const PIECE: usize = 64;
/// Scalar products of a large layer that are computed in one piece: every piece makes tables of its inputs anew.
const PIECE_PRODUCTS: usize = 1 << 18;
/// Masks that share a table of the hidden rate's powers: far more than what it costs, and soon done all the same.
const PIECE_MASKS: usize = 1 << 12;

/// The backend over an additive scheme.
pub struct Additive<S: AdditiveScheme> {
    scheme: S,
    meter: Meter,
    pools: Mutex<Vec<Pool<S>>>,
}

/// Encryptions of zero under one key, to be used once each.
struct Pool<S: AdditiveScheme> {
    key: S::PublicKey,
    zeros: VecDeque<S::Ciphertext>,
}

impl<S: AdditiveScheme> Additive<S> {
    /// A backend that counts in `meter`.
    pub fn new(scheme: S, meter: Meter) -> Self {
        Self { scheme, meter, pools: Mutex::default() }
    }

    /// Up to `count` zeros that were made in advance.
    fn take_zeros(&self, key: &S::PublicKey, count: usize) -> Vec<S::Ciphertext> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let pool = pools.iter_mut().find(|pool| pool.key == *key);
        pool.map_or_else(Vec::new, |pool| pool.zeros.drain(..count.min(pool.zeros.len())).collect())
    }

    fn fill_pool(
        &self,
        key: &S::PublicKey,
        count: usize,
        randomness: &Stream,
        encrypt: impl Fn(&[BigUint], &Stream) -> Result<Vec<S::Ciphertext>, SchemeError>,
    ) -> Result<(), BackendError> {
        let mut zeros = VecDeque::with_capacity(count);
        let none = vec![BigUint::ZERO; count];
        for (number, piece) in (0..).zip(none.chunks(PIECE)) {
            self.meter.check()?;
            zeros.extend(encrypt(piece, &randomness.item(number))?);
        }
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(Pool { key: key.clone(), zeros });
        Ok(())
    }

    fn rerandomise(
        &self,
        key: &S::PublicKey,
        ciphertexts: &[S::Ciphertext],
        randomness: &Stream,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        let mut out = Vec::with_capacity(ciphertexts.len());
        for (number, piece) in (0..).zip(ciphertexts.chunks(PIECE)) {
            self.meter.check()?;
            let zeros = self.take_zeros(key, piece.len());
            let (ahead, rest) = piece.split_at(zeros.len());
            out.extend(self.scheme.add(key, ahead, &zeros)?);
            out.extend(self.scheme.rerandomise(key, rest, &randomness.item(number)));
            self.meter.add(Operation::Rerandomisation, piece.len());
        }
        Ok(out)
    }

    fn pack(
        &self,
        key: &S::PublicKey,
        ciphertexts: Vec<S::Ciphertext>,
        packing: Option<Packing>,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        let Some(packing) = packing else { return Ok(ciphertexts) };
        self.meter.check()?;
        let packed = packing.pack(&self.scheme, key, &ciphertexts)?;
        let shifts = ciphertexts.len() - packed.len();
        self.meter.add(Operation::ScalarProduct, shifts);
        self.meter.add(Operation::Addition, shifts);
        Ok(packed)
    }

    fn decrypt_residues(
        &self,
        key: &S::SecretKey,
        ciphertexts: &[S::Ciphertext],
    ) -> Result<Vec<BigUint>, BackendError> {
        let mut out = Vec::with_capacity(ciphertexts.len());
        for piece in ciphertexts.chunks(PIECE) {
            self.meter.check()?;
            out.extend(self.scheme.decrypt(key, piece)?);
            self.meter.add(Operation::Decryption, piece.len());
        }
        Ok(out)
    }

    /// Encrypts in pieces; `encrypt` is the scheme's way to do one.
    fn in_pieces(
        &self,
        key: &S::PublicKey,
        residues: &[BigUint],
        randomness: &Stream,
        encrypt: impl Fn(&[BigUint], &Stream) -> Result<Vec<S::Ciphertext>, SchemeError>,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        let mut out = Vec::with_capacity(residues.len());
        for (number, piece) in (0..).zip(residues.chunks(PIECE)) {
            self.meter.check()?;
            let zeros = self.take_zeros(key, piece.len());
            let (ahead, rest) = piece.split_at(zeros.len());
            out.extend(self.scheme.add_plain(key, &zeros, ahead)?);
            out.extend(encrypt(rest, &randomness.item(number))?);
            self.meter.add(Operation::Encryption, piece.len());
        }
        Ok(out)
    }

    fn encode(&self, key: &S::PublicKey, numbers: &[Fixed]) -> Result<Vec<BigUint>, BackendError> {
        let modulus = self.scheme.plaintext_modulus(key);
        let bound = self.scheme.message_bound();
        let encode = |number: &Fixed| {
            let magnitude = number.mantissa.magnitude();
            match &bound {
                Some(bound) if magnitude > bound => {
                    Err(EncodingError::Overflow { bits: magnitude.bits(), max_bits: bound.bits() })
                }
                _ => encode_signed(&number.mantissa, modulus),
            }
        };
        Ok(numbers.iter().map(encode).collect::<Result<_, _>>()?)
    }

    /// Numbers that are added to ciphertexts. Like factors they may be of any magnitude where every residue is found: it
    /// is the sum that must not wrap, or, with exact masks, what is left of it.
    fn summands(&self, key: &S::PublicKey, numbers: &[Fixed]) -> Result<Vec<BigUint>, BackendError> {
        if self.scheme.message_bound().is_some() {
            return self.encode(key, numbers);
        }
        Ok(numbers.iter().map(|number| self.residue(key, number).mantissa.magnitude().clone()).collect())
    }
}

/// Rows of fixed-point numbers as the scheme takes them.
fn mantissas(rows: &[Vec<(usize, Fixed)>], columns: usize) -> Result<Rows<'_>, BackendError> {
    let mut all = Rows::new(columns);
    for row in rows {
        let terms = row.iter().map(|(column, weight)| (*column, &weight.mantissa));
        all.push(terms).map_err(|_| BackendError::Order { columns })?;
    }
    Ok(all)
}

impl<S: AdditiveScheme> Backend for Additive<S> {
    type Number = Fixed;
    type PublicKey = S::PublicKey;
    type SecretKey = S::SecretKey;
    type Ciphertext = S::Ciphertext;

    fn generate_keys(&self, randomness: &Stream) -> Result<S::SecretKey, BackendError> {
        Ok(self.scheme.generate_keys(randomness)?)
    }

    fn public_key<'k>(&self, key: &'k S::SecretKey) -> &'k S::PublicKey {
        self.scheme.public_key(key)
    }

    fn encrypt(
        &self,
        key: &S::PublicKey,
        numbers: &[Fixed],
        randomness: &Stream,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        self.in_pieces(key, &self.encode(key, numbers)?, randomness, |piece, randomness| {
            self.scheme.encrypt(key, piece, randomness)
        })
    }

    fn encrypt_own(
        &self,
        key: &S::SecretKey,
        numbers: &[Fixed],
        randomness: &Stream,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        let public = self.scheme.public_key(key);
        let residues = self.encode(public, numbers)?;
        self.in_pieces(public, &residues, randomness, |piece, randomness| {
            self.scheme.encrypt_own(key, piece, randomness)
        })
    }

    fn decrypt(
        &self,
        key: &S::SecretKey,
        ciphertexts: &[S::Ciphertext],
        scale: Scale,
    ) -> Result<Vec<Fixed>, BackendError> {
        let modulus = self.scheme.plaintext_modulus(self.scheme.public_key(key));
        self.decrypt_residues(key, ciphertexts)?
            .iter()
            .map(|residue| Ok(Fixed { mantissa: decode_signed(residue, modulus)?, scale }))
            .collect()
    }

    fn precompute(&self, key: &S::PublicKey, count: usize, randomness: &Stream) -> Result<(), BackendError> {
        self.fill_pool(key, count, randomness, |piece, randomness| {
            self.scheme.encrypt(key, piece, randomness)
        })
    }

    fn precompute_own(
        &self,
        key: &S::SecretKey,
        count: usize,
        randomness: &Stream,
    ) -> Result<(), BackendError> {
        let public = self.scheme.public_key(key);
        self.fill_pool(public, count, randomness, |piece, randomness| {
            self.scheme.encrypt_own(key, piece, randomness)
        })
    }

    fn packed_len(&self, numbers: usize, packing: Option<Packing>) -> usize {
        packing.map_or(numbers, |packing| packing.plaintexts(numbers))
    }

    fn pack(&self, numbers: &[Fixed], packing: Packing) -> Vec<Fixed> {
        let Some(scale) = numbers.first().map(|number| number.scale) else { return Vec::new() };
        let mantissas: Vec<_> = numbers.iter().map(|number| &number.mantissa).collect();
        packing.join(&mantissas).map(|mantissa| Fixed { mantissa, scale }).collect()
    }

    fn unpack(&self, packed: &[Fixed], count: usize, packing: Packing) -> Vec<Fixed> {
        let mut left = count;
        let mut numbers = Vec::with_capacity(count);
        for plaintext in packed {
            let here = left.min(packing.slots);
            left -= here;
            let values = packing.unpack(&plaintext.mantissa, here);
            numbers.extend(values.into_iter().map(|mantissa| Fixed { mantissa, scale: plaintext.scale }));
        }
        numbers
    }

    fn decrypt_packed(
        &self,
        key: &S::SecretKey,
        ciphertexts: &[S::Ciphertext],
        count: usize,
        packing: Option<Packing>,
        scale: Scale,
    ) -> Result<Vec<Fixed>, BackendError> {
        let opened = self.decrypt(key, ciphertexts, scale)?;
        Ok(match packing {
            Some(packing) => self.unpack(&opened, count, packing),
            None => opened,
        })
    }

    fn decrypt_corrected(
        &self,
        key: &S::SecretKey,
        ciphertexts: &[S::Ciphertext],
        corrections: &[Fixed],
        packing: Option<Packing>,
        scale: Scale,
    ) -> Result<Vec<Fixed>, BackendError> {
        let shape =
            |found| BackendError::Shape { what: "numbers to correct", found, expected: corrections.len() };
        if let Some(wrong) = corrections.iter().find(|correction| correction.scale != scale) {
            return Err(EncodingError::ScaleMismatch { left: scale.0, right: wrong.scale.0 }.into());
        }
        if packing.is_some() {
            let opened = self.decrypt_packed(key, ciphertexts, corrections.len(), packing, scale)?;
            if opened.len() != corrections.len() {
                return Err(shape(opened.len()));
            }
            let pairs = opened.iter().zip(corrections);
            return Ok(pairs
                .map(|(number, correction)| number.checked_sub(correction))
                .collect::<Result<_, _>>()?);
        }
        if ciphertexts.len() != corrections.len() {
            return Err(shape(ciphertexts.len()));
        }
        let public = self.scheme.public_key(key);
        let modulus = self.scheme.plaintext_modulus(public);
        self.decrypt_residues(key, ciphertexts)?
            .into_iter()
            .zip(corrections)
            .map(|(residue, correction)| {
                let opened = Fixed { mantissa: residue.into(), scale };
                let number = self.residue(public, &opened.checked_sub(correction)?);
                Ok(Fixed { mantissa: decode_signed(number.mantissa.magnitude(), modulus)?, scale })
            })
            .collect()
    }

    fn affine(
        &self,
        key: &S::PublicKey,
        weights: &Matrix<Fixed>,
        bias: Option<&[Fixed]>,
        inputs: &[S::Ciphertext],
        packing: Option<Packing>,
        randomness: &Stream,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        let (rows, columns) = (weights.rows.len(), weights.columns);
        if columns == 0 || inputs.len() % columns != 0 {
            return Err(BackendError::Shape { what: "inputs", found: inputs.len(), expected: columns });
        }
        let bias = bias.map(|bias| self.summands(key, bias)).transpose()?;
        if let Some(bias) = &bias
            && bias.len() != rows
        {
            return Err(BackendError::Shape { what: "biases", found: bias.len(), expected: rows });
        }
        // Small layers take several samples together, large ones go by some rows of one sample.
        let samples = (PIECE / rows.max(1)).max(1);
        let longest = weights.rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let rows_at_once = if samples > 1 { rows.max(1) } else { (PIECE_PRODUCTS / longest).max(PIECE) };
        let parts = weights.rows.chunks(rows_at_once).map(|rows| mantissas(rows, columns));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let mut sums = Vec::with_capacity(inputs.len() / columns * rows);
        for piece in inputs.chunks(samples * columns) {
            for (number, matrix) in parts.iter().enumerate() {
                self.meter.check()?;
                let mut part = self.scheme.combine(key, piece, matrix)?;
                if let Some(bias) = &bias {
                    let bias = &bias[number * rows_at_once..][..matrix.len()];
                    let bias: Vec<_> = bias.iter().cycle().take(part.len()).cloned().collect();
                    part = self.scheme.add_plain(key, &part, &bias)?;
                    self.meter.add(Operation::PlainAddition, part.len());
                }
                let samples = piece.len() / columns;
                let additions: usize = matrix.iter().map(|row| row.len().saturating_sub(1)).sum();
                self.meter.add(Operation::ScalarProduct, samples * matrix.terms().len());
                self.meter.add(Operation::Addition, samples * additions);
                sums.extend(part);
            }
        }
        let sums = self.pack(key, sums, packing)?;
        self.rerandomise(key, &sums, randomness)
    }

    fn random_mask(&self, bits: u32, scale: Scale, randomness: &Stream) -> Fixed {
        let mut bytes = vec![0; bits.div_ceil(8) as usize];
        randomness.rng().fill_bytes(&mut bytes);
        let mut value = BigUint::from_bytes_le(&bytes);
        value &= (BigUint::from(1_u32) << bits) - 1_u32;
        Fixed { mantissa: value.into(), scale }
    }

    fn uniform_mask(&self, key: &S::PublicKey, scale: Scale, randomness: &Stream) -> Fixed {
        let mask = uniform::below(self.scheme.plaintext_modulus(key), &mut randomness.rng());
        Fixed { mantissa: mask.into(), scale }
    }

    fn residue(&self, key: &S::PublicKey, number: &Fixed) -> Fixed {
        let modulus = BigInt::from(self.scheme.plaintext_modulus(key).clone());
        Fixed { mantissa: number.mantissa.mod_floor(&modulus), scale: number.scale }
    }

    fn plaintext_bits(&self, key: &S::PublicKey) -> Option<u64> {
        // A bound is one of magnitude: a sign and the middle third go on top.
        let bound = self.scheme.message_bound().map(|bound| bound.bits() + 2);
        Some(bound.unwrap_or_else(|| self.scheme.plaintext_modulus(key).bits()))
    }

    fn hide_rate(
        &self,
        key: &S::SecretKey,
        rate: Rate,
        randomness: &Stream,
    ) -> Result<S::Ciphertext, BackendError> {
        // The mantissa is far below every prime factor of a real key's modulus, so the inverse exists there.
        let inverse = BigUint::from(rate.mantissa).modinv(self.scheme.opening_modulus(key));
        let inverse = inverse.ok_or(BackendError::NoInverse { mantissa: rate.mantissa })?;
        let hidden =
            self.in_pieces(self.scheme.public_key(key), &[inverse], randomness, |piece, randomness| {
                self.scheme.encrypt_own(key, piece, randomness)
            })?;
        hidden.into_iter().next().ok_or(BackendError::Shape { what: "hidden rates", found: 0, expected: 1 })
    }

    fn mask_gradients(
        &self,
        key: &S::PublicKey,
        hidden_rate: &S::Ciphertext,
        gradients: &[Fixed],
        (masks, bits): (&[Fixed], u64),
        randomness: &Stream,
    ) -> Result<Vec<S::Ciphertext>, BackendError> {
        if gradients.len() != masks.len() {
            return Err(BackendError::Shape { what: "masks", found: masks.len(), expected: gradients.len() });
        }
        let residues = self.encode(key, gradients)?;
        let is_wrong = |mask: &Fixed| mask.mantissa.sign() == Sign::Minus || mask.mantissa.bits() > bits;
        if let Some(index) = masks.iter().position(is_wrong) {
            return Err(BackendError::Mask { index, bits });
        }
        let masks: Vec<&BigUint> = masks.iter().map(|mask| mask.mantissa.magnitude()).collect();
        let mut masked = Vec::with_capacity(masks.len());
        for (residues, masks) in residues.chunks(PIECE_MASKS).zip(masks.chunks(PIECE_MASKS)) {
            self.meter.check()?;
            let noise = self.scheme.multiples(key, hidden_rate, masks, bits)?;
            masked.extend(self.scheme.add_plain(key, &noise, residues)?);
            self.meter.add(Operation::ScalarProduct, masks.len());
            self.meter.add(Operation::PlainAddition, masks.len());
        }
        self.rerandomise(key, &masked, randomness)
    }

    fn open_steps(
        &self,
        key: &S::SecretKey,
        rate: Rate,
        masked: &[S::Ciphertext],
        scale: Scale,
    ) -> Result<Vec<Fixed>, BackendError> {
        let opening = self.scheme.opening_modulus(key);
        let modulus = self.scheme.plaintext_modulus(self.scheme.public_key(key));
        let scale = Scale(scale.0 + rate.bits);
        let residues = self.decrypt_residues(key, masked)?;
        let wrapped = BigInt::from(opening.clone());
        let step = |residue: &BigUint| {
            let step = (centred(residue, modulus) * rate.mantissa).mod_floor(&wrapped);
            Fixed { mantissa: centred(step.magnitude(), opening), scale }
        };
        Ok(residues.iter().map(step).collect())
    }

    fn public_key_bytes(&self) -> usize {
        self.scheme.public_key_bytes()
    }

    fn ciphertext_bytes(&self) -> usize {
        self.scheme.ciphertext_bytes()
    }

    fn write_public_key(&self, key: &S::PublicKey) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.scheme.public_key_bytes());
        self.scheme.write_public_key(key, &mut out);
        out
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<S::PublicKey, BackendError> {
        Ok(self.scheme.read_public_key(bytes)?)
    }

    fn write_ciphertexts(&self, key: &S::PublicKey, ciphertexts: &[S::Ciphertext]) -> Vec<u8> {
        let mut out = Vec::with_capacity(ciphertexts.len() * self.scheme.ciphertext_bytes());
        self.scheme.write_ciphertexts(key, ciphertexts, &mut out);
        out
    }

    fn read_ciphertexts(&self, key: &S::PublicKey, bytes: &[u8]) -> Result<Vec<S::Ciphertext>, BackendError> {
        Ok(self.scheme.read_ciphertexts(key, bytes)?)
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}
