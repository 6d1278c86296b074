//! The rules of `[scheme]`, and those on what a protocol needs of a scheme.

use super::Checker;
use crate::{
    experiment::{
        diagnostic::{Code, Diagnostic},
        spec::{ProtocolSpec, SchemeName, SecuritySpec, Spec},
    },
    protocol::{
        channel::FRAME_LIMIT,
        non_interactive::{
            self,
            parameters::{self, Lattice, Refusal, Wish},
        },
        refresh, split,
    },
    scheme::{
        okamoto_uchiyama::OkamotoUchiyama,
        packing::Packing,
        paillier::{Options, Paillier},
        registry::{AdditiveName, Kind, LatticeName, Parameters},
        security::REQUIRED_SECURITY_BITS,
    },
};

/// The security that is asked for: bits, and whether less is only marked.
pub(super) fn security(spec: &Spec, checker: &mut Checker<'_>) -> (u32, bool) {
    match spec.scheme.security {
        SecuritySpec::Marked(_) => (REQUIRED_SECURITY_BITS, true),
        SecuritySpec::Bits(bits) => {
            if ![128, 192, 256].contains(&bits) {
                checker.error(
                    "scheme.security",
                    Code::Range,
                    format!("`scheme.security` is {bits}"),
                    "allowed: 128, 192, 256, or \"paper\" for a paper's own parameters, which marks every row",
                );
            }
            (bits, false)
        }
    }
}

/// The scheme's name, and what it computes.
pub(super) fn name(spec: &Spec, checker: &mut Checker<'_>) -> Option<SchemeName> {
    let names = SchemeName::ALL.map(SchemeName::name).join(", ");
    if spec.scheme.name.is_none() {
        checker.missing("scheme.name", &format!("allowed: {names}"));
    }
    spec.scheme.name
}

/// An additive scheme, its security, and whether that is marked.
pub(super) fn additive(
    spec: &Spec,
    name: AdditiveName,
    checker: &mut Checker<'_>,
) -> Option<(Parameters, u32, bool)> {
    let bits = spec.scheme.modulus_bits;
    let refused = match name {
        AdditiveName::Paillier => Paillier::try_new(bits).err(),
        AdditiveName::OkamotoUchiyama => OkamotoUchiyama::try_new(bits).err(),
        AdditiveName::ElGamal | AdditiveName::Bgn => None,
    };
    if let Some(error) = refused {
        checker.error(
            "scheme.modulus_bits",
            Code::Range,
            error.to_string(),
            "3072 bits give 128-bit security",
        );
        return None;
    }
    let default = Options::default();
    let options = Options {
        arithmetic: spec.scheme.arithmetic.unwrap_or_default(),
        randomisation: spec.scheme.randomisation.unwrap_or_default(),
        crt_decryption: spec.scheme.crt_decryption.unwrap_or(default.crt_decryption),
        crt_encryption: spec.scheme.crt_encryption.unwrap_or(default.crt_encryption),
        multi_exponentiation: spec.scheme.multi_exponentiation.unwrap_or(default.multi_exponentiation),
    };
    let modulus_bits = if name.has_modulus() { bits } else { 0 };
    let parameters = Parameters { name, modulus_bits, message_bits: None, options };
    let security_bits = parameters.security_bits();
    let (required, marked) = security(spec, checker);
    let short = security_bits < required;
    let source = parameters.security_source();
    let what = if name.has_modulus() { format!("a modulus of {bits} bits") } else { format!("`{name}`") };
    let at = if name.has_modulus() { "scheme.modulus_bits" } else { "scheme.name" };
    if short && !marked {
        let span = checker.document.span(at);
        let error = Diagnostic::error(
            Code::Insecure,
            span,
            format!("{what} gives {security_bits} bits of security, {required} required"),
        );
        checker.found.push(if name.has_modulus() {
            error
                .label("1024 / 2048 / 3072 / 7680 / 15360 bits give 80 / 112 / 128 / 192 / 256 (NIST SP 800-57)")
                .help("raise `scheme.modulus_bits`, or set `scheme.security = \"paper\"`, which marks every row and chart")
        } else {
            error
                .label(&format!("{security_bits} bits by {source}"))
                .help("choose another scheme, or set `scheme.security = \"paper\"`, which marks every row and chart")
        });
    } else if short {
        checker.warn(
            at,
            Code::Insecure,
            format!("{what} gives only {security_bits} bits of security ({source})"),
            "every row and chart of this experiment carries the mark",
        );
    }
    Some((parameters, security_bits, short))
}

