//! Real numbers in the clear: what the encrypted network is compared with.
//!
//! A "ciphertext" is the number itself, eight bytes on the wire; there are no keys and no masks.

use crate::backend::{Backend, BackendError, Matrix, Meter, Rate};
use crate::math::stream::Stream;
use crate::scheme::additive::SchemeError;
use crate::scheme::encoding::Scale;
use crate::scheme::packing::Packing;

const BYTES: usize = size_of::<f64>();

/// The plain backend.
#[derive(Debug, Clone, Default)]
pub struct Plain {
    meter: Meter,
}

impl Plain {
    /// A backend that counts nothing but listens to the meter's interrupt.
    pub fn new(meter: Meter) -> Self {
        Self { meter }
    }
}

impl Backend for Plain {
    type Number = f64;
    type PublicKey = ();
    type SecretKey = ();
    type Ciphertext = f64;

    fn generate_keys(&self, _randomness: &Stream) -> Result<(), BackendError> {
        Ok(())
    }

    fn public_key<'k>(&self, key: &'k ()) -> &'k () {
        key
    }

    fn encrypt(&self, _key: &(), numbers: &[f64], _randomness: &Stream) -> Result<Vec<f64>, BackendError> {
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(index) => Err(BackendError::NotFinite { what: "number", index }),
            None => Ok(numbers.to_vec()),
        }
    }

    fn decrypt(&self, _key: &(), ciphertexts: &[f64], _scale: Scale) -> Result<Vec<f64>, BackendError> {
        Ok(ciphertexts.to_vec())
    }

    fn precompute(&self, _key: &(), _count: usize, _randomness: &Stream) -> Result<(), BackendError> {
        Ok(())
    }

    fn packed_len(&self, numbers: usize, _packing: Option<Packing>) -> usize {
        numbers
    }

    fn decrypt_packed(
        &self,
        key: &(),
        ciphertexts: &[f64],
        _count: usize,
        _packing: Option<Packing>,
        scale: Scale,
    ) -> Result<Vec<f64>, BackendError> {
        self.decrypt(key, ciphertexts, scale)
    }

    fn decrypt_corrected(
        &self,
        _key: &(),
        ciphertexts: &[f64],
        corrections: &[f64],
        _packing: Option<Packing>,
        _scale: Scale,
    ) -> Result<Vec<f64>, BackendError> {
        if ciphertexts.len() != corrections.len() {
            let (found, expected) = (ciphertexts.len(), corrections.len());
            return Err(BackendError::Shape { what: "numbers to correct", found, expected });
        }
        Ok(ciphertexts.iter().zip(corrections).map(|(number, correction)| number - correction).collect())
    }

    fn affine(
        &self,
        _key: &(),
        weights: &Matrix<f64>,
        bias: Option<&[f64]>,
        inputs: &[f64],
        _packing: Option<Packing>,
        _randomness: &Stream,
    ) -> Result<Vec<f64>, BackendError> {
        self.meter.check()?;
        let columns = weights.columns;
        if columns == 0 || !inputs.len().is_multiple_of(columns) {
            return Err(BackendError::Shape { what: "inputs", found: inputs.len(), expected: columns });
        }
        let samples = inputs.chunks_exact(columns);
        let mut out = Vec::with_capacity(samples.len() * weights.rows.len());
        for sample in samples {
            for (row, terms) in weights.rows.iter().enumerate() {
                let sum: f64 = terms.iter().map(|(column, weight)| weight * sample[*column]).sum();
                out.push(sum + bias.and_then(|bias| bias.get(row)).unwrap_or(&0.0));
            }
        }
        Ok(out)
    }

    fn random_mask(&self, _bits: u32, _scale: Scale, _randomness: &Stream) -> f64 {
        0.0
    }

    fn uniform_mask(&self, _key: &(), _scale: Scale, _randomness: &Stream) -> f64 {
        0.0
    }

    fn residue(&self, _key: &(), number: &f64) -> f64 {
        *number
    }

    fn plaintext_bits(&self, _key: &()) -> Option<u64> {
        None
    }

    fn pack(&self, numbers: &[f64], _packing: Packing) -> Vec<f64> {
        numbers.to_vec()
    }

    fn unpack(&self, packed: &[f64], count: usize, _packing: Packing) -> Vec<f64> {
        packed.iter().take(count).copied().collect()
    }

    fn hide_rate(&self, _key: &(), rate: Rate, _randomness: &Stream) -> Result<f64, BackendError> {
        Ok(1.0 / rate.value())
    }

    fn mask_gradients(
        &self,
        _key: &(),
        _hidden_rate: &f64,
        gradients: &[f64],
        _masks: (&[f64], u64),
        _randomness: &Stream,
    ) -> Result<Vec<f64>, BackendError> {
        Ok(gradients.to_vec())
    }

    fn open_steps(
        &self,
        _key: &(),
        rate: Rate,
        masked: &[f64],
        _scale: Scale,
    ) -> Result<Vec<f64>, BackendError> {
        Ok(masked.iter().map(|gradient| gradient * rate.value()).collect())
    }

    fn public_key_bytes(&self) -> usize {
        0
    }

    fn ciphertext_bytes(&self) -> usize {
        BYTES
    }

    fn write_public_key(&self, _key: &()) -> Vec<u8> {
        Vec::new()
    }

    fn read_public_key(&self, bytes: &[u8]) -> Result<(), BackendError> {
        if bytes.is_empty() {
            return Ok(());
        }
        Err(SchemeError::Length { what: "public key", bytes: bytes.len(), expected: 0 }.into())
    }

    fn write_ciphertexts(&self, _key: &Self::PublicKey, ciphertexts: &[f64]) -> Vec<u8> {
        ciphertexts.iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    fn read_ciphertexts(&self, _key: &(), bytes: &[u8]) -> Result<Vec<f64>, BackendError> {
        let (chunks, rest) = bytes.as_chunks::<BYTES>();
        if !rest.is_empty() {
            return Err(SchemeError::Length { what: "numbers", bytes: bytes.len(), expected: BYTES }.into());
        }
        let numbers: Vec<f64> = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect();
        match numbers.iter().position(|number| !number.is_finite()) {
            Some(index) => Err(BackendError::NotFinite { what: "number", index }),
            None => Ok(numbers),
        }
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }
}
