"""BGV, BFV and CKKS in other libraries: `lattice.py openfhe|seal`.

OpenFHE is the package of its makers; Microsoft SEAL is the one inside TenSEAL, whose module `tenseal.sealapi` gives
access to SEAL itself, so that nothing of TenSEAL's vectors is timed. That SEAL has no BGV and is built without HEXL.

Everyone has the ring degree of the row and primes of its own (`rows.py` says which); the answers tell the bits of Q and
of the special primes that came of them, so far as the library shows them. Both read their slots from Python lists: the
time of `encode` has that in it.
"""

import functools
import json
import math
import re
import sys
from typing import Any, Callable

from serve import Unsupported, Work, serve

# 1 modulo 2N for every N that is measured.
PLAINTEXT_MODULUS = 786433
# Slots hold 0, 1, ..., so that their squares stay below half of the plaintext modulus.
VALUES = 100
HOISTED = 16
# Deepest circuit for which OpenFHE is asked for parameters of BFV.
MAX_DEPTH = 40


def slots_of(scheme: str, degree: int) -> list[Any]:
    if scheme == "ckks":
        return [slot % VALUES / VALUES for slot in range(degree // 2)]
    return [slot % VALUES for slot in range(degree)]


def check(found: list[Any], slots: list[Any], power: int, steps: int = 0) -> None:
    """Raises unless the first slots found are those of `slots`, rotated to the left, to a power."""
    for place in range(VALUES):
        if abs(found[place] - slots[place + steps] ** power) > (1e-4 if isinstance(slots[0], float) else 0):
            raise Unsupported(f"a wrong result: {found[place]} for {slots[place + steps] ** power}")


class OpenFhe:
    """A context of OpenFHE, with keys."""

    def __init__(self, scheme: str, degree: int, shape: dict) -> None:
        import openfhe

        # The one before, with its keys, is kept otherwise.
        openfhe.ReleaseAllContexts()
        self.fhe, self.scheme, self.degree = openfhe, scheme, degree
        bits, count = shape["q"]
        self.context = self.context_of(bits, count, shape["digits"])
        for feature in ("PKE", "KEYSWITCH", "LEVELEDSHE"):
            self.context.Enable(getattr(openfhe.PKESchemeFeature, feature))
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)
        self.slots = slots_of(scheme, degree)
        self.plain = self.encode()
        self.cipher = self.context.Encrypt(self.keys.publicKey, self.plain)
        check(self.read(self.context.EvalMult(self.cipher, self.cipher)), self.slots, 2)
        self.bits = self.measured_bits()

    def context_of(self, bits: int, count: int, digits: int) -> Any:
        """BGV and CKKS have one prime more than levels; BFV's number of primes follows from the depth that it allows."""
        depths = range(1, MAX_DEPTH) if self.scheme == "bfv" else [count - 1]
        for depth in depths:
            params = getattr(self.fhe, f"CCParams{self.scheme.upper()}RNS")()
            params.SetMultiplicativeDepth(depth)
            params.SetRingDim(self.degree)
            # The ring is the row's, whatever OpenFHE would think of its security.
            params.SetSecurityLevel(self.fhe.SecurityLevel.HEStd_NotSet)
            params.SetKeySwitchTechnique(self.fhe.KeySwitchTechnique.HYBRID)
            params.SetNumLargeDigits(digits)
            params.SetScalingModSize(bits)
            if self.scheme != "ckks":
                params.SetPlaintextModulus(PLAINTEXT_MODULUS)
            if self.scheme != "bfv":
                params.SetFirstModSize(bits)
                # Modulus switching is a row of its own, so products do not do it.
                params.SetScalingTechnique(self.fhe.ScalingTechnique.FIXEDMANUAL)
            try:
                context = self.fhe.GenCryptoContext(params)
            except RuntimeError as error:
                # Too few primes for so many digits.
                if self.scheme == "bfv" and "digits" in str(error):
                    continue
                raise
            if round(math.log2(context.GetModulus()) / bits) == count:
                return context
        raise Unsupported(f"OpenFHE finds no parameters with {count} primes of {bits} bits")

    def measured_bits(self) -> list[int]:
        """Of Q, and of the special primes: those that a switching key is made of and Q is not."""
        key = self.context.GetEvalMultKeyVector(self.keys.secretKey.GetKeyTag())[0]
        text: str = self.fhe.Serialize(key, self.fhe.JSON)
        # The modulus of each polynomial that the key is made of.
        moduli = {int(modulus) for modulus in re.findall(r'"m":\s*{\s*"v":\s*(\d+)', text)}
        whole, q = sum(map(math.log2, moduli)), math.log2(self.context.GetModulus())
        return [round(q), round(whole) - round(q)]

    def encode(self) -> Any:
        make = self.context.MakeCKKSPackedPlaintext if self.scheme == "ckks" else self.context.MakePackedPlaintext
        return make(self.slots)

    def read(self, cipher: Any) -> list[Any]:
        plain = self.context.Decrypt(cipher, self.keys.secretKey)
        return plain.GetRealPackedValue() if self.scheme == "ckks" else plain.GetPackedValue()

    def drop_prime(self, cipher: Any) -> Any:
        return (self.context.Rescale if self.scheme == "ckks" else self.context.ModReduce)(cipher)

    def hoisted(self, order: int) -> None:
        digits = self.context.EvalFastRotationPrecompute(self.cipher)
        for step in range(1, HOISTED + 1):
            self.context.EvalFastRotation(self.cipher, step, order, digits)

    def work(self, op: str) -> Work:
        context, cipher = self.context, self.cipher
        multiply = functools.partial(context.EvalMult, cipher, cipher)
        if op in ("rotate", "rotate_each", "rotate_hoisted"):
            steps = [1] if op == "rotate" else list(range(1, HOISTED + 1))
            context.EvalRotateKeyGen(self.keys.secretKey, steps)
            check(self.read(context.EvalRotate(cipher, 1)), self.slots, 1, 1)
            if op == "rotate":
                return Work(lambda: context.EvalRotate(cipher, 1))
            if op == "rotate_each":
                return Work(lambda: [context.EvalRotate(cipher, step) for step in steps], HOISTED)
            digits = context.EvalFastRotationPrecompute(cipher)
            check(self.read(context.EvalFastRotation(cipher, 3, 2 * self.degree, digits)), self.slots, 1, 3)
            return Work(lambda: self.hoisted(2 * self.degree), HOISTED)
        if op == "multiply_prepared":
            check(self.read(context.EvalMult(cipher, self.plain)), self.slots, 2)
            return Work(lambda: context.EvalMult(cipher, self.plain))
        if op in ("rescale", "switch_modulus"):
            # What is rescaled in use is a product, which OpenFHE insists on.
            product = multiply()
            check(self.read(self.drop_prime(product)), self.slots, 2)
            return Work(lambda: self.drop_prime(product))
        works: dict[str, Work] = {
            "encode": Work(self.encode, note="reads a Python list"),
            "encrypt": Work(lambda: context.Encrypt(self.keys.publicKey, self.plain)),
            # It decodes too.
            "decrypt_decode": Work(lambda: context.Decrypt(cipher, self.keys.secretKey)),
            "add": Work(lambda: context.EvalAdd(cipher, cipher)),
            "product": Work(multiply),
            "product_rescale": Work(lambda: self.drop_prime(multiply())),
        }
        if op not in works:
            raise Unsupported(f"OpenFHE does not do {op}")
        return works[op]


class Seal:
    """A context of Microsoft SEAL, with keys."""

    def __init__(self, scheme: str, degree: int, shape: dict) -> None:
        from tenseal import sealapi

        kind = getattr(sealapi.SCHEME_TYPE, scheme.upper(), None)
        if kind is None:
            raise Unsupported(f"the SEAL inside TenSEAL has no {scheme.upper()}")
        self.seal, self.scheme, self.degree = sealapi, scheme, degree
        (q_bits, q_count), (p_bits, p_count) = shape["q"], shape["p"]
        # SEAL's one special prime is the last.
        primes = sealapi.CoeffModulus.Create(degree, [q_bits] * q_count + [p_bits] * p_count)
        params = sealapi.EncryptionParameters(kind)
        params.set_poly_modulus_degree(degree)
        params.set_coeff_modulus(primes)
        if scheme == "bfv":
            params.set_plain_modulus(PLAINTEXT_MODULUS)
        context = sealapi.SEALContext(params, True, sealapi.SEC_LEVEL_TYPE.NONE)
        self.generator = sealapi.KeyGenerator(context)
        public, self.relinearisation = sealapi.PublicKey(), sealapi.RelinKeys()
        self.generator.create_public_key(public)
        self.generator.create_relin_keys(self.relinearisation)
        self.encryptor = sealapi.Encryptor(context, public)
        self.decryptor = sealapi.Decryptor(context, self.generator.secret_key())
        self.evaluator = sealapi.Evaluator(context)
        self.encoder = (sealapi.CKKSEncoder if scheme == "ckks" else sealapi.BatchEncoder)(context)
        self.scale = 2.0**q_bits
        self.slots = slots_of(scheme, degree)
        self.plain = self.encode()
        # SEAL squares faster than it multiplies, so a product has two different ones.
        self.cipher, self.other = self.encrypt(), self.encrypt()
        # What a call writes to, as SEAL's users keep it too.
        self.out, self.out_plain = sealapi.Ciphertext(), sealapi.Plaintext()
        self.product()
        if scheme == "ckks":
            self.evaluator.rescale_to_next_inplace(self.out)
        check(self.read(self.out), self.slots, 2)
        logs = [math.log2(prime.value()) for prime in primes]
        self.bits = [round(sum(logs[:q_count])), round(sum(logs[q_count:]))]

    def encode(self) -> Any:
        plain = self.seal.Plaintext()
        if self.scheme == "ckks":
            self.encoder.encode(self.slots, self.scale, plain)
        else:
            self.encoder.encode(self.slots, plain)
        return plain

    def encrypt(self) -> Any:
        cipher = self.seal.Ciphertext()
        self.encryptor.encrypt(self.plain, cipher)
        return cipher

    def read(self, cipher: Any) -> list[Any]:
        self.decryptor.decrypt(cipher, self.out_plain)
        decode = self.encoder.decode_double if self.scheme == "ckks" else self.encoder.decode_int64
        return decode(self.out_plain)

    def product(self) -> None:
        self.evaluator.multiply(self.cipher, self.other, self.out)
        self.evaluator.relinearize_inplace(self.out, self.relinearisation)

    def product_rescale(self) -> None:
        self.product()
        self.evaluator.rescale_to_next_inplace(self.out)

    def work(self, op: str) -> Work:
        evaluator, cipher, out = self.evaluator, self.cipher, self.out
        if op == "rotate":
            keys = self.seal.GaloisKeys()
            # The automorphism X to X^3, which is a rotation by one step.
            self.generator.create_galois_keys([3], keys)
            rotate = evaluator.rotate_vector if self.scheme == "ckks" else evaluator.rotate_rows
            rotate(cipher, 1, keys, out)
            check(self.read(out), self.slots, 1, 1)
            return Work(lambda: rotate(cipher, 1, keys, out))
        if op.endswith("rescale") and self.scheme != "ckks":
            raise Unsupported(f"SEAL's {self.scheme.upper()} does not do {op}")
        # SEAL's plaintexts are transformed when they are encoded in CKKS, and in every product in BFV.
        product_with_plain = "multiply_prepared" if self.scheme == "ckks" else "multiply_plain"
        works: dict[str, Work] = {
            "encode": Work(self.encode, note="reads a Python list"),
            "encrypt": Work(lambda: self.encryptor.encrypt(self.plain, out)),
            # Decoding would make a Python list.
            "decrypt": Work(lambda: self.decryptor.decrypt(cipher, self.out_plain)),
            "add": Work(lambda: evaluator.add(cipher, cipher, out)),
            product_with_plain: Work(lambda: evaluator.multiply_plain(cipher, self.plain, out)),
            "product": Work(self.product),
            "product_rescale": Work(self.product_rescale),
            "rescale": Work(lambda: evaluator.rescale_to_next(cipher, out)),
        }
        if op not in works:
            raise Unsupported(f"SEAL does not do {op}")
        return works[op]


@functools.lru_cache(maxsize=1)
def library(kind: Callable[[str, int, dict], Any], scheme: str, degree: int, shape: str) -> Any:
    """One at a time, as keys fill memory."""
    return kind(scheme, degree, json.loads(shape))


def prepare(name: str, op: str, params: dict) -> Work:
    scheme, _, operation = op.partition("_")
    if scheme not in ("bgv", "bfv", "ckks"):
        raise Unsupported(f"{name} does not do {op}")
    shape = json.dumps(params["primes"][name], sort_keys=True)
    session = library(CONTESTANTS[name], scheme, params["degree"], shape)
    work = session.work(operation)
    work.bits = session.bits
    return work


CONTESTANTS: dict[str, Callable[[str, int, dict], Any]] = {"openfhe": OpenFhe, "seal": Seal}

if __name__ == "__main__":
    serve(functools.partial(prepare, sys.argv[1]))
