#!/usr/bin/env python3
"""An OTRv4 peer for tests, in plain Python (3.9 or newer, standard library only).

    python3 peer.py --query --say 'hello' --end-after 1
    otherprogram -- python3 peer.py --echo

Each line on standard input is one message from the network, each line on
standard output is one message to the network. Standard error carries events,
one JSON object a line. Exit status: 0 the conversation ended with an
authenticated Disconnected message (sent or received), 1 the input ended without
one, 2 wrong usage, 3 --timeout passed.

It is a second opinion about the bytes on the wire, written from the OTRv4
specification, and NOT FOR PRIVACY: nothing here is constant time, nothing is
wiped, and --dump writes every secret to a file. It speaks the interactive DAKE,
data messages with the double ratchet (out of order too), SMP, the extra
symmetric key, fragments, query messages and whitespace tags. It does not speak
the non-interactive DAKE, prekeys or earlier versions of OTR.

Where the specification leaves a choice open, this peer does what the existing
implementations do. These choices are marked "WIRE:" below.
"""
import argparse
import base64
import copy
import functools
import hashlib
import json
import os
import re
import signal
import struct
import sys
import time


class ProtocolError(Exception):
    """A received message is not acceptable. The state before it is kept."""


def need(condition, why):
    if not condition:
        raise ProtocolError(why)


# --- Ed448-Goldilocks ---------------------------------------------------------
# x^2 + y^2 = 1 + d x^2 y^2 over the integers modulo P. Points are (X, Y, Z),
# with x = X/Z and y = Y/Z; the formulas are complete, for every pair of points.

P = 2**448 - 2**224 - 1
Q = 2**446 - 13818066809895115352007386748515426880336692474882178609894547503885
D = -39081 % P
IDENTITY = (0, 1, 1)
G = (224580040295924300187604334099896036246789641632564134246125461686950415467406032909029192869357953282578032075146446173674602635247710,
     298819210078481492676017930443930673437544040154080242095928241372331506189835876003536878655418784733982303233503462500531545062832660, 1)


def add(a, b):
    z = a[2] * b[2] % P
    zz = z * z % P
    c = a[0] * b[0] % P
    d = a[1] * b[1] % P
    e = D * c * d % P
    f, g = zz - e, zz + e
    h = (a[0] + a[1]) * (b[0] + b[1]) - c - d
    return z * f * h % P, z * g * (d - c) % P, f * g % P


def double(a):
    b = (a[0] + a[1]) ** 2 % P
    c, d = a[0] * a[0] % P, a[1] * a[1] % P
    e = c + d
    j = e - 2 * a[2] * a[2]
    return (b - e) * j % P, e * (c - d) % P, e * j % P


def mul(k, point):
    """k * point; k need not be reduced. Four bits at a time."""
    if point is G:
        return mul_g(k)
    table = [IDENTITY, point]
    while len(table) < 16:
        table.append(add(table[-1], point))
    result = IDENTITY
    for digit in '%x' % k:
        result = double(double(double(double(result))))
        if digit != '0':
            result = add(result, table[int(digit, 16)])
    return result


@functools.lru_cache(None)
def g_table():
    """For each four bits of a scalar, from the lowest, their sixteen multiples of G."""
    rows, point = [], G
    for _ in range(112):
        row = [IDENTITY, point]
        while len(row) < 16:
            row.append(add(row[-1], point))
        rows.append(row)
        point = add(row[-1], point)
    return rows


def mul_g(k):
    """k * G, from a table: no doubling."""
    result, k = IDENTITY, k % Q
    for row in g_table():
        if k & 15:
            result = add(result, row[k & 15])
        k >>= 4
    return result


def negate(a):
    return -a[0] % P, a[1], a[2]


def same_point(a, b):
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def point_bytes(a):
    """POINT: y in 57 bytes, little-endian, the lowest bit of x in the highest bit."""
    z = pow(a[2], -1, P)
    x, y = a[0] * z % P, a[1] * z % P
    return y.to_bytes(56, 'little') + bytes([(x & 1) << 7])


