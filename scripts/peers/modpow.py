"""Modular exponentiation in other libraries: `modpow.py crypto_mb|openssl|openssl-consttime|gmp|gmp-sec`.

One odd modulus with its top bit set, and for each item of the batch its own base and its own exponent of exactly the
asked length. Only `crypto_mb` computes several at once. The first results are compared with Python's `pow`, which is
too slow to compare all of them.
"""

import ctypes
import ctypes.util
import glob
import os
import random
import sys

from serve import Unsupported, Work, each, serve

LANES = 8


def numbers(params: dict) -> tuple[int, list[tuple[int, int]]]:
    """The modulus and the (base, exponent) pairs; the same for every contestant."""
    bits, exponent_bits = params["modulus_bits"], params["exponent_bits"]
    rng = random.Random(f"modpow {bits} {exponent_bits}")
    modulus = rng.getrandbits(bits) | 1 | 1 << (bits - 1)
    pairs = [
        (rng.randrange(modulus), rng.getrandbits(exponent_bits) | 1 << (exponent_bits - 1))
        for _ in range(params["batch"])
    ]
    return modulus, pairs


def check(found: int, base: int, exponent: int, modulus: int) -> None:
    if found != pow(base, exponent, modulus):
        raise Unsupported("a wrong result")


def crypto_mb(params: dict) -> Work:
    """Intel's multi-buffer library; it has code for AVX-512 IFMA and AVX-IFMA, and refuses other CPUs."""
    found = glob.glob(os.path.join(sys.prefix, "lib", "libcrypto_mb.so*"))
    if not found:
        raise Unsupported("no libcrypto_mb in this environment")
    library = ctypes.CDLL(sorted(found)[0])
    library.mbx_is_crypto_mb_applicable.argtypes = [ctypes.c_uint64]
    if not library.mbx_is_crypto_mb_applicable(0):
        raise Unsupported("crypto_mb has no code for this CPU: it needs AVX-512 IFMA or AVX-IFMA")
    bits, exponent_bits = params["modulus_bits"], params["exponent_bits"]
    size = library.mbx_exp_BufferSize(bits)
    if size <= 0:
        raise Unsupported(f"crypto_mb takes no modulus of {bits} bits")
    words = bits // 64
    modulus, pairs = numbers(params)
    if len(pairs) > LANES and len(pairs) % LANES:
        raise Unsupported(f"a batch of {len(pairs)} is neither below nor a multiple of {LANES}")
    workspace = ctypes.create_string_buffer(size + 64)
    power = library.mbx_exp_mb8
    pointer = ctypes.c_void_p
    power.argtypes = [pointer, pointer, pointer, ctypes.c_int, pointer, ctypes.c_int, pointer, ctypes.c_int]
    power.restype = ctypes.c_uint32

    def lanes(values: list[int]) -> tuple:
        buffers = [(ctypes.c_uint64 * words).from_buffer_copy(v.to_bytes(words * 8, "little")) for v in values]
        return buffers, (ctypes.c_void_p * LANES)(*[ctypes.addressof(b) for b in buffers])

    groups, alive = [], []
    for start in range(0, len(pairs), LANES):
        group = pairs[start : start + LANES]
        # A group that is not full repeats its first item, and the repetition is not counted.
        full = group + [group[0]] * (LANES - len(group))
        out, base = lanes([0] * LANES), lanes([b for b, _ in full])
        exponent, moduli = lanes([e for _, e in full]), lanes([modulus] * LANES)
        alive += [out, base, exponent, moduli]
        arguments = (out[1], base[1], exponent[1], exponent_bits, moduli[1], bits, workspace, size)
        status = power(*arguments)
        if status:
            raise Unsupported(f"mbx_exp_mb8 gave status {status:#x} for a modulus of {bits} bits")
        if start == 0:
            for buffer, (b, e) in zip(out[0], full):
                check(int.from_bytes(bytes(buffer), "little"), b, e, modulus)
        groups.append(arguments)
    return Work(each(power, groups), min(len(pairs), LANES), keep=alive)


def openssl(params: dict, function: str) -> Work:
    """`BN_mod_exp_mont` or `BN_mod_exp_mont_consttime`, with a Montgomery context that is made once."""
    name = ctypes.util.find_library("crypto")
    if not name:
        raise Unsupported("no libcrypto on this system")
    library = ctypes.CDLL(name)
    pointer = ctypes.c_void_p
    for maker in ("BN_new", "BN_CTX_new", "BN_MONT_CTX_new"):
        getattr(library, maker).restype = pointer
    library.BN_bin2bn.argtypes, library.BN_bin2bn.restype = [ctypes.c_char_p, ctypes.c_int, pointer], pointer
    library.BN_bn2binpad.argtypes = [pointer, ctypes.c_char_p, ctypes.c_int]
    library.BN_MONT_CTX_set.argtypes = [pointer] * 3
    power = getattr(library, function)
    power.argtypes = [pointer] * 6
    length = params["modulus_bits"] // 8
    modulus, pairs = numbers(params)

    def number(value: int) -> pointer:
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return pointer(library.BN_bin2bn(raw, len(raw), None))

    out, context, montgomery = (pointer(getattr(library, f"{m}_new")()) for m in ("BN", "BN_CTX", "BN_MONT_CTX"))
    big_modulus = number(modulus)
    if library.BN_MONT_CTX_set(montgomery, big_modulus, context) != 1:
        raise Unsupported("BN_MONT_CTX_set failed")
    items = [(out, number(b), number(e), big_modulus, context, montgomery) for b, e in pairs]
    buffer = ctypes.create_string_buffer(length)
    if power(*items[0]) != 1 or library.BN_bn2binpad(out, buffer, length) != length:
        raise Unsupported(f"{function} failed")
    check(int.from_bytes(buffer.raw, "big"), *pairs[0], modulus)
    return Work(each(power, items))


def gmp(params: dict, function: str) -> Work:
    """GMP's `mpz_powm` or `mpz_powm_sec`, through gmpy2."""
    import gmpy2

    power = getattr(gmpy2, function, None)
    if power is None:
        raise Unsupported(f"this gmpy2 has no {function}")
    modulus, pairs = numbers(params)
    check(int(power(*pairs[0], modulus)), *pairs[0], modulus)
    big_modulus = gmpy2.mpz(modulus)
    return Work(each(power, [(gmpy2.mpz(b), gmpy2.mpz(e), big_modulus) for b, e in pairs]))


CONTESTANTS = {
    "crypto_mb": crypto_mb,
    "openssl": lambda params: openssl(params, "BN_mod_exp_mont"),
    "openssl-consttime": lambda params: openssl(params, "BN_mod_exp_mont_consttime"),
    "gmp": lambda params: gmp(params, "powmod"),
    "gmp-sec": lambda params: gmp(params, "powmod_sec"),
}


def main() -> None:
    contestant = CONTESTANTS[sys.argv[1]]

    def prepare(op: str, params: dict) -> Work:
        if op != "modpow":
            raise Unsupported(f"does not do {op}")
        return contestant(params)

    serve(prepare)


if __name__ == "__main__":
    main()
