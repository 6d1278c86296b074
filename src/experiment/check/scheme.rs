//! The rules of `[scheme]`, and those on what a protocol needs of a scheme.

use super::Checker;
use crate::{
    experiment::{
        diagnostic::{Code, Diagnostic},
        plan::Scheme,
        spec::{SchemeName, SecuritySpec, Spec},
    },
    protocol::split,
    scheme::{
        okamoto_uchiyama::OkamotoUchiyama,
        packing::Packing,
        paillier::{Options, Paillier},
        registry::Parameters,
        security::REQUIRED_SECURITY_BITS,
    },
};

pub(super) fn scheme(spec: &Spec, checker: &mut Checker<'_>) -> Option<Scheme> {
    let names = SchemeName::ALL.map(SchemeName::name).join(", ");
    let Some(name) = spec.scheme.name else {
        checker.missing("scheme.name", &format!("allowed: {names}"));
        return None;
    };
    let bits = spec.scheme.modulus_bits;
    let refused = match name {
        SchemeName::Paillier => Paillier::try_new(bits).err(),
        SchemeName::OkamotoUchiyama => OkamotoUchiyama::try_new(bits).err(),
        SchemeName::ElGamal | SchemeName::Bgn => None,
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
    measures(spec, name, checker);
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
    let required = match spec.scheme.security {
        SecuritySpec::Marked(_) => REQUIRED_SECURITY_BITS,
        SecuritySpec::Bits(bits) => {
            if ![128, 192, 256].contains(&bits) {
                checker.error(
                    "scheme.security",
                    Code::Range,
                    format!("`scheme.security` is {bits}"),
                    "allowed: 128, 192, 256, or \"paper\" for a paper's own parameters, which marks every row",
                );
            }
            bits
        }
    };
    let short = security_bits < required;
    let marked = matches!(spec.scheme.security, SecuritySpec::Marked(_));
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
    Some(Scheme { parameters, security_bits, marked: short })
}

/// Measures that a scheme does not have.
fn measures(spec: &Spec, name: SchemeName, checker: &mut Checker<'_>) {
    let scheme = &spec.scheme;
    let given = [
        ("scheme.arithmetic", scheme.arithmetic.is_some() && !name.has_modulus()),
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
    scheme: &mut Scheme,
    protocol: &mut split::Settings,
    packing: bool,
    checker: &mut Checker<'_>,
) {
    let name = scheme.parameters.name;
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
        scheme.parameters.message_bits = u32::try_from(needed).ok();
    }
    let (required, available) = (protocol.required_bits(), scheme.parameters.plaintext_bits());
    if required > available {
        checker.error(
            "scheme.modulus_bits",
            Code::Overflow,
            format!("the circuit needs {required} bits of plaintext, the modulus has {available}"),
            "lower the fraction or mask bits in [protocol], or raise `scheme.modulus_bits`",
        );
    }
    if packing {
        protocol.packing = Some(Packing::new(protocol.magnitude_bits(), available));
    }
}
