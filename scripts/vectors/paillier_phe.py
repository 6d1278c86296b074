#!/usr/bin/env python3
"""Test vectors between henn and python-paillier (phe), in both directions.

    paillier_phe.py --write FILE       writes what phe computes from fixed primes and randomness
    paillier_phe.py --check-henn FILE  decrypts henn's ciphertexts with phe and notes the results in the file

Needs `pip install phe==1.5.0 gmpy2==2.3.2`. The first is deterministic: writing again gives the same bytes.
See tests/vectors/README.md.
"""

import argparse
import json
import platform
import random
import struct
import sys
from importlib.metadata import version

import gmpy2
from phe import EncodedNumber, EncryptedNumber, PaillierPrivateKey, PaillierPublicKey

SIZES = (512, 1024, 2048, 3072)
SEED = 20_240_501
FLOAT_HEX_DIGITS = 8
FLOATS = (0.0, 1.0, -1.0, 0.1, -0.1, 3.141592653589793, -2.5, 1e-9, 123456.789, -1e15, 5e-324,
          # Halfway between two multiples of 2^-32: phe rounds to even.
          0.5 * 2**-32, 1.5 * 2**-32, 2.5 * 2**-32, -0.5 * 2**-32, -1.5 * 2**-32)


def versions():
    return {"python": platform.python_version(), "phe": version("phe"), "gmpy2": version("gmpy2")}


def prime(bits, rng):
    """The first prime after a random number with its two highest bits set."""
    return int(gmpy2.next_prime(rng.getrandbits(bits) | 3 << (bits - 2)))


def key_vectors(bits, rng):
    p, q = prime(bits // 2, rng), prime(bits // 2, rng)
    public = PaillierPublicKey(p * q)
    private = PaillierPrivateKey(public, p, q)
    n = public.n
    assert n.bit_length() == bits

    signed = [0, 1, -1, 1234567, -7654321, public.max_int, -public.max_int]
    encoded = [EncodedNumber.encode(public, value).encoding for value in signed]
    messages = encoded + [n - 2, n // 2, rng.randrange(n)]
    # The first has r = 1, the second the greatest r.
    units = [1, n - 1] + [rng.randrange(1, n) for _ in messages[2:]]
    raw = [public.raw_encrypt(m, r) for m, r in zip(messages, units)]
    numbers = [EncryptedNumber(public, c) for c in raw]

    def checked(number, expected):
        c = number.ciphertext(be_secure=False)
        assert private.raw_decrypt(c) == expected % n
        return f"{c:x}"

    for number, m in zip(numbers, messages):
        checked(number, m)
    sums = [(3, 4), (5, 6), (9, 8)]
    products = [(3, 3), (9, 16_777_215), (4, -5), (9, -16_777_213), (8, 0), (7, -1)]
    weights = [rng.randrange(-(2**24), 2**24) for _ in messages]
    dot = sum((x * w for x, w in zip(numbers[1:], weights[1:])), numbers[0] * weights[0])
    plain = 987_654_321
    return {
        "bits": bits,
        "p": f"{p:x}",
        "q": f"{q:x}",
        "max_int_bits": public.max_int.bit_length(),
        "signed": [{"value": str(v), "residue": f"{e:x}"} for v, e in zip(signed, encoded)],
        "encryptions": [
            {"residue": f"{m:x}", "r": f"{r:x}", "ciphertext": f"{c:x}"} for m, r, c in zip(messages, units, raw)
        ],
        "sums": [
            {"left": a, "right": b, "ciphertext": checked(numbers[a] + numbers[b], messages[a] + messages[b])}
            for a, b in sums
        ],
        "products": [
            {"of": i, "scalar": str(w), "ciphertext": checked(numbers[i] * w, messages[i] * w)} for i, w in products
        ],
        "dot": {
            "weights": [str(w) for w in weights],
            "ciphertext": checked(dot, sum(m * w for m, w in zip(messages, weights))),
        },
        "plain": {"of": 9, "residue": f"{plain:x}", "ciphertext": checked(numbers[9] + plain, messages[9] + plain)},
    }


def write(path):
    rng = random.Random(SEED)
    keys = [key_vectors(bits, rng) for bits in SIZES]
    # Any modulus that is large enough; hex digits of precision are four times as many bits.
    public = PaillierPublicKey(int(keys[1]["p"], 16) * int(keys[1]["q"], 16))
    floats = []
    for value in FLOATS:
        number = EncodedNumber.encode(public, value, precision=16.0**-FLOAT_HEX_DIGITS)
        assert number.exponent == -FLOAT_HEX_DIGITS
        floats.append({"value": value.hex(), "bits": struct.pack(">d", value).hex(), "residue": f"{number.encoding:x}"})
    document = {
        "made_with": versions(),
        "keys": keys,
        "floats": {"key": 1, "scale": 4 * FLOAT_HEX_DIGITS, "numbers": floats},
    }
    dump(document, path)


def check_henn(path):
    with open(path, encoding="ascii") as file:
        document = json.load(file)
    document["checked_with"] = versions()
    wrong = 0
    for key in document["keys"]:
        p, q = int(key["p"], 16), int(key["q"], 16)
        assert gmpy2.is_prime(p, 40) and gmpy2.is_prime(q, 40)
        private = PaillierPrivateKey(PaillierPublicKey(p * q), p, q)
        for item in key["ciphertexts"]:
            item["phe_decrypts_to"] = f"{private.raw_decrypt(int(item['ciphertext'], 16)):x}"
            wrong += item["phe_decrypts_to"] != item["residue"]
    dump(document, path)
    return f"{wrong} ciphertexts do not decrypt to what henn encrypted" if wrong else 0


def dump(document, path):
    with open(path, "w", encoding="ascii") as file:
        json.dump(document, file, indent=1)
        file.write("\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", metavar="FILE")
    mode.add_argument("--check-henn", metavar="FILE")
    arguments = parser.parse_args()
    if arguments.write:
        write(arguments.write)
        return 0
    return check_henn(arguments.check_henn)


if __name__ == "__main__":
    sys.exit(main())