def point_on_curve(data):
    """Decode a POINT; any point of the curve, of whatever order."""
    need(len(data) == 57, 'a point is 57 bytes')
    need(data[56] & 0x7f == 0, 'point: y is too large')
    y = int.from_bytes(data[:56], 'little')
    need(y < P, 'point: y is not canonical')
    num, den = (y * y - 1) % P, (D * y * y - 1) % P
    x = pow(num, 3, P) * den * pow(pow(num, 5, P) * pow(den, 3, P), (P - 3) // 4, P) % P
    need((den * x * x - num) % P == 0, 'point: not on the curve')
    sign = data[56] >> 7
    need(not (x == 0 and sign), 'point: x is 0 and its sign is 1')
    return (P - x if x & 1 != sign else x), y, 1


@functools.lru_cache(1000)
def point(data):
    """Decode a POINT and check that it is in the group of prime order, and not 0."""
    a = point_on_curve(data)
    need(not same_point(a, IDENTITY), 'point: identity')
    need(same_point(mul(Q, a), IDENTITY), 'point: not of prime order')
    return a


# --- hashes, ChaCha20, numbers -----------------------------------------------

def shake(size, *parts):
    return hashlib.shake_256(b''.join(parts)).digest(size)


def kdf(usage, size, *parts):
    """KDF, HWC and HCMAC of the specification are one function."""
    return shake(size, b'OTRv4', bytes([usage]), *parts)


(FINGERPRINT, THIRD_BRACE_KEY, BRACE_KEY, SHARED_SECRET, SSID,
 AUTH_R_BOB, AUTH_R_ALICE, AUTH_R_PHI, AUTH_I_BOB, AUTH_I_ALICE, AUTH_I_PHI,
 FIRST_ROOT_KEY, TMP_KEY, AUTH_MAC_KEY, NI_BOB, NI_ALICE, NI_PHI, AUTH_MAC,
 ROOT_KEY, CHAIN_KEY, NEXT_CHAIN_KEY, MESSAGE_KEY, MAC_KEY, EXTRA_SYMM_KEY,
 AUTHENTICATOR, SMP_SECRET, AUTH) = range(0x1b)


def little(data):
    return int.from_bytes(data, 'little')


def scalar_bytes(k):
    """SCALAR: 57 bytes, little-endian, reduced modulo q."""
    return (k % Q).to_bytes(57, 'little')


def prune(data):
    b = bytearray(data)
    b[0] &= 0xfc
    b[55] |= 0x80
    b[56] = 0
    return bytes(b)


def hash_to_scalar(usage, *parts):
    return little(kdf(usage, 57, *parts)) % Q


def chacha20(key, message):
    """RFC 7539 ChaCha20, nonce 0, block counter from 0; the same both ways."""
    keywords, out, mask = struct.unpack('<8I', key), bytearray(), 0xffffffff
    for block in range((len(message) + 63) // 64):
        start = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, *keywords, block, 0, 0, 0]
        w = start[:]

        def mix(a, b, turn, target):
            w[a] = (w[a] + w[b]) & mask
            v = w[target] ^ w[a]
            w[target] = ((v << turn) | (v >> (32 - turn))) & mask

        for _ in range(10):
            for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                               (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
                mix(a, b, 16, d)
                mix(c, d, 12, b)
                mix(a, b, 8, d)
                mix(c, d, 7, b)
        stream = struct.pack('<16I', *[(a + b) & mask for a, b in zip(w, start)])
        out += bytes(m ^ s for m, s in zip(message[64 * block:64 * block + 64], stream))
    return bytes(out)


# --- the 3072-bit Diffie-Hellman group of RFC 3526 ----------------------------

DH_P = int('FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74'
           '020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437'
           '4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED'
           'EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05'
           '98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB'
           '9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B'
           'E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718'
           '3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33'
           'A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7'
           'ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864'
           'D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E2'
           '08E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF', 16)


def jacobi(a, n):
    """The Jacobi symbol (a/n) of an odd n, by quadratic reciprocity."""
    sign, a = 1, a % n
    while a:
        twos = (a & -a).bit_length() - 1
        a >>= twos
        if twos & 1 and n & 7 in (3, 5):
            sign = -sign
        if a & n & 3 == 3:
            sign = -sign
        a, n = n % a, a
    return sign if n == 1 else 0


def dh_value(n):
    """Check that n is in the subgroup of order dh_q. As DH_P is 2 * dh_q + 1, that is the group
    of squares, so the symbol tells as much as n**dh_q does, in an eightieth of the time."""
    need(2 <= n <= DH_P - 2, 'DH value out of range')
    need(jacobi(n, DH_P) == 1, 'DH value not in the group')
    return n


def big(n):
    """An unsigned big-endian integer, no leading zeros (k_dh and inside MPI)."""
    return n.to_bytes((n.bit_length() + 7) // 8, 'big')


# --- OTR data types -----------------------------------------------------------

def data_bytes(b):
    return struct.pack('>I', len(b)) + b


def mpi_bytes(n):
    return data_bytes(big(n))


def tlv_bytes(kind, value=b''):
    return struct.pack('>HH', kind, len(value)) + value


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        need(0 <= n <= len(self.data) - self.at, 'message too short')
        self.at += n
        return self.data[self.at - n:self.at]

    def byte(self): return self.take(1)[0]
    def short(self): return struct.unpack('>H', self.take(2))[0]
    def int(self): return struct.unpack('>I', self.take(4))[0]
    def data_(self): return self.take(self.int())
    def point(self): return point(self.take(57))

    def mpi(self):
        b = self.data_()
        need(b[:1] != b'\0', 'MPI with leading zeros')
        return int.from_bytes(b, 'big')

    def scalar(self):
        """The specification reduces a SCALAR modulo q; it does not reject a large one."""
        return little(self.take(57)) % Q

    def done(self): need(self.at == len(self.data), 'bytes after the end of the message')


# --- randomness: every draw has a name, and can be recorded and replayed -------

class Random:
    """The system's randomness, or with a seed a deterministic stream:
    draw number n (from 1) is SHAKE-256(seed || INT(n), size)."""
    def __init__(self, seed=None):
        self.seed, self.count = seed, 0

    def draw(self, size, label):
        self.count += 1
        if self.seed is None:
            return os.urandom(size)
        return shake(size, self.seed, struct.pack('>I', self.count))


class Replay:
    """Gives back recorded draws, [label, hex] each, in their order."""
    def __init__(self, draws=()):
        self.draws = list(draws)

    def draw(self, size, label):
        want, value = self.draws.pop(0)
        assert (want, len(value)) == (label, 2 * size), (want, label)
        return bytes.fromhex(value)


# --- long-term keys, signatures ------------------------------------------------

class KeyPair:
    """An Ed448 key pair (RFC 8032) from its 57-byte symmetric key."""
    def __init__(self, symmetric):
        self.symmetric = symmetric
        h = shake(114, symmetric)
        self.secret, self.prefix = little(prune(h[:57])), h[57:]
        self.public = mul(self.secret, G)
        self.bytes = point_bytes(self.public)

    def sign(self, message):
        dom = b'SigEd448\0\0'
        r = little(shake(114, dom, self.prefix, message)) % Q
        big_r = point_bytes(mul(r, G))
        k = little(shake(114, dom, big_r, self.bytes, message)) % Q
        return big_r + scalar_bytes(r + k * self.secret)


def eddsa_verify(public, message, signature):
    """RFC 8032 verification without the factor 4; public is a decoded point."""
    try:
        r = point_on_curve(signature[:57])
    except ProtocolError:
        return False
    s = little(signature[57:])
    if len(signature) != 114 or s >= Q:
        return False
    k = little(shake(114, b'SigEd448\0\0', signature[:57], point_bytes(public), message)) % Q
    return same_point(mul(s, G), add(r, mul(k, public)))


def dsa_verify(key, message, signature):
    """The transitional signature. WIRE: no hash; the message itself, as one big-endian
    number modulo q, is what DSA signs, as OTRv3 does with its 32-byte MAC value."""
    p, q, g, y = key
    size = (q.bit_length() + 7) // 8
    r, s = int.from_bytes(signature[:size], 'big'), int.from_bytes(signature[size:], 'big')
    if not (0 < r < q and 0 < s < q):
        return False
    w, m = pow(s, -1, q), int.from_bytes(message, 'big') % q
    return pow(g, m * w % q, p) * pow(y, r * w % q, p) % p % q == r


def ring_hash(keys, commitments, message):
    # WIRE: the message enters as DATA, with its 4-byte length; the specification's
    # formula has it raw. q is encoded as a SCALAR that is not reduced.
    return hash_to_scalar(AUTH, point_bytes(G), Q.to_bytes(57, 'little'),
                          *map(point_bytes, keys), *map(point_bytes, commitments), data_bytes(message))


def ring_sign(secret, position, keys, message, scalar, trace=None):
    """RSig with the secret of keys[position]. `scalar(label)` draws a random scalar."""
    t = scalar('ring.t%d' % (position + 1))
    c, r = [0] * 3, [0] * 3
    for n in range(3):
        if n != position:
            c[n] = scalar('ring.c%d' % (n + 1))
            r[n] = scalar('ring.r%d' % (n + 1))
    commit = [mul(t, G) if n == position else add(mul(r[n], G), mul(c[n], keys[n])) for n in range(3)]
    total = ring_hash(keys, commit, message)
    c[position] = (total - sum(c)) % Q
    r[position] = (t - c[position] * secret) % Q
    if trace:
        for n in range(3):
            trace('ring.T%d' % (n + 1), point_bytes(commit[n]))
        trace('ring.c', scalar_bytes(total))
    return b''.join(scalar_bytes(c[n]) + scalar_bytes(r[n]) for n in range(3))


def ring_verify(keys, signature, message):
    if len(signature) != 342:
        return False
    reader = Reader(signature)
    c, r = [0] * 3, [0] * 3
    for n in range(3):
        c[n], r[n] = reader.scalar(), reader.scalar()
    commit = [add(mul(r[n], G), mul(c[n], keys[n])) for n in range(3)]
    return ring_hash(keys, commit, message) == sum(c) % Q


# --- client profile -----------------------------------------------------------

class Profile:
    """A parsed CLIENT-PROF; `raw` holds its exact bytes, which phi and t hash."""

    @classmethod
    def read(cls, reader):
        self, start = cls(), reader.at
        count, fields_at = reader.int(), reader.at
        self.fields, self.dsa, self.transitional = {}, None, None
        for _ in range(count):
            at, kind = reader.at, reader.short()
            need(kind not in self.fields, 'profile: field %d twice' % kind)
            if kind == 1:
                self.tag = reader.int()
            elif kind in (2, 3):
                # little-endian SHORT: 10 00 for the public key, 12 00 for the forging key
                need(reader.take(2) == (b'\x10\0' if kind == 2 else b'\x12\0'), 'profile: key type')
                setattr(self, 'H' if kind == 2 else 'F', reader.point())
            elif kind == 4:
                self.versions = reader.data_()
            elif kind == 5:
                self.expires = struct.unpack('>q', reader.take(8))[0]
            elif kind == 6:
                need(reader.short() == 0, 'profile: DSA key type')
                self.dsa = tuple(reader.mpi() for _ in range(4))
            elif kind == 7:
                self.transitional = reader.take(40)
            else:
                need(False, 'profile: unknown field %d' % kind)
            self.fields[kind] = reader.data[at:reader.at]
        self.signed = reader.data[start:reader.at]
        self.signature = reader.take(114)
        self.raw = reader.data[start:reader.at]
        return self

    def validate(self, sender_tag, now):
        need(all(k in self.fields for k in (1, 2, 3, 4, 5)), 'profile: a field is missing')
        # WIRE: the signature covers the fields only, not their count before them.
        need(eddsa_verify(self.H, self.signed[4:], self.signature), 'profile: bad signature')
        need(self.tag == sender_tag, 'profile: not of the sender (instance tag)')
        need(self.expires > now, 'profile: expired')
        need(b'4' in self.versions, 'profile: version 4 missing')
        need(self.dsa is None or self.transitional is not None, 'profile: transitional signature missing')
        if self.dsa and self.transitional:
            m = b''.join(self.fields[k] for k in range(1, 7))
            need(dsa_verify(self.dsa, m, self.transitional), 'profile: bad transitional signature')
        return self

    def fingerprint(self):
        return fingerprint(self.H, self.F)


def fingerprint(h, f):
    """HWC over the two bare POINTs, without their key types."""
    return kdf(FINGERPRINT, 56, point_bytes(h), point_bytes(f))


def make_profile(tag, identity, forging, expires, versions=b'4', extra=b'', extra_count=0):
    """The bytes of a signed profile; extra: further encoded fields (6 and 7)."""
    fields = (struct.pack('>HI', 1, tag) + b'\0\2\x10\0' + identity.bytes + b'\0\3\x12\0' + forging.bytes +
              b'\0\4' + data_bytes(versions) + b'\0\5' + struct.pack('>q', expires) + extra)
    return struct.pack('>I', 5 + extra_count) + fields + identity.sign(fields)


# --- query messages, whitespace tags, fragments --------------------------------

WHITESPACE_BASE = ' \t  \t\t\t\t \t \t \t  '
WHITESPACE_V3 = '  \t\t  \t\t'
WHITESPACE_V4 = '  \t\t \t  '


def query_versions(line):
    """The versions that a query message offers ('' for none), or None if it is no query."""
    if line.startswith(('?OTR:', '?OTR|', '?OTR,', '?OTR Error:')):
        return None
    found = re.search(r'\?OTRv([^?]*)\?', line)
    return found.group(1) if found else None


def whitespace_versions(line):
    """(text without the tag, versions offered), or None if there is no tag."""
    at = line.find(WHITESPACE_BASE)
    if at < 0:
        return None
    end, versions = at + 16, ''
    while re.fullmatch('[ \t]{8}', line[end:end + 8]):
        versions += {WHITESPACE_V3: '3', WHITESPACE_V4: '4'}.get(line[end:end + 8], '')
        end += 8
    return line[:at] + line[end:], versions


def fragment(line, identifier, sender, receiver, total):
    """Split an encoded message into `total` lines. WIRE: the identifier has all eight
    digits; some receivers accept no fewer."""
    size = -(-len(line) // total)
    pieces = [line[n:n + size] for n in range(0, len(line), size)]
    return ['?OTR|%08x|%08x|%08x,%05d,%05d,%s,' % (identifier, sender, receiver, n, len(pieces), piece)
            for n, piece in enumerate(pieces, 1)]


FRAGMENT = re.compile(r'\?OTR\|([0-9a-fA-F]{1,8})\|([0-9a-fA-F]{1,8})\|([0-9a-fA-F]{1,8}),'
                      r'(\d{1,5}),(\d{1,5}),([^,]+),')


class Assembler:
    """Puts fragments together, whatever their order; bounded."""
    def __init__(self):
        self.parts = {}

    def add(self, line, own_tag):
        """The whole message once it is complete, else None."""
        found = FRAGMENT.fullmatch(line)
        need(found, 'fragment: malformed')
        identifier, sender, receiver = (int(found.group(n), 16) for n in (1, 2, 3))
        index, total = int(found.group(4)), int(found.group(5))
        need(receiver in (0, own_tag), 'fragment: for another instance')
        need(1 <= index <= total <= 65535, 'fragment: bad index')
        key = (identifier, sender, receiver)
        if key not in self.parts:
            while len(self.parts) >= 16:
                self.parts.pop(next(iter(self.parts)))
            self.parts[key] = (total, {})
        want, pieces = self.parts[key]
        need(want == total and index not in pieces, 'fragment: does not fit the others')
        pieces[index] = found.group(6)
        if len(pieces) < total:
            return None
        del self.parts[key]
        return ''.join(pieces[n] for n in range(1, total + 1))


# --- the double ratchet --------------------------------------------------------

MAX_SKIP = 1000


class Ratchet:
    """State after the DAKE. `first` says who sends in the first sending ratchet:
    'send' for Alice (she received Auth-I), 'receive' for Bob (he sent it)."""

    def __init__(self, own, ours, theirs, mixed, first):
        """own: the Conversation; ours, theirs: the keys that the DAKE calls first."""
        self.ec, self.public_ec, self.dh, self.public_dh = ours
        self.their_ec, self.their_dh = theirs
        self.i = self.j = self.k = self.pn = 0
        self.send_key = self.receive_key = self.brace = None
        self.receive_id = 0
        self.skipped, self.reveal = {}, b''
        self.root = kdf(FIRST_ROOT_KEY, 64, mixed)
        own.trace('prev_root_key', self.root)
        self.advance(own, first, True)
        self.i = 0  # this first derivation does not count

    def __copy__(self):
        new = Ratchet.__new__(Ratchet)
        new.__dict__.update(self.__dict__, skipped=dict(self.skipped))
        return new

    def advance(self, own, direction, new_dh):
        """One DH ratchet: mix the secrets, replace the root key, set a chain key.
        WIRE: the id i grows by one each time and is never reset to 0."""
        k_ecdh, k_dh = own.exchange(self.ec, self.their_ec, self.dh, self.their_dh, new_dh)
        self.brace = kdf(THIRD_BRACE_KEY, 32, k_dh) if new_dh else kdf(BRACE_KEY, 32, self.brace)
        mixed = kdf(SHARED_SECRET, 64, k_ecdh, self.brace)
        chain = kdf(CHAIN_KEY, 64, self.root, mixed)
        self.root = kdf(ROOT_KEY, 64, self.root, mixed)
        own.trace('brace_key', self.brace)
        own.trace('K', mixed)
        own.trace('root_key', self.root)
        own.trace('chain_key_s' if direction == 'send' else 'chain_key_r', chain)
        if direction == 'send':
            self.send_key, self.pn, self.j, self.next = chain, self.j, 0, 'receive'
        else:
            self.receive_key, self.k, self.next = chain, 0, 'send'
            self.receive_id = self.i
        self.i += 1

    def message_keys(self, chain):
        enc = kdf(MESSAGE_KEY, 64, chain)
        return enc, kdf(EXTRA_SYMM_KEY, 64, b'\xff', chain)

    def skip_to(self, own, number):
        """Store the keys of the messages before `number` of the receiving chain."""
        need(number - self.k <= MAX_SKIP and len(self.skipped) <= MAX_SKIP, 'too many messages skipped')
        while self.receive_key and self.k < number:
            keys = self.message_keys(self.receive_key)
            self.skipped[point_bytes(self.their_ec), self.k] = keys
            own.trace('skipped_MKenc[%d]' % self.k, keys[0])
            own.trace('skipped_extra_symm_key[%d]' % self.k, keys[1])
            self.receive_key = kdf(NEXT_CHAIN_KEY, 64, self.receive_key)
            self.k += 1


# --- one conversation ----------------------------------------------------------

IDENTITY_MESSAGE, AUTH_R, AUTH_I, DATA = 0x35, 0x36, 0x37, 0x03
START, WAITING_AUTH_R, WAITING_AUTH_I, ENCRYPTED, FINISHED = (
    'START', 'WAITING_AUTH_R', 'WAITING_AUTH_I', 'ENCRYPTED_MESSAGES', 'FINISHED')


def step(function):
    """Public methods of Conversation: record what went in, what was drawn, derived and
    sent, and what happened; return the lines to send."""
    names = function.__code__.co_varnames[1:function.__code__.co_argcount]

    def run(self, *args, **named):
        given = dict(zip(names, args), **named)
        self.record = {'op': function.__name__,
                       'args': {k: v.hex() if isinstance(v, bytes) else v for k, v in given.items()},
                       'random': [], 'values': [], 'events': [], 'sent': []}
        self.log.append(self.record)
        function(self, *args, **named)
        self.record['state'] = self.state
        return self.record['sent']
    return run


class Conversation:
    """Bytes in, bytes out, no input or output of its own.

    identity, forging: KeyPair. account, contact: the two bare JIDs of phi', None for
    no phi'. random: an object like Random. now: seconds since 1970. hostile: a word of
    HOSTILE or None. smp_bytes: 57 as the specification says, or 64: the secret is then
    not pruned (one implementation does this)."""

    def __init__(self, identity, forging, tag, account='alice@localhost', contact='bob@localhost',
                 random=None, now=None, expires=None, fragments=0, hostile=None, smp_bytes=57):
        self.identity, self.forging, self.tag = identity, forging, tag
        self.account, self.contact = account, contact
        self.random, self.now = random or Random(), now or time.time
        self.fragments, self.hostile, self.smp_bytes = fragments, hostile, smp_bytes
        self.log, self.record = [], None
        self.state, self.their_tag, self.role = START, 0, None
        self.assembler, self.ratchet, self.smp = Assembler(), None, {'state': 'EXPECT1'}
        self.literal = False    # answer every Identity message with new keys, as the text says and others do
        self.hostile_done, self.held, self.answered = False, None, None
        expires = expires or int(self.now()) + 7 * 86400
        if hostile == 'expired-profile':
            expires = int(self.now()) - 60
        self.raw_profile = make_profile(tag + 1 if hostile == 'wrong-profile-tag' else tag, identity, forging, expires)
        if hostile == 'bad-profile-signature':
            self.raw_profile = self.raw_profile[:-60] + bytes([self.raw_profile[-60] ^ 1]) + self.raw_profile[-59:]
        if hostile == 'duplicate-profile-field':
            self.raw_profile = make_profile(tag, identity, forging, expires, b'4', b'\0\5' + struct.pack('>q', expires), 1)
        self.profile = Profile()
        self.profile.tag, self.profile.raw = tag, self.raw_profile
        self.profile.H, self.profile.F = identity.public, forging.public

    # recording

    def trace(self, name, value):
        self.record['values'].append([name, value.hex() if isinstance(value, bytes) else value])

    def event(self, kind, **fields):
        self.record['events'].append(dict(event=kind, **fields))

    def send(self, line):
        if self.fragments > 1 and line.startswith('?OTR:'):
            identifier = int.from_bytes(self.draw(4, 'fragment.identifier'), 'big')
            self.record['sent'] += fragment(line, identifier, self.tag, self.their_tag, self.fragments)
        else:
            self.record['sent'].append(line)

    def draw(self, size, label):
        value = self.random.draw(size, label)
        self.record['random'].append([label, value.hex()])
        return value

    # keys

    def scalar(self, label):
        """A random value "in Z_q": 57 random bytes, hashed to 57 bytes, pruned, modulo q."""
        return little(prune(shake(57, self.draw(57, label)))) % Q

    def new_ecdh(self, label):
        """generateECDH: here the hash is 114 bytes long and its first 57 count."""
        secret = little(prune(shake(114, self.draw(57, label))[:57]))
        public = mul(secret, G)
        self.trace(label + '.public', point_bytes(public))
        return secret, public

    def new_dh(self, label):
        secret = int.from_bytes(self.draw(80, label), 'big')
        public = pow(2, secret, DH_P)
        self.trace(label + '.public', big(public))
        return secret, public

    def exchange(self, ec, their_ec, dh, their_dh, with_dh):
        """(K_ecdh, k_dh), k_dh empty if it is not wanted."""
        shared = mul(ec, their_ec)
        need(not same_point(shared, IDENTITY), 'ECDH: the shared secret is the identity')
        k_ecdh = point_bytes(shared)
        k_dh = big(pow(their_dh, dh, DH_P)) if with_dh else b''
        self.trace('K_ecdh', k_ecdh)
        if with_dh:
            self.trace('k_dh', k_dh)
        return k_ecdh, k_dh

    def dake_keys(self, role):
        self.role = role
        ec, dh = ('y', 'b') if role == 'bob' else ('x', 'a')
        self.ec, self.public_ec = self.new_ecdh(ec)
        self.dh, self.public_dh = self.new_dh(dh)
        self.ec1, self.public_ec1 = self.new_ecdh('ecdh_first')
        self.dh1, self.public_dh1 = self.new_dh('dh_first')
        low = {'low-order-point': (1, 0, 1), 'order-two-point': (0, P - 1, 1), 'identity-point': IDENTITY,
               'mixed-order-point': add(self.public_ec, (0, P - 1, 1))}
        self.public_ec = low.get(self.hostile, self.public_ec)
        self.public_dh = {'bad-dh': DH_P - 1, 'bad-dh-one': 1, 'bad-dh-nonresidue': DH_P - 2,
                          'bad-dh-large': DH_P}.get(self.hostile, self.public_dh)

    # the DAKE

    def header(self, kind):
        return struct.pack('>HBII', 4, kind, self.tag, self.their_tag)

    def encode(self, message):
        return '?OTR:' + base64.b64encode(message).decode() + '.'

    def phi(self, usage, ours):
        """HWC(usage || phi). WIRE: the sender of the message that carries the signature
        comes first in every pair, nothing is sorted."""
        me = (struct.pack('>I', self.tag), point_bytes(self.public_ec1) + mpi_bytes(self.public_dh1),
              b'' if self.account is None else data_bytes(self.account.encode()))
        they = (struct.pack('>I', self.their_tag), point_bytes(self.their_ec1) + mpi_bytes(self.their_dh1),
                b'' if self.account is None else data_bytes(self.contact.encode()))
        a, b = (me, they) if ours else (they, me)
        phi = a[0] + b[0] + a[1] + b[1] + a[2] + b[2]
        self.trace('phi', phi)
        return kdf(usage, 64, phi)

    def transcript(self, auth_r, ours):
        """t of the Auth-R message (auth_r) or of the Auth-I message."""
        bob, alice = (self.profile, self.their_profile) if self.role == 'bob' else (self.their_profile, self.profile)
        mine, theirs = (self.public_ec, self.public_dh), (self.their_ec, self.their_dh)
        (y, b), (x, a) = (mine, theirs) if self.role == 'bob' else (theirs, mine)
        usage = (AUTH_R_BOB, AUTH_R_ALICE, AUTH_R_PHI) if auth_r else (AUTH_I_BOB, AUTH_I_ALICE, AUTH_I_PHI)
        t = (bytes([0 if auth_r else 1]) + kdf(usage[0], 64, bob.raw) + kdf(usage[1], 64, alice.raw) +
             point_bytes(y) + point_bytes(x) + mpi_bytes(b) + mpi_bytes(a) + self.phi(usage[2], ours))
        self.trace('t', t)
        return t

    def sign(self, position, keys, t):
        signature = ring_sign(self.identity.secret, position, keys, t, self.scalar, self.trace)
        if self.hostile == 'bad-ring-signature':
            signature = signature[:-20] + bytes([signature[-20] ^ 1]) + signature[-19:]
        self.trace('sigma', signature)
        return signature

    def send_identity(self):
        self.dake_keys('bob')
        self.state = WAITING_AUTH_R
        self.identity_message = self.encode(
            self.header(IDENTITY_MESSAGE) + self.raw_profile + point_bytes(self.public_ec) + mpi_bytes(self.public_dh) +
            point_bytes(self.public_ec1) + mpi_bytes(self.public_dh1))
        self.send(self.identity_message)

    def receive_identity(self, sender, r):
        body = r.data[r.at:]
        if not self.literal and body == self.answered and self.state in (WAITING_AUTH_I, ENCRYPTED):
            # The same Identity message again: sent twice because of a collision (below), or
            # a duplicate. The specification would have new keys made and a new Auth-R sent
            # while Auth-I to the first is under way, and then neither side gets on.
            if self.state == WAITING_AUTH_I:
                self.send(self.auth_r_message)
            return
        profile = Profile.read(r).validate(sender, self.now())
        y, b, ec1, dh1 = r.point(), dh_value(r.mpi()), r.point(), dh_value(r.mpi())
        r.done()
        if self.state == WAITING_AUTH_R:
            # Both sides sent an Identity message: the higher hash of B wins.
            # WIRE: the hash is SHAKE-256(MPI(B), 32), without "OTRv4" and usage.
            if shake(32, mpi_bytes(self.public_dh)) > shake(32, mpi_bytes(b)):
                self.send(self.identity_message)
                return
        self.their_tag, self.their_profile = sender, profile
        self.their_ec, self.their_dh, self.their_ec1, self.their_dh1 = y, b, ec1, dh1
        self.dake_keys('alice')
        t = self.transcript(True, True)
        sigma = self.sign(1, [profile.F, self.identity.public, y], t)
        self.state, self.answered = WAITING_AUTH_I, body
        self.auth_r_message = self.encode(
            self.header(AUTH_R) + self.raw_profile + point_bytes(self.public_ec) + mpi_bytes(self.public_dh) + sigma +
            point_bytes(self.public_ec1) + mpi_bytes(self.public_dh1))
        self.send(self.auth_r_message)

    def receive_auth_r(self, sender, r):
        need(self.state == WAITING_AUTH_R, 'Auth-R not expected')
        profile = Profile.read(r).validate(sender, self.now())
        x, a, sigma = r.point(), dh_value(r.mpi()), r.take(342)
        ec1, dh1 = r.point(), dh_value(r.mpi())
        r.done()
        self.their_tag, self.their_profile = sender, profile
        self.their_ec, self.their_dh, self.their_ec1, self.their_dh1 = x, a, ec1, dh1
        t = self.transcript(True, False)
        need(ring_verify([self.forging.public, profile.H, self.public_ec], sigma, t), 'Auth-R: bad ring signature')
        t = self.transcript(False, True)
        self.send(self.encode(self.header(AUTH_I) + self.sign(0, [self.identity.public, profile.F, x], t)))
        self.secure('receive')

    def receive_auth_i(self, sender, r):
        need(self.state == WAITING_AUTH_I and sender == self.their_tag, 'Auth-I not expected')
        sigma = r.take(342)
        r.done()
        t = self.transcript(False, False)
        need(ring_verify([self.their_profile.H, self.forging.public, self.public_ec], sigma, t), 'Auth-I: bad ring signature')
        self.secure('send')

    def secure(self, first):
        """Mix the DAKE's secrets, then start the ratchet with the keys called first.

        The specification has Bob ratchet at once as a sender too; that gives the same
        bytes as doing it when he first sends, which is what happens here."""
        k_ecdh, k_dh = self.exchange(self.ec, self.their_ec, self.dh, self.their_dh, True)
        brace = kdf(THIRD_BRACE_KEY, 32, k_dh)
        mixed = kdf(SHARED_SECRET, 64, k_ecdh, brace)
        self.ssid = kdf(SSID, 8, mixed)
        self.trace('brace_key', brace)
        self.trace('K', mixed)
        self.trace('ssid', self.ssid)
        self.ratchet = Ratchet(self, (self.ec1, self.public_ec1, self.dh1, self.public_dh1),
                               (self.their_ec1, self.their_dh1), mixed, first)
        self.state, self.smp = ENCRYPTED, {'state': 'EXPECT1'}
        # The first half of the SSID is shown bold to who sent Auth-R, else the second.
        self.event('secure', version=4, fingerprint=self.their_profile.fingerprint().hex(), ssid=self.ssid.hex(),
                   bold='first' if self.role == 'alice' else 'second', own_fingerprint=self.profile.fingerprint().hex(),
                   tag='%08x' % self.tag, their_tag='%08x' % self.their_tag)

    # data messages

    def data_message(self, text, tlvs=b'', ignore_unreadable=False, last=False):
        """Encrypt; returns the encoded line. last: also reveal what is still to reveal."""
        r, reveal = self.ratchet, b''
        if r.next == 'send':
            new_dh = r.i % 3 == 0
            r.ec, r.public_ec = self.new_ecdh('ecdh')
            if new_dh:
                r.dh, r.public_dh = self.new_dh('dh')
            r.advance(self, 'send', new_dh)
            reveal, r.reveal = r.reveal, b''
        if last:
            for mkenc, _ in r.skipped.values():
                r.reveal += kdf(MAC_KEY, 64, mkenc)
            reveal, r.reveal = reveal + r.reveal, b''
        # The id of the sending ratchet: i was increased when it began. Only the first
        # one, which the DAKE itself began for Alice, has i still 0.
        ratchet_id = max(0, r.i - 1)
        mkenc, extra = r.message_keys(r.send_key)
        mkmac = kdf(MAC_KEY, 64, mkenc)
        plain = text.encode() + (b'\0' + tlvs if tlvs else b'')
        self.trace('chain_key_s', r.send_key)
        self.trace('MKenc', mkenc)
        self.trace('MKmac', mkmac)
        self.trace('extra_symm_key', extra)
        self.trace('plaintext', plain)
        self.extra_key = extra
        public_ec = r.public_ec
        if self.hostile == 'low-order-ratchet' and ratchet_id > 0:
            public_ec = (1, 0, 1)
        message = self.header(DATA)
        if self.hostile == 'wrong-instance-tag':
            message = message[:7] + struct.pack('>I', self.their_tag ^ 1)
        # WIRE: every message of a ratchet whose id is a multiple of 3 carries the DH key.
        message += (bytes([int(ignore_unreadable)]) + struct.pack('>III', r.pn, ratchet_id, r.j) +
                    point_bytes(public_ec) + (mpi_bytes(r.public_dh) if ratchet_id % 3 == 0 else data_bytes(b'')) +
                    data_bytes(chacha20(mkenc[:32], plain)))
        authenticator = kdf(AUTHENTICATOR, 64, mkmac, message)
        self.trace('authenticator', authenticator)
        self.trace('mac_keys_revealed', reveal)
        if self.hostile == 'bad-mac' and text and not self.hostile_done:
            self.hostile_done = True
            authenticator = authenticator[:-1] + bytes([authenticator[-1] ^ 1])
        r.send_key = kdf(NEXT_CHAIN_KEY, 64, r.send_key)
        r.j += 1
        self.trace('next_chain_key_s', r.send_key)
        return self.encode(message + authenticator + data_bytes(reveal))

    def receive_data(self, sender, message, r):
        need(self.state == ENCRYPTED, 'data message in state ' + self.state)
        need(sender == self.their_tag, 'data message from another instance')
        self.unreadable_ok = r.byte() & 1
        pn, ratchet_id, number = r.int(), r.int(), r.int()
        their_ec, dh_mpi = r.point(), r.mpi()
        ciphertext = r.data_()
        signed = message[:r.at]
        authenticator, revealed = r.take(64), r.data_()
        r.done()
        need(len(revealed) % 64 == 0, 'revealed MAC keys: bad length')
        need((dh_mpi != 0) == (ratchet_id % 3 == 0), 'DH key missing or not expected')
        state = copy.copy(self.ratchet)  # all changes to it are lost if the MAC is wrong
        key = (point_bytes(their_ec), number)
        if key in state.skipped:
            mkenc, extra = state.skipped.pop(key)
        else:
            if same_point(their_ec, state.their_ec) and state.receive_key:
                need(ratchet_id == state.receive_id, 'ratchet id does not match its key')
                need(not dh_mpi or dh_mpi == state.their_dh, 'DH key does not match the ratchet')
                need(number >= state.k, 'message received before')
            else:
                need(state.next == 'receive' and ratchet_id == state.i, 'no keys for this ratchet')
                state.skip_to(self, pn)
                state.their_ec = their_ec
                if dh_mpi:
                    state.their_dh = dh_value(dh_mpi)
                state.advance(self, 'receive', ratchet_id % 3 == 0)
            state.skip_to(self, number)
            self.trace('chain_key_r', state.receive_key)
            mkenc, extra = state.message_keys(state.receive_key)
            state.receive_key = kdf(NEXT_CHAIN_KEY, 64, state.receive_key)
            state.k += 1
        mkmac = kdf(MAC_KEY, 64, mkenc)
        need(kdf(AUTHENTICATOR, 64, mkmac, signed) == authenticator, 'data message: bad MAC')
        state.reveal += mkmac
        self.ratchet = state
        plain = chacha20(mkenc[:32], ciphertext)
        self.trace('MKenc', mkenc)
        self.trace('MKmac', mkmac)
        self.trace('extra_symm_key', extra)
        self.trace('plaintext', plain)
        text, _, rest = plain.partition(b'\0')
        if text:
            self.event('text', text=text.decode('utf-8', 'replace'), ratchet=ratchet_id, message=number,
                       revealed=len(revealed) // 64)
        self.receive_tlvs(rest, extra)

    def receive_tlvs(self, rest, extra):
        r, index, derived = Reader(rest), -1, extra
        while r.at < len(rest) and self.state == ENCRYPTED:
            index += 1
            try:
                kind, value = r.short(), r.take(r.short())
            except ProtocolError:
                self.event('error', why='incomplete TLV')
                return
            if kind == 1:
                self.state, self.ratchet, self.smp = FINISHED, None, {'state': 'EXPECT1'}
                self.event('ended', by='peer')
            elif 2 <= kind <= 6:
                try:
                    self.receive_smp(kind, value)
                except ProtocolError as e:
                    self.event('error', why='SMP: %s' % e)
                    self.abort_smp()
            elif kind == 7:
                # WIRE: the key of each TLV 7 is derived from the one before; index counts all
                # TLVs of the message from 0. The first is derived from the message's own key.
                if len(value) < 4:
                    self.event('error', why='TLV 7 too short')
                    continue
                derived = kdf(index & 0xff, 64, value[:4], derived)
                self.event('extra_key', context=value[:4].hex(), data=value[4:].hex(), base=extra.hex(), key=derived.hex())
            elif kind:
                self.event('tlv', type=kind, value=value.hex())

    # SMP; the names follow the specification

    def smp_secret(self, secret, initiator):
        us, them = self.profile.fingerprint(), self.their_profile.fingerprint()
        m = b'\1' + (us + them if initiator else them + us) + self.ssid + data_bytes(secret.encode())
        self.trace('smp.secret_input', m)
        h = kdf(SMP_SECRET, self.smp_bytes, m)
        h = prune(h) if self.smp_bytes == 57 else h
        self.trace('smp.x' if initiator else 'smp.y', h)
        return little(h) % Q

    def smp_hash(self, usage, *points):
        return hash_to_scalar(usage, *map(point_bytes, points))

    def smp_send(self, kind, value=b''):
        self.send(self.data_message('', tlv_bytes(kind, value), True))

    def abort_smp(self):
        self.smp = {'state': 'EXPECT1'}
        self.smp_send(6)

    def receive_smp(self, kind, value):
        s, r = self.smp, Reader(value)
        if kind == 6:
            self.smp = {'state': 'EXPECT1'}
            self.event('smp', result='aborted')
            return
        need(s['state'] == 'EXPECT%d' % (kind - 1), 'message %d in state %s' % (kind - 1, s['state']))
        if kind == 2:
            question = r.data_()
            g2a, c2, d2, g3a, c3, d3 = r.point(), r.scalar(), r.scalar(), r.point(), r.scalar(), r.scalar()
            r.done()
            need(c2 == self.smp_hash(1, add(mul(d2, G), mul(c2, g2a))), 'proof of G2a')
            need(c3 == self.smp_hash(2, add(mul(d3, G), mul(c3, g3a))), 'proof of G3a')
            self.smp = {'state': 'ASKED', 'G2a': g2a, 'G3a': g3a}
            self.event('smp_asked', question=question.decode('utf-8', 'replace'))
        elif kind == 3:
            g2b, c2, d2, g3b, c3, d3 = r.point(), r.scalar(), r.scalar(), r.point(), r.scalar(), r.scalar()
            pb, qb, cp, d5, d6 = r.point(), r.point(), r.scalar(), r.scalar(), r.scalar()
            r.done()
            need(c2 == self.smp_hash(3, add(mul(d2, G), mul(c2, g2b))), 'proof of G2b')
            need(c3 == self.smp_hash(4, add(mul(d3, G), mul(c3, g3b))), 'proof of G3b')
            g2, g3 = mul(s['a2'], g2b), mul(s['a3'], g3b)
            need(cp == self.smp_hash(5, add(mul(d5, g3), mul(cp, pb)),
                                     add(add(mul(d5, G), mul(d6, g2)), mul(cp, qb))), 'proof of Pb and Qb')
            r4, r5, r6, r7 = (self.scalar('smp3.r%d' % n) for n in (4, 5, 6, 7))
            pa, qa = mul(r4, g3), add(mul(r4, G), mul(s['x'], g2))
            need(not same_point(pa, pb) and not same_point(qa, qb), 'values repeated')
            cp = self.smp_hash(6, mul(r5, g3), add(mul(r5, G), mul(r6, g2)))
            qd = add(qa, negate(qb))
            ra = mul(s['a3'], qd)
            cr = self.smp_hash(7, mul(r7, G), mul(r7, qd))
            self.trace_points('smp.', G2=g2, G3=g3, Pa=pa, Qa=qa, Ra=ra)
            s.update(state='EXPECT4', Pd=add(pa, negate(pb)), Qd=qd, G3b=g3b)
            self.smp_send(4, point_bytes(pa) + point_bytes(qa) + scalar_bytes(cp) + scalar_bytes(r5 - r4 * cp) +
                          scalar_bytes(r6 - s['x'] * cp) + point_bytes(ra) + scalar_bytes(cr) +
                          scalar_bytes(r7 - s['a3'] * cr))
        elif kind == 4:
            pa, qa, cp, d5, d6 = r.point(), r.point(), r.scalar(), r.scalar(), r.scalar()
            ra, cr, d7 = r.point(), r.scalar(), r.scalar()
            r.done()
            qd = add(qa, negate(s['Qb']))
            need(not same_point(pa, s['Pb']) and not same_point(qa, s['Qb']), 'values repeated')
            need(cp == self.smp_hash(6, add(mul(d5, s['G3']), mul(cp, pa)),
                                     add(add(mul(d5, G), mul(d6, s['G2'])), mul(cp, qa))), 'proof of Pa and Qa')
            need(cr == self.smp_hash(7, add(mul(d7, G), mul(cr, s['G3a'])), add(mul(d7, qd), mul(cr, ra))), 'proof of Ra')
            r7 = self.scalar('smp4.r7')
            rb, rab = mul(s['b3'], qd), mul(s['b3'], ra)
            cr = self.smp_hash(8, mul(r7, G), mul(r7, qd))
            self.trace_points('smp.', Rb=rb, Rab=rab)
            self.smp = {'state': 'EXPECT1'}
            self.smp_send(5, point_bytes(rb) + scalar_bytes(cr) + scalar_bytes(r7 - s['b3'] * cr))
            self.event('smp', result=same_point(rab, add(pa, negate(s['Pb']))))
        elif kind == 5:
            rb, cr, d7 = r.point(), r.scalar(), r.scalar()
            r.done()
            need(cr == self.smp_hash(8, add(mul(d7, G), mul(cr, s['G3b'])), add(mul(d7, s['Qd']), mul(cr, rb))), 'proof of Rb')
            rab = mul(s['a3'], rb)
            self.trace_points('smp.', Rab=rab)
            self.smp = {'state': 'EXPECT1'}
            self.event('smp', result=same_point(rab, s['Pd']))

    def trace_points(self, prefix, **points):
        for name, value in points.items():
            self.trace(prefix + name, point_bytes(value))

    # what a caller may do

    @step
    def query(self, text='?OTRv4?'):
        self.send(text)

    @step
    def start_identity(self):
        """Begin with an Identity message, without a query."""
        self.send_identity()

    @step
    def receive(self, line):
        """One line from the network."""
        self.unreadable_ok = 1
        try:
            if line.startswith('?OTR|'):
                line = self.assembler.add(line, self.tag)
                if line is None:
                    return
                self.record['reassembled'] = line
            self.receive_whole(line)
        except ProtocolError as e:
            self.event('error', why=str(e))
            if not self.unreadable_ok:
                self.send('?OTR Error: ERROR_1: Unreadable message')

    def receive_whole(self, line):
        if line.startswith('?OTR:'):
            need(line.endswith('.'), 'message without its final dot')
            try:
                message = base64.b64decode(line[5:-1], validate=True)
            except ValueError:
                raise ProtocolError('bad base-64')
            r = Reader(message)
            version, kind, sender, receiver = r.short(), r.byte(), r.int(), r.int()
            need(version == 4, 'version %d' % version)
            need(sender >= 0x100 and (receiver >= 0x100 or receiver == 0), 'instance tag too small')
            need(receiver == self.tag or (receiver == 0 and kind == IDENTITY_MESSAGE), 'for another instance')
            self.record['kind'] = {IDENTITY_MESSAGE: 'identity', AUTH_R: 'auth-r', AUTH_I: 'auth-i', DATA: 'data'}.get(kind, 'unknown')
            if kind == DATA:
                self.receive_data(sender, message, r)
            else:
                handler = {IDENTITY_MESSAGE: self.receive_identity, AUTH_R: self.receive_auth_r, AUTH_I: self.receive_auth_i}
                need(kind in handler, 'message type 0x%02x' % kind)
                before = {k: v for k, v in self.__dict__.items() if k not in ('log', 'record', 'random')}
                try:
                    handler[kind](sender, r)
                except ProtocolError:
                    self.__dict__.update(before)
                    raise
        elif line.startswith('?OTR Error:'):
            self.event('otr_error', text=line[11:].strip())
        elif query_versions(line) is not None:
            if '4' in query_versions(line) and self.state != ENCRYPTED:
                self.send_identity()
        elif whitespace_versions(line):
            text, versions = whitespace_versions(line)
            self.event('plaintext', text=text)
            if '4' in versions and self.state in (START, FINISHED):
                self.send_identity()
        elif line:
            self.event('plaintext', text=line)

    @step
    def say(self, text, tlvs=b''):
        need(self.state == ENCRYPTED, 'not encrypted')
        line = self.data_message(text, tlvs)
        if self.hostile == 'skip' and not self.hostile_done:
            self.hostile_done, self.held = True, line  # send it after the next one
            return
        self.send(line)
        if self.hostile == 'replay':
            self.send(line)
        if self.held:
            self.send(self.held)
            self.held = None

    @step
    def use_extra_key(self, context, data=b''):
        """Tell the peer that an extra symmetric key is used for `context` (4 bytes): TLV 7, empty text."""
        self.send(self.data_message('', tlv_bytes(7, context + data), True))
        self.event('extra_key_sent', context=context.hex(), base=self.extra_key.hex(),
                   key=kdf(0, 64, context, self.extra_key).hex())

    @step
    def smp_start(self, secret, question=''):
        need(self.state == ENCRYPTED, 'not encrypted')
        x = self.smp_secret(secret, True)
        a2, a3, r2, r3 = (self.scalar('smp1.' + n) for n in ('a2', 'a3', 'r2', 'r3'))
        g2a, g3a = mul(a2, G), mul(a3, G)
        c2, c3 = self.smp_hash(1, mul(r2, G)), self.smp_hash(2, mul(r3, G))
        self.trace_points('smp.', G2a=g2a, G3a=g3a)
        self.smp = {'state': 'EXPECT2', 'x': x, 'a2': a2, 'a3': a3}
        self.smp_send(2, data_bytes(question.encode()) + point_bytes(g2a) + scalar_bytes(c2) + scalar_bytes(r2 - a2 * c2) +
                      point_bytes(g3a) + scalar_bytes(c3) + scalar_bytes(r3 - a3 * c3))

    @step
    def smp_answer(self, secret):
        s = self.smp
        need(s['state'] == 'ASKED', 'no SMP question')
        y = self.smp_secret(secret, False)
        b2, b3, r2, r3, r4, r5, r6 = (self.scalar('smp2.' + n) for n in ('b2', 'b3', 'r2', 'r3', 'r4', 'r5', 'r6'))
        c2, c3 = self.smp_hash(3, mul(r2, G)), self.smp_hash(4, mul(r3, G))
        g2b, g3b, g2, g3 = mul(b2, G), mul(b3, G), mul(b2, s['G2a']), mul(b3, s['G3a'])
        pb, qb = mul(r4, g3), add(mul(r4, G), mul(y, g2))
        cp = self.smp_hash(5, mul(r5, g3), add(mul(r5, G), mul(r6, g2)))
        self.trace_points('smp.', G2b=g2b, G3b=g3b, G2=g2, G3=g3, Pb=pb, Qb=qb)
        s.update(state='EXPECT3', b3=b3, G2=g2, G3=g3, Pb=pb, Qb=qb)
        self.smp_send(3, point_bytes(g2b) + scalar_bytes(c2) + scalar_bytes(r2 - b2 * c2) + point_bytes(g3b) +
                      scalar_bytes(c3) + scalar_bytes(r3 - b3 * c3) + point_bytes(pb) + point_bytes(qb) + scalar_bytes(cp) +
                      scalar_bytes(r5 - r4 * cp) + scalar_bytes(r6 - y * cp))

    @step
    def smp_abort(self):
        self.abort_smp()

    @step
    def end(self):
        """Send the Disconnected TLV, with every MAC key that is still to be revealed."""
        if self.state == ENCRYPTED:
            self.send(self.data_message('', tlv_bytes(1), True, last=True))
            self.event('ended', by='us')
        self.state, self.ratchet = START, None

    # a record of everything

    def dump(self):
        return {'account': self.account, 'contact': self.contact, 'tag': self.tag, 'fragments': self.fragments,
                'smp_bytes': self.smp_bytes, 'identity_symmetric': self.identity.symmetric.hex(),
                'identity_secret': scalar_bytes_raw(self.identity.secret), 'identity_public': self.identity.bytes.hex(),
                'forging_symmetric': self.forging.symmetric.hex(), 'forging_public': self.forging.bytes.hex(),
                'profile': self.raw_profile.hex(), 'fingerprint': self.profile.fingerprint().hex(), 'steps': self.log}


def scalar_bytes_raw(k):
    """57 bytes, little-endian, as pruned and not reduced modulo q (secret scalars)."""
    return k.to_bytes(57, 'little').hex()


# --- the program ----------------------------------------------------------------

HOSTILE = {
    'bad-profile-signature': 'one bit of the client profile signature flipped',
    'expired-profile': 'client profile that expired a minute ago',
    'wrong-profile-tag': 'client profile of another instance tag',
    'duplicate-profile-field': 'client profile with its expiration twice, signed',
    'low-order-point': 'Y or X of order 4',
    'order-two-point': 'Y or X of order 2',
    'identity-point': 'Y or X is the identity',
    'mixed-order-point': 'Y or X plus the point of order 2',
    'bad-dh': 'B or A is p-1',
    'bad-dh-one': 'B or A is 1',
    'bad-dh-nonresidue': 'B or A is p-2, in range but not in the subgroup',
    'bad-dh-large': 'B or A is p',
    'bad-ring-signature': 'one bit of the ring signature flipped',
    'wrong-instance-tag': 'data messages for another receiver',
    'bad-mac': 'one bit of the MAC of the first text flipped',
    'replay': 'every text is sent twice',
    'skip': 'the first text is sent after the second',
    'low-order-ratchet': 'data messages of later ratchets carry a point of order 4',
}


class Program:
    def __init__(self, options):
        self.o = options
        seed = bytes.fromhex(options.seed) if options.seed is not None else None
        random = Random(seed)
        identity, forging = KeyPair(random.draw(57, 'identity')), KeyPair(random.draw(57, 'forging'))
        tag = options.tag or 0x100 + int.from_bytes(random.draw(3, 'tag'), 'big')
        account = None if options.no_accounts else options.account
        clock = (lambda: options.now) if options.now is not None else time.time
        self.c = Conversation(identity, forging, tag, account, options.contact, random, clock,
                              fragments=options.fragment, hostile=options.hostile, smp_bytes=64 if options.smp64 else 57)
        self.c.literal = options.literal
        self.to_say = list(options.say)
        self.texts = self.smp_results = 0
        self.ended = self.smp_started = False
        self.report({'event': 'ready', 'tag': '%08x' % tag, 'fingerprint': self.c.profile.fingerprint().hex()})

    def report(self, event):
        sys.stderr.write(json.dumps(event) + '\n')
        sys.stderr.flush()

    def do(self, method, *args):
        lines = getattr(self.c, method)(*args)
        events = list(self.c.record['events'])
        for line in lines:
            sys.stdout.write(line + '\n')
        sys.stdout.flush()
        for event in events:
            self.report(event)
            self.react(event)

    def react(self, event):
        kind, o = event['event'], self.o
        if kind == 'secure':
            self.say(None if not o.turns else 1)
            if not (o.turns and o.say):
                self.start_smp()
            if o.extra_key:
                self.do('use_extra_key', bytes.fromhex(o.extra_key[:8]), bytes.fromhex(o.extra_key[8:]))
        elif kind == 'text':
            self.texts += 1
            if o.echo and self.c.state == ENCRYPTED:
                self.do('say', 'echo: ' + event['text'])
            if o.turns:
                if not self.to_say:
                    self.start_smp()
                self.say(1)
        elif kind == 'smp_asked' and o.smp_answer is not None:
            self.do('smp_answer', o.smp_answer)
        elif kind == 'smp':
            self.smp_results += 1
        elif kind == 'ended':
            self.ended = True
        enough = [self.texts >= o.end_after] if o.end_after is not None else []
        enough += [self.smp_results > 0] if o.end_after_smp else []
        if enough and all(enough) and not self.to_say and self.c.state == ENCRYPTED:
            self.do('end')

    def start_smp(self):
        if self.o.smp_secret is not None and not self.smp_started and self.c.state == ENCRYPTED:
            self.smp_started = True
            self.do('smp_start', self.o.smp_secret, self.o.smp_question)

    def say(self, count):
        while self.to_say and count != 0 and self.c.state == ENCRYPTED:
            self.do('say', self.to_say.pop(0))
            count = None if count is None else count - 1

    def run(self):
        if self.o.query:
            self.do('query')
        if self.o.identity:
            self.do('start_identity')
        if self.o.whitespace is not None:
            self.do('query', self.o.whitespace + WHITESPACE_BASE + WHITESPACE_V4)
        while not self.ended:
            line = sys.stdin.buffer.readline()
            if not line:
                break
            self.do('receive', line.decode('utf-8', 'replace').rstrip('\r\n'))
        return 0 if self.ended else 1

    def save(self):
        if self.o.dump:
            with open(self.o.dump, 'w') as f:
                json.dump(self.c.dump(), f, indent=1)


def main():
    a = argparse.ArgumentParser(description='An OTRv4 peer for tests: network lines on stdin and stdout, events on stderr.',
                                epilog='hostile kinds: ' + '; '.join('%s: %s' % kv for kv in HOSTILE.items()))
    a.add_argument('--query', action='store_true', help='begin with ?OTRv4?')
    a.add_argument('--identity', action='store_true', help='begin with an Identity message')
    a.add_argument('--whitespace', metavar='TEXT', help='begin with TEXT and a whitespace tag')
    a.add_argument('--say', metavar='TEXT', action='append', default=[], help='send when secure; may be repeated')
    a.add_argument('--turns', action='store_true', help='send each --say only after a text arrived (the first at once), then start SMP; never both sides at once')
    a.add_argument('--echo', action='store_true', help="answer every text with 'echo: ' and the text")
    a.add_argument('--smp-secret', metavar='S', help='start SMP when secure')
    a.add_argument('--smp-question', metavar='Q', default='')
    a.add_argument('--smp-answer', metavar='S', help='answer SMP with S')
    a.add_argument('--literal', action='store_true', help='answer every Identity message, repeated ones too, with a new Auth-R, as otr4j and otrr do')
    a.add_argument('--smp64', action='store_true', help='SMP secret of 64 bytes, not pruned (not as specified)')
    a.add_argument('--extra-key', metavar='HEX', help='when secure send TLV 7 with this context (4 bytes) and data')
    a.add_argument('--end-after', metavar='N', type=int, help='end after N texts arrived and all --say are sent')
    a.add_argument('--end-after-smp', action='store_true', help='end after an SMP result')
    a.add_argument('--fragment', metavar='N', type=int, default=0, help='split each message sent into N pieces')
    a.add_argument('--account', default='alice@localhost', help="our part of phi' (default %(default)s)")
    a.add_argument('--contact', default='bob@localhost', help="the peer's part of phi' (default %(default)s)")
    a.add_argument('--no-accounts', action='store_true', help="leave phi' out altogether")
    a.add_argument('--tag', type=lambda s: int(s, 0), help='own instance tag')
    a.add_argument('--seed', metavar='HEX', help='deterministic randomness')
    a.add_argument('--now', type=int, help='seconds since 1970, instead of the clock')
    a.add_argument('--dump', metavar='FILE', help='write every secret and value to FILE at the end')
    a.add_argument('--hostile', choices=sorted(HOSTILE), metavar='KIND', help='misbehave, see below')
    a.add_argument('--timeout', type=int, metavar='SECONDS', help='give up with exit status 3')
    sys.stdout.reconfigure(encoding='utf-8', newline='\n')
    program = Program(a.parse_args())

    def give_up(signum, frame):
        program.report({'event': 'timeout'})
        program.save()
        os._exit(3)

    if program.o.timeout:
        signal.signal(signal.SIGALRM, give_up)
        signal.alarm(program.o.timeout)
    try:
        status = program.run()
        signal.alarm(0)
    except BrokenPipeError:
        signal.alarm(0)
        status = 0 if program.ended else 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    program.save()
    sys.exit(status)


if __name__ == '__main__':
    main()
