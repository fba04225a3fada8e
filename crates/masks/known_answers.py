"""The constants of `src/primitive/tests.rs` and `src/sharing/tests.rs`, by other hands: `cryptography` 50.0.2 (OpenSSL) and arithmetic in GF(2^8).

    python3 -m venv target/venv && target/venv/bin/pip install cryptography && target/venv/bin/python crates/masks/known_answers.py
"""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SALT = b"datenraum masked sum v1"


def about(label, context, first, second):
    return bytes([len(label)]) + label + context + bytes([first, second])


def derive(secret, info):
    return HKDF(hashes.SHA256(), 32, SALT, info).derive(secret)


def mask(key, entries):
    # 16 bytes of counter and nonce in one: the counter, 32 bits with the low byte first, starts at 1.
    block_1 = (1).to_bytes(4, "little") + bytes(12)
    stream = Cipher(ChaCha20(key, block_1), mode=None).encryptor().update(bytes(16 * entries))
    return [int.from_bytes(stream[at : at + 16], "little") for at in range(0, len(stream), 16)]


def times(a, b):
    """In GF(2^8) modulo x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def at(polynomial, x):
    value = 0
    for coefficient in reversed(polynomial):
        value = times(value, x) ^ coefficient
    return value


one, two = bytes(range(32)), bytes(range(32, 64))
context = bytes([0xC0]) * 32
public = {name: X25519PrivateKey.from_private_bytes(key).public_key().public_bytes_raw() for name, key in (("one", one), ("two", two))}
shared = X25519PrivateKey.from_private_bytes(one).exchange(X25519PublicKey.from_public_bytes(public["two"]))
print("public of one:", public["one"].hex())
print("public of two:", public["two"].hex())
between = derive(shared, about(b"mask between two", context, 2, 5))
print("key between two:", between.hex())
print("mask between two:", [hex(number) for number in mask(between, 5)])
following = derive(shared, about(b"key of following sums", context, 2, 5))
print("key of following sums:", following.hex())
seventh = derive(following, about(b"mask of a following sum", bytes([0xBA]) * 32, 2, 5) + (7).to_bytes(4, "little"))
print("mask of sum 7:", [hex(number) for number in mask(seventh, 2)])
alone = derive(one, about(b"mask of one", context, 2, 2))
print("mask of one:", [hex(number) for number in mask(alone, 2)])
box = about(b"sealed shares", context, 2, 5)
print("sealed:", ChaCha20Poly1305(derive(shared, box)).encrypt(bytes(12), one + two, box).hex())
coefficients = [[secret, (7 * place + 3) % 256, (29 * place + 200) % 256] for place, secret in enumerate(one)]
for seat in (0, 3, 99):
    print("share of seat", seat, ":", bytes(at(polynomial, seat + 1) for polynomial in coefficients).hex())
