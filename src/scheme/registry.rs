//! The schemes by name, and the additive ones with the parameters that an experiment gives them: one line each.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::math::ring::Arithmetic;
use crate::scheme::additive::{AdditiveScheme, SchemeError};
use crate::scheme::elgamal::ElGamal;
use crate::scheme::okamoto_uchiyama::OkamotoUchiyama;
use crate::scheme::paillier::{Options, Paillier};
use crate::scheme::security::factoring_security_bits;
use crate::scheme::{bgn, elgamal};

/// Cryptosystems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SchemeName {
    /// Paillier: additions of ciphertexts, products with plaintexts.
    Paillier,
    /// Okamoto-Uchiyama: the same with shorter ciphertexts and a third of the messages' length.
    OkamotoUchiyama,
    /// Exponential ElGamal over ristretto255: the same for short messages.
    ElGamal,
    /// Boneh-Goh-Nissim over BLS12-381: one product of ciphertexts too, for short messages.
    Bgn,
    /// BGV: exact sums and products of vectors of integers; the modulus shrinks with every product.
    Bgv,
    /// BFV: the same with one modulus.
    Bfv,
    /// CKKS: sums and products of vectors of reals, with small errors.
    Ckks,
}

/// What a scheme computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sums of ciphertexts, products with numbers.
    Additive(AdditiveName),
    /// Sums and products of vectors.
    Lattice(LatticeName),
}

impl SchemeName {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Paillier, Self::OkamotoUchiyama, Self::ElGamal, Self::Bgn, Self::Bgv, Self::Bfv, Self::Ckks];

    /// What it computes.
    pub fn kind(self) -> Kind {
        match self {
            Self::Paillier => Kind::Additive(AdditiveName::Paillier),
            Self::OkamotoUchiyama => Kind::Additive(AdditiveName::OkamotoUchiyama),
            Self::ElGamal => Kind::Additive(AdditiveName::ElGamal),
            Self::Bgn => Kind::Additive(AdditiveName::Bgn),
            Self::Bgv => Kind::Lattice(LatticeName::Bgv),
            Self::Bfv => Kind::Lattice(LatticeName::Bfv),
            Self::Ckks => Kind::Lattice(LatticeName::Ckks),
        }
    }

    /// As written in files.
    pub fn name(self) -> &'static str {
        match self.kind() {
            Kind::Additive(name) => name.name(),
            Kind::Lattice(name) => name.name(),
        }
    }
}

impl fmt::Display for SchemeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Schemes over rings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LatticeName {
    /// Levels, integers.
    Bgv,
    /// One level, integers.
    Bfv,
    /// Levels, reals.
    Ckks,
}

impl LatticeName {
    /// As written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bgv => "bgv",
            Self::Bfv => "bfv",
            Self::Ckks => "ckks",
        }
    }
}

impl fmt::Display for LatticeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Additive schemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdditiveName {
    /// Long messages.
    Paillier,
    /// Long messages.
    OkamotoUchiyama,
    /// Short messages.
    ElGamal,
    /// Short messages.
    Bgn,
}

impl AdditiveName {
    /// As written in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paillier => "paillier",
            Self::OkamotoUchiyama => "okamoto_uchiyama",
            Self::ElGamal => "el_gamal",
            Self::Bgn => "bgn",
        }
    }

    /// Whether its security is that of factoring a modulus whose size the experiment chooses.
    pub fn has_modulus(self) -> bool {
        matches!(self, Self::Paillier | Self::OkamotoUchiyama)
    }

    /// Whether messages are all residues modulo a public number, so that anybody can draw uniform ones: Okamoto-Uchiyama keeps what
    /// messages wrap around at secret, the others find short ones only.
    pub fn has_uniform_messages(self) -> bool {
        self == Self::Paillier
    }

    /// The greatest number of bits of a message, where decryption has to search for it.
    pub fn max_message_bits(self) -> Option<u32> {
        match self {
            Self::Paillier | Self::OkamotoUchiyama => None,
            Self::ElGamal => Some(elgamal::MAX_BOUND_BITS),
            Self::Bgn => Some(bgn::MAX_BOUND_BITS),
        }
    }
}

impl fmt::Display for AdditiveName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An additive scheme with its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Parameters {
    /// Which.
    pub name: AdditiveName,
    /// Bits of the modulus, where there is one to choose.
    pub modulus_bits: u64,
    /// Bits of the greatest message, where decryption searches for it: what the circuit needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_bits: Option<u32>,
    /// Paillier's measures; the arithmetic is Okamoto-Uchiyama's too.
    #[serde(skip_serializing_if = "is_default")]
    pub options: Options,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's interface")]
fn is_default(options: &Options) -> bool {
    *options == Options::default()
}

/// Something to do with a scheme, whichever it is.
pub trait Visitor {
    /// What it yields.
    type Output;
    /// Does it.
    fn visit<S: AdditiveScheme + Clone>(self, scheme: S) -> Self::Output;
}

impl Parameters {
    /// Makes the scheme and hands it to the visitor.
    ///
    /// # Errors
    /// Those of the schemes' constructors.
    pub fn visit<V: Visitor>(&self, visitor: V) -> Result<V::Output, SchemeError> {
        let bits = self.message_bits.unwrap_or(0);
        Ok(match self.name {
            AdditiveName::Paillier => {
                visitor.visit(Paillier::try_new(self.modulus_bits)?.with_options(self.options))
            }
            AdditiveName::OkamotoUchiyama => visitor
                .visit(OkamotoUchiyama::try_new(self.modulus_bits)?.with_arithmetic(self.options.arithmetic)),
            AdditiveName::ElGamal => visitor.visit(ElGamal::try_new(bits)?),
            AdditiveName::Bgn => visitor.visit(bgn::Bgn::try_new(bits)?),
        })
    }

    /// Bits of security by the table that judges the scheme.
    pub fn security_bits(&self) -> u32 {
        match self.name {
            AdditiveName::Paillier | AdditiveName::OkamotoUchiyama => {
                factoring_security_bits(self.modulus_bits)
            }
            AdditiveName::ElGamal => elgamal::SECURITY_BITS,
            AdditiveName::Bgn => bgn::SECURITY_BITS,
        }
    }

    /// Where the security bits come from.
    pub fn security_source(&self) -> &'static str {
        match self.name {
            AdditiveName::Paillier | AdditiveName::OkamotoUchiyama => "NIST SP 800-57",
            AdditiveName::ElGamal => "NIST SP 800-186",
            AdditiveName::Bgn => "Guillevic, PKC 2020",
        }
    }

    /// Bits of the plaintext space that signed numbers and the thirds of python-paillier's encoding share.
    pub fn plaintext_bits(&self) -> u64 {
        match self.name {
            AdditiveName::Paillier => self.modulus_bits,
            AdditiveName::OkamotoUchiyama => {
                // Its bound is one of magnitude: a sign and the middle third go on top.
                OkamotoUchiyama::try_new(self.modulus_bits).map_or(0, |scheme| scheme.message_bits() + 2)
            }
            AdditiveName::ElGamal | AdditiveName::Bgn => u64::from(self.message_bits.unwrap_or(0)) + 2,
        }
    }

    /// Which arithmetic computes.
    pub fn arithmetic(&self) -> Option<Arithmetic> {
        self.name.has_modulus().then_some(self.options.arithmetic)
    }
}
