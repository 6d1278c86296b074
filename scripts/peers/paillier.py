"""Paillier and Okamoto-Uchiyama in other libraries: `paillier.py phe|heu-zpaillier|heu-ipcl|heu-ou`.

Messages have 30 bits, which matters to Okamoto-Uchiyama alone. phe has no batch operations, so its batch is a loop;
HEU's batches are arrays of `heu.numpy`, its single calls `heu.phe`.

Randomness: phe draws r below n and computes r^n (textbook). HEU's ZPaillier and IPCL both raise a fixed element to a
random exponent of half the modulus's length (Damgard, Jurik and Nielsen), ZPaillier with a precomputed table.
"""

import functools
import random
import sys
from typing import Any, Callable

from serve import Unsupported, Work, each, serve

MESSAGE_BITS = 30
# Ciphertexts in the rotation of the dense layer: the time of a term does not depend on which they are.
LAYER_INPUTS = 8


def draw(rng: random.Random, bits: int) -> int:
    """A number of exactly so many bits."""
    return rng.getrandbits(bits) | 1 << (bits - 1)


def same(found: int, expected: int) -> None:
    if found != expected:
        raise Unsupported(f"a wrong result: {found} for {expected}")


@functools.cache
def phe_keys(bits: int) -> tuple[Any, Any]:
    from phe import paillier, util

    if not util.HAVE_GMP:
        raise Unsupported("phe without gmpy2 would be measured")
    return paillier.generate_paillier_keypair(n_length=bits)


def phe_work(op: str, params: dict) -> Work:
    from phe.paillier import EncryptedNumber

    public, secret = phe_keys(params["bits"])
    rng = random.Random(f"{op} {params}")
    count = params.get("batch", LAYER_INPUTS)
    messages = [draw(rng, MESSAGE_BITS) for _ in range(count)]
    if op == "paillier_encrypt":
        if params["randomness"] != "textbook":
            raise Unsupported("phe has textbook randomness alone")
        same(secret.raw_decrypt(public.raw_encrypt(messages[0])), messages[0])
        return Work(each(public.raw_encrypt, [(m,) for m in messages]))
    ciphertexts = [public.raw_encrypt(m) for m in messages]
    numbers = [EncryptedNumber(public, c) for c in ciphertexts]
    if op == "paillier_decrypt":
        same(secret.raw_decrypt(ciphertexts[0]), messages[0])
        return Work(each(secret.raw_decrypt, [(c,) for c in ciphertexts]))
    if op == "paillier_scalar":
        scalars = [draw(rng, params["scalar_bits"]) for _ in messages]
        same(secret.raw_decrypt(numbers[0]._raw_mul(scalars[0])), messages[0] * scalars[0])
        return Work(each(EncryptedNumber._raw_mul, list(zip(numbers, scalars))))
    add = numbers[0]._raw_add
    if op == "paillier_add":
        same(secret.raw_decrypt(add(ciphertexts[0], ciphertexts[-1])), messages[0] + messages[-1])
        return Work(each(add, list(zip(ciphertexts, reversed(ciphertexts)))))
    if op == "paillier_layer":
        # phe has no layers: its users write the loop. One product and one sum at a time are run, half of the weights
        # negative (phe then inverts the ciphertext first), and their time counts once for each weight.
        signed = [draw(rng, params["weight_bits"]) * (-1) ** i for i in range(count)]
        total = public.raw_encrypt(0)
        products = [number._raw_mul(weight % public.n) for number, weight in zip(numbers, signed)]
        expected = sum(m * w for m, w in zip(messages, signed))
        same(secret.raw_decrypt(functools.reduce(add, products)), expected % public.n)
        term = each(
            lambda number, weight: add(total, number._raw_mul(weight)),
            [(number, weight % public.n) for number, weight in zip(numbers, signed)],
        )
        return Work(term, scale=params["rows"] * params["columns"])
    raise Unsupported(f"phe does not do {op}")


@functools.cache
def heu_kit(schema: str, bits: int, arrays: bool) -> Any:
    import heu.numpy
    import heu.phe

    kind = getattr(heu.phe.SchemaType, schema)
    return (heu.numpy if arrays else heu.phe).setup(kind, bits)


def heu_work(schema: str, op: str, params: dict) -> Work:
    import heu.phe

    prefix, _, name = op.partition("_")
    if prefix != ("ou" if schema == "OU" else "paillier") or name not in ("encrypt", "decrypt", "scalar", "add"):
        raise Unsupported(f"HEU {schema} does not do {op}")
    if name == "encrypt" and schema != "OU" and params["randomness"] != "short_exponent":
        raise Unsupported(f"HEU {schema} has short exponents alone")
    count = params["batch"]
    kit = heu_kit(schema, params["bits"], count > 1)
    rng = random.Random(f"{op} {params}")
    encryptor, decryptor, evaluator = kit.encryptor(), kit.decryptor(), kit.evaluator()

    if count > 1:
        array, length = kit.array, count
        encrypt, decrypt = encryptor.encrypt, decryptor.decrypt
        first: Callable[[Any], int] = lambda plain: int(plain[0])
    else:
        kind = getattr(heu.phe.SchemaType, schema)
        array, length = (lambda numbers: heu.phe.Plaintext(kind, numbers[0])), 1
        encrypt, decrypt = encryptor.encrypt, decryptor.decrypt
        first = int
    messages = [draw(rng, MESSAGE_BITS) for _ in range(count)]
    plain = array(messages)
    cipher = encrypt(plain)
    same(first(decrypt(cipher)), messages[0])
    if name == "encrypt":
        return Work(lambda: encrypt(plain), length)
    if name == "decrypt":
        return Work(lambda: decrypt(cipher), length)
    if name == "add":
        other = encrypt(plain)
        same(first(decrypt(evaluator.add(cipher, other))), 2 * messages[0])
        return Work(lambda: evaluator.add(cipher, other), length)
    scalars = [draw(rng, params["scalar_bits"]) for _ in range(count)]
    factors = array(scalars)
    same(first(decrypt(evaluator.mul(cipher, factors))), messages[0] * scalars[0])
    return Work(lambda: evaluator.mul(cipher, factors), length)


CONTESTANTS: dict[str, Callable[[str, dict], Work]] = {
    "phe": phe_work,
    "heu-zpaillier": functools.partial(heu_work, "ZPaillier"),
    "heu-ipcl": functools.partial(heu_work, "IPCL"),
    "heu-ou": functools.partial(heu_work, "OU"),
}

if __name__ == "__main__":
    serve(CONTESTANTS[sys.argv[1]])
