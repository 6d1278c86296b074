"""What `bench-peers` compares: one row for each operation, with the peers that do it."""

import dataclasses

BATCH = 64
# Rotations of one ciphertext that share a decomposition.
HOISTED = 16

# Primes of the lattice schemes, by ring degree and bits of the whole modulus: bits and number of those of Q ("q") and of the
# special ones ("p"); OpenFHE takes the number of digits of a key switch and finds "p", primes of 60 bits that exceed a digit.
# The number of Q's primes, which is that of levels, is the same for all in BGV and CKKS. Otherwise everyone has what makes it
# fast with as many bits as the row says, give or take six in a hundred: OpenFHE's and SEAL's primes may have 60 bits, ours 50.
# SEAL has one special prime.
SMALL, MIDDLE, LARGE = (8192, 200), (16384, 420), (32768, 800)
LEVELLED = {
    SMALL: {
        "ours": {"q": [50, 3], "p": [50, 1]},
        "openfhe": {"q": [47, 3], "digits": 3},
        "seal": {"q": [50, 3], "p": [50, 1]},
    },
    MIDDLE: {
        "ours": {"q": [42, 7], "p": [42, 3]},
        "openfhe": {"q": [43, 7], "digits": 4},
        "seal": {"q": [51, 7], "p": [60, 1]},
    },
    LARGE: {
        "ours": {"q": [50, 12], "p": [50, 4]},
        "openfhe": {"q": [47, 12], "digits": 3},
        "seal": {"q": [60, 12], "p": [60, 1]},
    },
}
# BFV has no levels: what counts is the length of Q.
LEVELLESS = {
    SMALL: LEVELLED[SMALL],
    MIDDLE: {
        "ours": {"q": [47, 6], "p": [47, 3]},
        "openfhe": {"q": [57, 5], "digits": 3},
        "seal": {"q": [60, 6], "p": [60, 1]},
    },
    LARGE: {
        "ours": {"q": [50, 12], "p": [50, 4]},
        "openfhe": {"q": [57, 10], "digits": 4},
        "seal": {"q": [60, 12], "p": [60, 1]},
    },
}
SHAPES = {"bgv": LEVELLED, "bfv": LEVELLESS, "ckks": LEVELLED}


@dataclasses.dataclass
class Row:
    """One operation and the peers that do it."""

    op: str
    params: dict
    peers: list[str]


def table() -> list[Row]:
    """Every operation that is compared."""
    rows = [
        Row(
            "modpow",
            {"modulus_bits": modulus, "exponent_bits": modulus // 2, "batch": BATCH},
            ["crypto_mb", "openssl", "openssl-consttime", "gmp", "gmp-sec"],
        )
        for modulus in (2048, 4096, 6144)
    ]
    textbook, heu = ["phe", "kzen"], ["heu-zpaillier", "heu-ipcl"]
    for bits in (2048, 3072):
        for batch in (BATCH, 1):
            size = {"bits": bits, "batch": batch}
            for randomness, owner, peers in (
                ("textbook", False, textbook),
                ("short_exponent", False, heu),
                ("textbook", True, textbook),
            ):
                rows.append(Row("paillier_encrypt", size | {"randomness": randomness, "owner": owner}, peers))
            rows.append(Row("paillier_decrypt", size, textbook + heu))
            rows.append(Row("paillier_scalar", size | {"scalar_bits": 32}, textbook + heu))
            rows.append(Row("paillier_add", size, textbook + heu))
    for batch in (BATCH, 1):
        rows += [Row(op, {"bits": 2048, "batch": batch}, ["heu-ou"]) for op in ("ou_encrypt", "ou_decrypt")]
    rows += lattice()
    layer = {"bits": 3072, "rows": 300, "columns": 784, "weight_bits": 16}
    return rows + [Row("paillier_layer", layer, ["phe"])]


def lattice() -> list[Row]:
    """The lattice schemes' operations, at sizes that are 128-bit secure with ternary secrets, or nearly."""
    rows = []
    for scheme, sizes in SHAPES.items():
        # A prime is dropped in BGV and CKKS alone.
        drops = {"bgv": ["switch_modulus"], "bfv": [], "ckks": ["rescale", "product_rescale"]}[scheme]
        for (degree, bits), primes in sizes.items():
            params = {"degree": degree, "log_qp": bits, "primes": primes}
            seal = [] if scheme == "bgv" else ["seal"]
            # OpenFHE decodes what it decrypts, SEAL does not.
            rows.append(Row(f"{scheme}_decrypt_decode", params, ["openfhe"]))
            rows += [Row(f"{scheme}_decrypt", params, seal)] if seal else []
            for op in ("encode", "encrypt", "add", "multiply_prepared", "product", *drops, "rotate"):
                # SEAL transforms the plaintext in every product of BFV, and the others before.
                peers = ["openfhe"] if (scheme, op) == ("bfv", "multiply_prepared") else ["openfhe", *seal]
                rows.append(Row(f"{scheme}_{op}", params, peers))
            if scheme == "bfv":
                rows.append(Row(f"{scheme}_multiply_plain", params, seal))
            # One after the other with a key each, and hoisted.
            rows += [Row(f"{scheme}_rotate_{how}", params | {"batch": HOISTED}, ["openfhe"]) for how in ("each", "hoisted")]
    return rows


def words(params: dict) -> str:
    """Parameters as a reader wants them: `2048 bits, batch 64, textbook`."""
    parts = []
    if "modulus_bits" in params:
        parts.append(f"{params['modulus_bits']} bits, exponent {params['exponent_bits']}")
    if "degree" in params:
        parts.append(f"N={params['degree']}, about {params['log_qp']} bits")
    if "bits" in params:
        parts.append(f"{params['bits']} bits")
    if "rows" in params:
        parts.append(f"{params['columns']}x{params['rows']}, {params['weight_bits']}-bit weights")
    if "scalar_bits" in params:
        parts.append(f"{params['scalar_bits']}-bit scalar")
    if "randomness" in params:
        parts.append(params["randomness"].replace("_", " ") + (", owner" if params["owner"] else ""))
    if "batch" in params:
        parts.append(f"batch {params['batch']}")
    return ", ".join(parts)
