"""What `bench-peers` compares: one row for each operation, with the peers that do it."""

import dataclasses

BATCH = 64


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
    layer = {"bits": 3072, "rows": 300, "columns": 784, "weight_bits": 16}
    return rows + [Row("paillier_layer", layer, ["phe"])]


def words(params: dict) -> str:
    """Parameters as a reader wants them: `2048 bits, batch 64, textbook`."""
    parts = []
    if "modulus_bits" in params:
        parts.append(f"{params['modulus_bits']} bits, exponent {params['exponent_bits']}")
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
