"""Makes pure-python-otr work with pycryptodome.

Debian ships python3-potr against pycryptodome, whose interface is not that of
the PyCrypto it was written for: a DSA key has no sign, verify or key attribute,
and counter mode takes no callable counter. Importing this module replaces the
three operations that would raise. The DSA arithmetic is done here on the whole
hash modulo q, as the OTR specification asks; pycryptodome would truncate it.
"""

from Cryptodome.Cipher import AES
from Cryptodome.PublicKey import DSA
from Cryptodome.Random import random
from potr import crypt
from potr.compatcrypto import pycrypto


def aes_ctr(key, counter=0):
    """AES in counter mode, from potr's Counter or from a number of its top half."""
    if not isinstance(counter, pycrypto.Counter):
        counter = pycrypto.Counter(counter)
    return AES.new(key, AES.MODE_CTR,
                   nonce=counter.prefix.to_bytes(8, 'big'), initial_value=counter.val)


def generate(cls):
    """A new 1024-bit DSA key."""
    key = DSA.generate(1024)
    return cls(tuple(int(n) for n in (key.y, key.g, key.p, key.q, key.x)), private=True)


def sign(self, digest):
    """r and s, 20 bytes each."""
    p, q, g, x = (int(n) for n in (self.priv.p, self.priv.q, self.priv.g, self.priv.x))
    m = int.from_bytes(digest, 'big')
    while True:
        k = random.randrange(1, q)
        r = pow(g, k, p) % q
        s = pow(k, -1, q) * (m + x * r) % q
        if r and s:
            return r.to_bytes(20, 'big') + s.to_bytes(20, 'big')


def verify(self, digest, signature):
    """Whether signature is one of digest by this key."""
    p, q, g, y = (int(n) for n in (self.pub.p, self.pub.q, self.pub.g, self.pub.y))
    m = int.from_bytes(digest, 'big')
    r = int.from_bytes(signature[:20], 'big')
    s = int.from_bytes(signature[20:], 'big')
    if len(signature) != 40 or not 0 < r < q or not 0 < s < q:
        return False
    w = pow(s, -1, q)
    return pow(g, m * w % q, p) * pow(y, r * w % q, p) % p % q == r


def public_payload(self):
    """The public numbers as plain integers, which potr's packing needs."""
    return tuple(int(n) for n in (self.pub.p, self.pub.q, self.pub.g, self.pub.y))


crypt.AESCTR = pycrypto.AESCTR = aes_ctr
pycrypto.DSAKey.generate = classmethod(generate)
pycrypto.DSAKey.sign = sign
pycrypto.DSAKey.verify = verify
pycrypto.DSAKey.getPublicPayload = public_payload