/// What is asked of the parameters of a scheme over a ring, the security required, and whether less is only marked.
pub(super) fn wish(spec: &Spec, name: LatticeName, checker: &mut Checker<'_>) -> (Wish, u32, bool) {
    let (required, marked) = security(spec, checker);
    if let Some(log_degree) = spec.scheme.log_degree {
        checker.within("scheme.log_degree", log_degree, &(12..=16));
    }
    let security_bits = if marked { 0 } else { required };
    (Wish { name, log_degree: spec.scheme.log_degree, security_bits }, required, marked)
}

/// The parameters of a scheme over a ring that the circuit takes, their security, and whether that is marked.
pub(super) fn lattice(
    spec: &Spec,
    name: LatticeName,
    protocol: &non_interactive::Settings,
    checker: &mut Checker<'_>,
) -> Option<(Lattice, u32, bool)> {
    let (wish, required, _) = wish(spec, name, checker);
    // Nothing is planned with what was refused: it may be beyond all measure.
    if checker.has_errors_since(0) {
        return None;
    }
    let found = parameters::plan(protocol, wish);
    let found = found.map_err(|refusal| refused(spec, (name, required), refusal, checker)).ok()?;
    let longest = found.forecast(protocol, 1).map_or(0, |forecast| forecast.longest_message);
    let (security_bits, short) = judged(&found, longest, required, checker)?;
    Some((found, security_bits, short))
}

/// The security that CryptoDL gives its parameters (its k).
const CRYPTO_DL_SECURITY_BITS: u32 = 80;

/// The same under protocol `refresh`; `security = "paper"` asks for the paper's 80 bits.
pub(super) fn refreshed(
    spec: &Spec,
    name: LatticeName,
    protocol: &refresh::Settings,
    checker: &mut Checker<'_>,
) -> Option<(refresh::parameters::Planned, u32, bool)> {
    let (mut wish, required, marked) = wish(spec, name, checker);
    if checker.has_errors_since(0) {
        return None;
    }
    if marked {
        wish.security_bits = CRYPTO_DL_SECURITY_BITS;
    }
    let found = refresh::parameters::plan(protocol, wish);
    let found = found.map_err(|refusal| refused(spec, (name, required), refusal, checker)).ok()?;
    let longest = found.forecast(protocol, 1).map_or(0, |forecast| forecast.total.longest_message);
    let (security_bits, short) = judged(&found.scheme, longest, required, checker)?;
    Some((found, security_bits, short))
}

/// The security of parameters that were found, and whether they are short of what is required.
fn judged(found: &Lattice, longest: usize, required: u32, checker: &mut Checker<'_>) -> Option<(u32, bool)> {
    let security_bits = found.security_bits();
    let short = security_bits < required;
    if longest > FRAME_LIMIT {
        checker.error(
            "network.hidden",
            Code::Range,
            format!("a message of the protocol would have {longest} bytes; allowed: {FRAME_LIMIT}"),
            "lower inputs, outputs, or what makes the modulus long: degree, layers and the bits in [protocol]",
        );
        return None;
    }
    if short {
        checker.warn(
            "scheme.security",
            Code::Insecure,
            format!("the smallest parameters give only {security_bits} bits of security"),
            "every row and chart of this experiment carries the mark",
        );
    }
    Some((security_bits, short))
}

fn refused(spec: &Spec, (name, required): (LatticeName, u32), refusal: Refusal, checker: &mut Checker<'_>) {
    match refusal {
        Refusal::Insecure { log_degree, modulus_bits, security_bits, error } => checker.error(
            if spec.scheme.log_degree.is_some() { "scheme.log_degree" } else { "scheme.name" },
            Code::Insecure,
            format!(
                "the circuit takes a modulus of {modulus_bits} bits or more, which gives {security_bits} bits of security at \
                 the ring degree 2^{log_degree}, {required} required (with less: {error})"
            ),
            "lower degree, layers or the bits in [protocol], raise `scheme.log_degree`, or set `scheme.security = \"paper\"`, \
             which marks every row and chart",
        ),
        Refusal::Impossible(error) => checker.error(
            "scheme.name",
            Code::Overflow,
            format!("no parameters of `{name}` suffice for the circuit: {error}"),
            "lower degree, layers or the bits in [protocol]",
        ),
    }
}

/// Measures that a scheme does not have.
pub(super) fn measures(spec: &Spec, name: SchemeName, checker: &mut Checker<'_>) {
    let scheme = &spec.scheme;
    let given = [
        (
            "scheme.arithmetic",
            scheme.arithmetic.is_some() && !matches!(name.kind(), Kind::Additive(name) if name.has_modulus()),
        ),
        ("scheme.log_degree", scheme.log_degree.is_some() && matches!(name.kind(), Kind::Additive(_))),
        ("scheme.randomisation", scheme.randomisation.is_some() && name != SchemeName::Paillier),
        ("scheme.crt_decryption", scheme.crt_decryption.is_some() && name != SchemeName::Paillier),
        ("scheme.crt_encryption", scheme.crt_encryption.is_some() && name != SchemeName::Paillier),
        (
            "scheme.multi_exponentiation",
            scheme.multi_exponentiation.is_some() && name != SchemeName::Paillier,
        ),
    ];
    for (path, wrong) in given {
        if wrong {
            checker.error(
                path,
                Code::Incompatible,
                format!("scheme `{name}` has no choice of `{path}`"),
                "leave the key out, or use scheme `paillier`",
            );
        }
    }
}

/// Whether the circuit fits the plaintext space; where decryption searches, the circuit's bound becomes the search's.
pub(super) fn plaintext_space(
    scheme: &mut Parameters,
    protocol: &mut split::Settings,
    asked: &ProtocolSpec,
    checker: &mut Checker<'_>,
) {
    let name = scheme.name;
    if let Some(max) = name.max_message_bits() {
        if protocol.training_iterations > 0 {
            checker.error(
                "protocol.training_iterations",
                Code::Incompatible,
                format!("training hides 1/η modulo the plaintext modulus, and scheme `{name}` finds short messages only"),
                "set it to 0, or use scheme `paillier` or `okamoto_uchiyama`",
            );
            return;
        }
        let needed = protocol.magnitude_bits();
        if needed > u64::from(max) {
            checker.error(
                "scheme.name",
                Code::Overflow,
                format!("the circuit's sums have {needed} bits, and scheme `{name}` finds messages of at most {max}"),
                "lower `activation_bits`, `gradient_bits`, `learning_rate_bits` and the magnitudes in [protocol]",
            );
            return;
        }
        scheme.message_bits = u32::try_from(needed).ok();
    }
    let exact = protocol.training_iterations > 0 && protocol.masks == split::Masks::Exact;
    if exact && !name.has_uniform_messages() {
        checker.error(
            "protocol.masks",
            Code::Incompatible,
            format!("exact masks are uniform modulo the server's plaintext modulus, which scheme `{name}` keeps secret"),
            "use `protocol.masks = \"statistical\"`, or scheme `paillier`",
        );
        return;
    }
    let (required, available) = (protocol.required_bits(), scheme.plaintext_bits());
    if exact && protocol.required_server_bits() > available {
        checker.error(
            "scheme.modulus_bits",
            Code::Overflow,
            format!(
                "with a modulus of {available} bits one of {} masked numbers wraps with a probability above 2^-{}",
                protocol.masked_numbers(),
                protocol.mask_security_bits
            ),
            &format!(
                "allowed: {} bits and more; or lower the fraction or mask bits in [protocol]",
                protocol.required_server_bits()
            ),
        );
    }
    if required > available {
        checker.error(
            "scheme.modulus_bits",
            Code::Overflow,
            format!("the circuit needs {required} bits of plaintext, the modulus has {available}"),
            "lower the fraction or mask bits in [protocol], or raise `scheme.modulus_bits`",
        );
    }
    if asked.packing {
        let packing = Packing::new(protocol.magnitude_bits(), available);
        let slots = packing.slots.min(asked.slots.unwrap_or(usize::MAX)).max(1);
        protocol.packing = Some(Packing { slots, ..packing });
        protocol.step_packing = protocol.step_packing_for(available);
    }
}
