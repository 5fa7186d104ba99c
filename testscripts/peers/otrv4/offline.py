#!/usr/bin/env python3
"""OTRv4 to somebody who is away: prekey ensembles and the non-interactive DAKE, for tests.

    python3 offline.py publish -n 3 --store bob.json > ensembles
    python3 offline.py send --to ensembles --text 'hello' --text 'bye' > lines
    python3 offline.py receive --store bob.json < lines

`send --open --store alice.json` leaves the session open; then `answer --store bob.json
--text ... > back` and `receive --store alice.json < back` go on with it, both ways.

Standard output carries lines for the network, standard error events, one JSON object a
line. Exit status: 0 all of it succeeded (`receive`: every conversation of the input ended
with an authenticated Disconnected message and nothing was missing or refused), 1 not,
2 wrong usage.

Written from the OTRv4 specification, and NOT FOR PRIVACY: nothing is constant time or
wiped, and the store holds every secret in clear. Where the specification leaves a choice
open, the choice is marked "OFFLINE:" below. Data messages,
the online DAKE, SMP and fragments are those of peer.py beside this file.

The publisher is Bob and the sender Alice, as in the specification.
"""
import argparse
import base64
import json
import os
import re
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import peer as o4  # noqa: E402
from peer import (ENCRYPTED, FINISHED, IDENTITY, P, Q, KeyPair, Profile, ProtocolError, Reader,  # noqa: E402
                        add, data_bytes, dh_value, kdf, little, mpi_bytes, mul, need, point, point_bytes, scalar_bytes, step)

PREKEY_MESSAGE, NON_INTERACTIVE_AUTH = 0x0f, 0x0d
SHARED_PREKEY_TYPE = b'\x11\0'  # little-endian, as the other key types
DAY, WEEK = 86400, 7 * 86400
GRACE = DAY  # how long own profiles and prekeys still serve after they expired
LONGEST = 30 * DAY  # no profile of ours lives longer for the sake of a peer's prekey profile
MAX_ENSEMBLES = MAX_EARLY = 1000


# --- what a publisher hands out -------------------------------------------------

def make_prekey_profile(tag, identity, shared, expires):
    """PREKEY-PROF: the signature covers everything before it."""
    fields = struct.pack('>Iq', tag, expires) + SHARED_PREKEY_TYPE + shared
    return fields + identity.sign(fields)


class PrekeyProfile:
    """A parsed PREKEY-PROF. D is decoded only by validate: the specification checks it last."""

    @classmethod
    def read(cls, reader):
        self, start = cls(), reader.at
        self.tag, self.expires = reader.int(), struct.unpack('>q', reader.take(8))[0]
        need(reader.take(2) == SHARED_PREKEY_TYPE, 'prekey profile: key type')
        self.shared = reader.take(57)
        self.signed = reader.data[start:reader.at]
        self.signature = reader.take(114)
        self.raw = reader.data[start:reader.at]
        return self

    def validate(self, owner, sender_tag, now):
        """owner: the long-term key of the client profile. A prekey profile names no key, so that
        "is signed by the key stated in the client profile" is this check and no second one."""
        need(o4.eddsa_verify(owner, self.signed, self.signature), 'prekey profile: bad signature')
        need(self.tag == sender_tag, 'prekey profile: not of the sender (instance tag)')
        need(self.expires > now, 'prekey profile: expired')
        self.D = point(self.shared)
        return self


def make_prekey_message(number, tag, y, b):
    return struct.pack('>HBII', 4, PREKEY_MESSAGE, number, tag) + point_bytes(y) + mpi_bytes(b)


def skim_profile(reader):
    """The bytes of a client profile, and its instance tag or None. Checks lengths alone: an
    ensemble's instance tags are compared before anything in it is verified."""
    start, tag = reader.at, None
    for _ in range(reader.int()):
        kind = reader.short()
        if kind == 1:
            tag = reader.int()
        elif kind in (2, 3):
            reader.take(59)
        elif kind == 4:
            reader.data_()
        elif kind == 5:
            reader.take(8)
        elif kind == 6:
            reader.take(2)
            for _ in range(4):
                reader.data_()
        else:
            need(kind == 7, 'profile: unknown field %d' % kind)
            reader.take(40)
    reader.take(114)
    return reader.data[start:reader.at], tag


class Ensemble:
    """One client profile, one prekey profile, one prekey message, in this order, as in the
    prekey server's Prekey Ensemble Retrieval message."""

    def __init__(self, data):
        r = Reader(data)
        self.raw = data
        self.raw_profile, self.profile_tag = skim_profile(r)
        self.prekey_profile = PrekeyProfile.read(r)
        # The header of a prekey message is the same in every version; the rest depends on it.
        self.message_at = r.at
        self.version, self.kind, self.id, self.tag = r.short(), r.byte(), r.int(), r.int()
        self.values = data[r.at:]

    def validate(self, now):
        """In the order of "Validating Prekey Ensembles". Its last two steps (the version of the
        message is in the client profile, and we speak it) say nothing new: both must be 4."""
        need(self.profile_tag == self.prekey_profile.tag == self.tag, 'ensemble: instance tags differ')
        need(self.tag >= 0x100, 'ensemble: instance tag too small')
        self.profile = Profile.read(Reader(self.raw_profile)).validate(self.tag, now)
        self.prekey_profile.validate(self.profile.H, self.tag, now)
        need(self.kind == PREKEY_MESSAGE, 'prekey message: type 0x%02x' % self.kind)
        need(self.version == 4, 'prekey message: version %d' % self.version)
        r = Reader(self.values)
        self.Y, self.B = r.point(), dh_value(r.mpi())
        r.done()
        return self

    def owner(self):
        return self.profile.fingerprint(), self.tag

    def digest(self):
        return o4.shake(32, self.raw).hex()


def armour(data):
    return '?OTRP:' + base64.b64encode(data).decode() + '.'


def dearmour(text):
    """One armoured ensemble; white space inside does not matter."""
    need(text.startswith('?OTRP:') and text.endswith('.'), 'ensemble: no final dot')
    try:
        return base64.b64decode(re.sub(r'\s', '', text[6:-1]), validate=True)
    except ValueError:
        raise ProtocolError('ensemble: bad base-64')


def read_ensembles(text, now):
    """All ensembles of a file, whatever stands around them: (valid ones, reasons of the others)."""
    valid, refused, seen = [], [], set()
    for number, piece in enumerate(text.split('?OTRP:')[1:], 1):
        try:
            need(number <= MAX_ENSEMBLES, 'too many ensembles')
            end = piece.find('.')
            e = Ensemble(dearmour('?OTRP:' + (piece[:end + 1] if end >= 0 else piece)))
            e.number = number
            need(e.raw not in seen, 'ensemble: the same again')
            seen.add(e.raw)
            valid.append(e.validate(now))
        except ProtocolError as error:
            refused.append((number, str(error)))
    # OFFLINE: one prekey identifier with two contents is somebody's mischief: use neither.
    names = [(point_bytes(e.profile.H), e.tag, e.id) for e in valid]
    for e, name in list(zip(valid, names)):
        same = [other for other, n in zip(valid, names) if n == name]
        if len({other.raw[other.message_at:] for other in same}) > 1:
            refused.append((e.number, 'ensemble: another prekey with the same identifier'))
    bad = {n for n, _ in refused}
    return [e for e in valid if e.number not in bad], sorted(refused)


# --- what both sides compute ----------------------------------------------------

def offline_phi(tags, first, accounts):
    """OFFLINE: the publisher has no first keys, so those of the sender stand alone; the sender
    comes first, nothing is sorted; accounts: (sender's, publisher's), or None for no phi'."""
    phi = struct.pack('>II', *tags) + point_bytes(first[0]) + mpi_bytes(first[1])
    return phi + (b''.join(data_bytes(a.encode()) for a in accounts) if accounts else b'')


def offline_t(publisher_profile, sender_profile, y, x, b, a, d, phi):
    """OFFLINE: no byte in front as in the interactive t; D is the bare POINT."""
    return (kdf(o4.NI_BOB, 64, publisher_profile) + kdf(o4.NI_ALICE, 64, sender_profile) + point_bytes(y) + point_bytes(x) +
            mpi_bytes(b) + mpi_bytes(a) + point_bytes(d) + kdf(o4.NI_PHI, 64, phi))


class OfflineRatchet(o4.Ratchet):
    """The double ratchet after the non-interactive DAKE. K itself gives root and chain key: the
    first ratchet mixes nothing in, and usage_first_root_key is not used.

    OFFLINE: i is 1 at once, so that the publisher's first ratchet has the id 1 and only hashes
    the brace key of the DAKE on; the text deletes that key and then needs it."""

    def __init__(self, own, mixed, brace, ours, theirs, first):
        self.ec, self.public_ec, self.dh, self.public_dh = ours
        self.their_ec, self.their_dh = theirs
        self.i, self.j, self.k, self.pn = 1, 0, 0, 0
        self.receive_id, self.skipped, self.reveal, self.brace = 0, {}, b'', brace
        self.root, chain = kdf(o4.ROOT_KEY, 64, mixed), kdf(o4.CHAIN_KEY, 64, mixed)
        self.send_key, self.receive_key, self.next = (chain, None, 'receive') if first == 'send' else (None, chain, 'send')
        own.trace('root_key', self.root)
        own.trace('chain_key_s' if first == 'send' else 'chain_key_r', chain)


# --- one person: identity, prekeys, sessions ---------------------------------------

SESSION = ('state', 'their_tag', 'their_profile', 'role', 'ratchet', 'smp', 'ssid')


class Offline(o4.Conversation):
    """A Conversation that can also publish, write to ensembles and read what was written.

    OFFLINE: it keeps one session for each Non-Interactive-Auth message; the attributes named in
    SESSION are those of the current one, the last that was used. An online DAKE has a session of
    its own, so that nobody can disturb the others with one. `pairs` are the published pairs
    of profiles, oldest first; `prekeys` the unused ones by identifier; `gone` says why others are
    no longer there."""

    def __init__(self, identity, forging, tag, account=None, contact=None, random=None, now=None,
                 expires=None, fragments=0, hostile=None):
        self.session = self.online = dict.fromkeys(SESSION)
        self.sessions = []
        self.pairs, self.prekeys, self.gone, self.early, self.spent = [], {}, {}, [], []
        super().__init__(identity, forging, tag, account, contact, random, now, expires, fragments, hostile)
        self.expires = expires or int(self.now()) + WEEK
        self.ssid = None

    # the publisher

    def forget(self):
        """Delete profiles, their shared prekey and their prekeys a day after they expired."""
        now = self.now()
        for pair in [p for p in self.pairs if p['expires'] + GRACE <= now]:
            self.pairs.remove(pair)
            for number in [n for n, k in self.prekeys.items() if k['pair'] is pair]:
                del self.prekeys[number]
                self.gone[number] = 'expired'

    @step
    def publish(self, count, lifetime=WEEK):
        """Make `count` prekeys and send their ensembles."""
        self.forget()
        now = int(self.now())
        if not self.pairs or self.pairs[-1]['expires'] - now < lifetime // 2:
            shared, expires = KeyPair(self.draw(57, 'shared_prekey')), now + lifetime
            self.pairs.append({
                'expires': expires, 'shared': shared,
                'client': o4.make_profile(self.tag, self.identity, self.forging, expires),
                'prekey': make_prekey_profile(self.tag, self.identity, shared.bytes, expires)})
            self.trace('D', shared.bytes)
        pair = self.pairs[-1]
        for _ in range(count):
            number = 0
            while number == 0 or number in self.prekeys or number in self.gone:
                number = int.from_bytes(self.draw(4, 'prekey.id'), 'big')
            (y, public_y), (b, public_b) = self.new_ecdh('y'), self.new_dh('b')
            self.prekeys[number] = {'pair': pair, 'y': y, 'Y': public_y, 'b': b, 'B': public_b}
            for line in self.hostile_ensemble(pair, number, public_y, public_b):
                self.send(line)

    def hostile_ensemble(self, pair, number, y, b):
        """The armoured ensemble; spoilt as self.hostile says, with every signature made right again."""
        h, tag, now = self.hostile or '', self.tag, int(self.now())
        owner, shared, expires, versions, kind, version = self.identity, pair['shared'].bytes, pair['expires'], b'4', PREKEY_MESSAGE, 4
        tags = [tag, tag, tag]  # client profile, prekey profile, prekey message
        if h in TAGS:
            tags[TAGS[h]] ^= 1
        if h == 'small-tag':
            tags = [0xff] * 3
        if h == 'prekey-profile-by-another-key':
            owner = self.forging
        if h == 'expired-prekey-profile':
            expires = now - 60
        if h == 'version-3-profile':
            versions = b'3'
        client_expires = now - 60 if h == 'expired-profile' else pair['expires']
        if h == 'message-type':
            kind = NON_INTERACTIVE_AUTH
        if h == 'message-version':
            version = 5
        if h.startswith('shared-'):
            shared = point_bytes(bad_point(h[7:], pair['shared'].public))
        y, b = bad_point(h, y), BAD_DH.get(h, b)
        if h == 'shared-prekey-type':
            fields = struct.pack('>Iq', tag, expires) + b'\0\x11' + pair['shared'].bytes
            prekey = fields + self.identity.sign(fields)
        else:
            prekey = make_prekey_profile(tags[1], owner, shared, expires)
        client = o4.make_profile(tags[0], self.identity, self.forging, client_expires, versions)
        if h == 'duplicate-profile-field':
            client = o4.make_profile(tag, self.identity, self.forging, expires, b'4', b'\0\5' + struct.pack('>q', expires), 1)
        if h == 'bad-profile-signature':
            client = flip(client, -60)
        if h == 'bad-prekey-profile-signature':
            prekey = flip(prekey, -60)
        message = struct.pack('>HBII', version, kind, number, tags[2]) + point_bytes(y) + mpi_bytes(b)
        if h == 'trailing-byte':
            message += b'\0'
        if h == 'truncated':
            message = message[:-1]
        line = armour(client + prekey + message)
        if h == 'no-final-dot':
            line = line[:-1]
        if h == 'bad-base-64':
            line = line[:40] + '-' + line[41:]
        if h == 'same-identifier':
            return [line, armour(client + prekey + make_prekey_message(number, tag, mul(3, y), b))]
        return [line] * 2 if h == 'duplicate' else [line]

    # the sender

    @step
    def write(self, ensemble):
        """Open a session with one ensemble (armoured): send the Non-Interactive-Auth message."""
        self.session = dict(dict.fromkeys(SESSION), state=o4.START, smp={'state': 'EXPECT1'})
        e = Ensemble(dearmour(ensemble))
        e.validate(0 if self.hostile == 'expired-prekey-profile' else self.now())
        if e.digest() not in self.spent:
            self.spent.append(e.digest())
        self.their_tag, self.their_profile = e.tag, e.profile
        # OFFLINE: the publisher refuses an expired profile of ours, and may read as late as a day
        # after his own expired; so ours must last as long.
        wanted = min(e.prekey_profile.expires, int(self.now()) + LONGEST) + GRACE
        if self.expires < wanted and self.hostile not in PROFILES and self.hostile != 'wrong-profile-tag':
            self.expires = max(wanted, int(self.now()) + WEEK)
            self.raw_profile = self.profile.raw = o4.make_profile(self.tag, self.identity, self.forging, self.expires)
        self.dake_keys('alice')
        self.public_dh = BAD_DH.get(self.hostile, self.public_dh)
        if (self.hostile or '').startswith('first-'):
            self.public_ec1 = bad_point(self.hostile[6:], self.public_ec1)
            self.public_dh1 = BAD_DH.get(self.hostile[6:], self.public_dh1)
        d = KeyPair(bytes(57)).public if self.hostile == 'other-shared-prekey' else e.prekey_profile.D

        k_ecdh, k_dh = self.exchange(self.ec, e.Y, self.dh, e.B, True)
        brace = kdf(o4.THIRD_BRACE_KEY, 32, k_dh)
        tmp_k, mac_key = self.tmp_key(k_ecdh, mul(self.ec, d), mul(self.ec, e.profile.H), brace)
        t = self.offline_transcript(e.raw_profile, self.raw_profile, (e.Y, self.public_ec, e.B, self.public_dh, d),
                                    (self.tag, e.tag), (self.public_ec1, self.public_dh1), (self.account, self.contact))
        sigma = self.sign(1, [e.profile.F, self.identity.public, e.Y], t)
        if self.hostile == 'large-scalar':
            sigma = (little(sigma[:57]) + Q).to_bytes(57, 'little') + sigma[57:]
        mac = kdf(o4.AUTH_MAC, 64, mac_key, t)
        self.trace('auth_mac', mac)
        self.send_auth(e, sigma, mac)
        self.start(tmp_k, brace, (self.ec1, self.public_ec1, self.dh1, self.public_dh1), (e.Y, e.B), 'send', e.id)

    def send_auth(self, e, sigma, mac):
        h, number, first, receiver, sender = self.hostile, e.id, self.public_ec1, e.tag, self.tag
        if h == 'bad-auth-mac':
            mac = flip(mac, -1)
        if h == 'wrong-prekey-id':
            number ^= 1
        if h == 'changed-first-key':
            first = mul(3, first)
        if h == 'wrong-receiver-tag':
            receiver ^= 1
        if h == 'zero-receiver-tag':
            receiver = 0
        if h == 'wrong-sender-tag':
            sender ^= 1
        message = (struct.pack('>HBII', 4, NON_INTERACTIVE_AUTH, sender, receiver) + self.raw_profile +
                   point_bytes(self.public_ec) + mpi_bytes(self.public_dh) + sigma + struct.pack('>I', number) + mac +
                   point_bytes(first) + mpi_bytes(self.public_dh1))
        if h == 'attached-message':
            message += data_bytes(b'hello')
        if h == 'truncated-auth':
            message = message[:-1]
        for _ in range(2 if h == 'replay' else 1):
            self.send(self.encode(message))

    # both

    def tmp_key(self, k_ecdh, k_shared, k_identity, brace):
        """(tmp_k, auth_mac_k). The two further ECDH results are POINTs too."""
        self.trace('brace_key', brace)
        self.trace('K_shared_prekey', point_bytes(k_shared))
        self.trace('K_identity', point_bytes(k_identity))
        tmp_k = kdf(o4.TMP_KEY, 64, k_ecdh, point_bytes(k_shared), point_bytes(k_identity), brace)
        mac_key = kdf(o4.AUTH_MAC_KEY, 64, tmp_k)
        self.trace('tmp_k', tmp_k)
        self.trace('auth_mac_k', mac_key)
        return tmp_k, mac_key

    def offline_transcript(self, publisher_profile, sender_profile, keys, tags, first, accounts):
        phi = offline_phi(tags, first, accounts if self.account is not None else None)
        t = offline_t(publisher_profile, sender_profile, *keys, phi)
        self.trace('phi', phi)
        self.trace('t', t)
        return t

    def start(self, tmp_k, brace, ours, theirs, first, number):
        """The DAKE is complete: SSID and ratchet. self.session is the new session."""
        mixed = kdf(o4.SHARED_SECRET, 64, tmp_k)
        self.ssid = kdf(o4.SSID, 8, mixed)
        self.trace('K', mixed)
        self.trace('ssid', self.ssid)
        self.ratchet = OfflineRatchet(self, mixed, brace, ours, theirs, first)
        self.state, self.role, self.smp = ENCRYPTED, 'alice' if first == 'send' else 'bob', {'state': 'EXPECT1'}
        self.sessions = [s for s in self.sessions if s['ratchet']] + [self.session]
        self.event('secure', version=4, fingerprint=self.their_profile.fingerprint().hex(), ssid=self.ssid.hex(),
                   bold='first' if first == 'send' else 'second', own_fingerprint=self.profile.fingerprint().hex(),
                   tag='%08x' % self.tag, their_tag='%08x' % self.their_tag, prekey='%08x' % number)

    def send_identity(self):
        self.online['their_tag'] = self.their_tag  # to the same instance
        self.session = self.online
        super().send_identity()

    def secure(self, first):
        super().secure(first)
        self.sessions = [s for s in self.sessions if s is not self.online] + [self.online]

    # receiving

    @step
    def receive(self, line):
        """One line. Unlike online, nothing is answered to what cannot be read: nobody waits, and
        the answer would tell an attacker about it."""
        try:
            if line.startswith('?OTR|'):
                line = self.assembler.add(line, self.tag)
                if line is None:
                    return
                self.record['reassembled'] = line
            self.receive_whole(line)
        except ProtocolError as e:
            self.event('error', why=str(e))

    def receive_whole(self, line):
        """What is neither plain text nor a Non-Interactive-Auth message is the online peer's
        business; the current session is put back if it does not like it."""
        if not line.startswith('?OTR') or o4.query_versions(line) is not None:
            if line:
                self.event('plaintext', text=line)  # a query is not answered: nobody waits
            return
        try:
            message = base64.b64decode(line[5:-1], validate=True) if line.startswith('?OTR:') and line.endswith('.') else b''
        except ValueError:
            message = b''
        if message[:3] != struct.pack('>HB', 4, NON_INTERACTIVE_AUTH):
            current = self.session
            if message[2:3] in (b'\x35', b'\x36', b'\x37'):
                self.session = self.online
            before = dict(self.session)
            try:
                super().receive_whole(line)
            except ProtocolError:
                self.session.update(before)
                self.session = current
                raise
            return
        self.record['kind'] = 'non-interactive-auth'
        r = Reader(message[3:])
        sender, receiver = r.int(), r.int()
        need(sender >= 0x100, 'instance tag too small')
        need(receiver == self.tag, 'for another instance')
        self.receive_auth(sender, r)
        self.retry_early()

    def receive_auth(self, sender, r):
        """Checks in the order of the specification; nothing changes before the last one."""
        raw_profile, _ = skim_profile(r)
        raw_x, a, sigma, number = r.take(57), r.mpi(), r.take(342), r.int()
        mac, raw_first, dh_first = r.take(64), r.take(57), r.mpi()
        r.done()
        x, a, first, dh_first = point(raw_x), dh_value(a), point(raw_first), dh_value(dh_first)
        profile = Profile.read(Reader(raw_profile)).validate(sender, self.now())
        self.forget()
        need(number not in self.gone, 'prekey %s' % self.gone.get(number))
        need(number in self.prekeys, 'no such prekey')
        prekey = self.prekeys[number]
        # OFFLINE: ring signature scalars that are not reduced are refused, as everywhere.
        need(all(little(sigma[n:n + 57]) < Q for n in range(0, 342, 57)), 'scalar out of range')
        pair, t = self.find_pair(prekey, sender, raw_profile, profile, (x, a, first, dh_first), sigma)
        k_ecdh, k_dh = self.exchange(prekey['y'], x, prekey['b'], a, True)
        brace = kdf(o4.THIRD_BRACE_KEY, 32, k_dh)
        tmp_k, mac_key = self.tmp_key(k_ecdh, mul(pair['shared'].secret, x), mul(self.identity.secret, x), brace)
        want = kdf(o4.AUTH_MAC, 64, mac_key, t)
        self.trace('auth_mac', want)
        need(want == mac, 'Non-Interactive-Auth: bad MAC')
        # OFFLINE: only now is the prekey deleted: its identifier is public, and anybody could burn it.
        del self.prekeys[number]
        self.gone[number] = 'used before'
        self.session = dict(dict.fromkeys(SESSION), state=o4.START, their_tag=sender, their_profile=profile)
        self.start(tmp_k, brace, (None, None, None, None), (first, dh_first), 'receive', number)

    def find_pair(self, prekey, sender, raw_profile, profile, values, sigma):
        """(the pair of our profiles that the sender used, t). The message does not name them: the
        one published with the prekey is tried first, then the others that are still kept."""
        x, a, first, dh_first = values
        start = len(self.record['values'])
        for pair in [prekey['pair']] + [p for p in self.pairs[::-1] if p is not prekey['pair']]:
            del self.record['values'][start:]
            t = self.offline_transcript(pair['client'], raw_profile, (prekey['Y'], x, prekey['B'], a, pair['shared'].public),
                                        (sender, self.tag), (first, dh_first), (self.contact, self.account))
            if o4.ring_verify([self.forging.public, profile.H, prekey['Y']], sigma, t):
                return pair, t
        raise ProtocolError('Non-Interactive-Auth: bad ring signature')

    def receive_data(self, sender, message, r):
        """Give a data message to the session whose keys fit: first one that knows its ECDH key,
        then those that wait for a new ratchet, the newest first."""
        at, reasons, start = r.at, [], len(self.record['values'])
        r.take(5)
        ratchet_id, _, key = r.int(), r.int(), r.take(57)
        known, waiting = [], []
        for s in self.sessions[::-1]:
            if s['ratchet'] and s['their_tag'] == sender:
                if key == point_bytes(s['ratchet'].their_ec) or any(k == key for k, _ in s['ratchet'].skipped):
                    known.append(s)
                elif s['ratchet'].next == 'receive' and s['ratchet'].i == ratchet_id:
                    waiting.append(s)
        for s in known + waiting:
            r.at, current, self.session = at, self.session, s
            try:
                super().receive_data(sender, message, r)
                return
            except ProtocolError as e:
                reasons.append(e)
                self.session = current
                del self.record['values'][start:]
        if known or ratchet_id:
            raise reasons[0] if reasons else ProtocolError('data message of no session')
        # It may have overtaken its Non-Interactive-Auth message. OFFLINE: the text stores it, and
        # deletes it when that message comes; here it is tried again then.
        need(len(self.early) < MAX_EARLY, 'too many data messages without a session')
        if message not in self.early:
            self.early.append(message)
        self.event('early', sender='%08x' % sender)

    def retry_early(self):
        # in the order of their message ids, lest a Disconnected message comes before a text
        waiting, self.early = sorted(self.early, key=lambda message: message[20:24]), []
        for message in waiting:
            r = Reader(message)
            r.take(3)
            sender, _ = r.int(), r.int()
            try:
                before = len(self.record['events'])
                self.receive_data(sender, message, r)
                if self.early and self.early[-1] is message:
                    del self.record['events'][before:]  # still early, which is known
            except ProtocolError as e:
                self.event('error', why=str(e))

    @step
    def finish(self):
        """The input ended: data messages for which no session came are lost."""
        for _ in self.early:
            self.event('error', why='data message of no session')
        self.early = []

    def receive_tlvs(self, rest, extra):
        skipped = len(self.ratchet.skipped)
        super().receive_tlvs(rest, extra)
        if self.state == FINISHED:
            self.record['events'][-1]['missing'] = skipped

    # the store

    def save(self):
        return {
            'identity': self.identity.symmetric.hex(), 'forging': self.forging.symmetric.hex(), 'tag': self.tag,
            'pairs': [{'expires': p['expires'], 'shared': p['shared'].symmetric.hex(), 'client': p['client'].hex(),
                       'prekey': p['prekey'].hex()} for p in self.pairs],
            'prekeys': {str(n): {'pair': self.pairs.index(k['pair']), 'y': k['y'], 'b': k['b']} for n, k in self.prekeys.items()},
            'gone': self.gone, 'spent': self.spent, 'early': [m.hex() for m in self.early],
            'sessions': [dump_session(s) for s in self.sessions if s['ratchet']]}

    @classmethod
    def load(cls, v, *args, **named):
        self = cls(KeyPair(bytes.fromhex(v['identity'])), KeyPair(bytes.fromhex(v['forging'])), v['tag'], *args, **named)
        self.pairs = [{'expires': p['expires'], 'shared': KeyPair(bytes.fromhex(p['shared'])),
                       'client': bytes.fromhex(p['client']), 'prekey': bytes.fromhex(p['prekey'])} for p in v['pairs']]
        for n, k in v['prekeys'].items():
            self.prekeys[int(n)] = {'pair': self.pairs[k['pair']], 'y': k['y'], 'Y': mul(k['y'], o4.G),
                                    'b': k['b'], 'B': pow(2, k['b'], o4.DH_P)}
        self.gone, self.spent = {int(n): why for n, why in v['gone'].items()}, v['spent']
        self.early = [bytes.fromhex(m) for m in v['early']]
        for s in v['sessions']:
            self.session = load_session(s)
            self.sessions.append(self.session)
        return self


def current(name):
    """An attribute of the current session."""
    return property(lambda self: self.session[name], lambda self, value: self.session.update({name: value}))


for field in SESSION:
    setattr(Offline, field, current(field))


RATCHET_POINTS, RATCHET_BYTES = ('public_ec', 'their_ec'), ('send_key', 'receive_key', 'brace', 'root', 'reveal')


def dump_session(s):
    ratchet = dict(s['ratchet'].__dict__)
    for name in RATCHET_POINTS:
        ratchet[name] = ratchet[name] and point_bytes(ratchet[name]).hex()
    for name in RATCHET_BYTES:
        ratchet[name] = None if ratchet[name] is None else ratchet[name].hex()
    ratchet['skipped'] = [[key.hex(), n, enc.hex(), extra.hex()] for (key, n), (enc, extra) in s['ratchet'].skipped.items()]
    return {'state': s['state'], 'their_tag': s['their_tag'], 'their_profile': s['their_profile'].raw.hex(), 'role': s['role'],
            'ssid': s['ssid'].hex(), 'ratchet': ratchet}


def load_session(v):
    ratchet, unhex = o4.Ratchet.__new__(o4.Ratchet), bytes.fromhex
    ratchet.__dict__.update(v['ratchet'])
    for name in RATCHET_POINTS:
        setattr(ratchet, name, v['ratchet'][name] and point(unhex(v['ratchet'][name])))
    for name in RATCHET_BYTES:
        setattr(ratchet, name, None if v['ratchet'][name] is None else unhex(v['ratchet'][name]))
    ratchet.skipped = {(unhex(key), n): (unhex(enc), unhex(extra)) for key, n, enc, extra in v['ratchet']['skipped']}
    return {'state': v['state'], 'their_tag': v['their_tag'], 'their_profile': Profile.read(Reader(unhex(v['their_profile']))),
            'role': v['role'], 'ssid': unhex(v['ssid']), 'ratchet': ratchet, 'smp': {'state': 'EXPECT1'}}


# --- misbehaviour -----------------------------------------------------------------

def flip(data, at):
    b = bytearray(data)
    b[at] ^= 1
    return bytes(b)


def bad_point(kind, good):
    return {'low-order-point': (1, 0, 1), 'order-two-point': (0, P - 1, 1), 'identity-point': IDENTITY,
            'mixed-order-point': add(good, (0, P - 1, 1))}.get(kind, good)


BAD_DH = {'bad-dh': o4.DH_P - 1, 'bad-dh-one': 1, 'bad-dh-nonresidue': o4.DH_P - 2, 'bad-dh-large': o4.DH_P, 'bad-dh-zero': 0}
POINTS = {'low-order-point': 'of order 4', 'order-two-point': 'of order 2', 'identity-point': 'the identity',
          'mixed-order-point': 'plus the point of order 2'}
GROUP = {'bad-dh': 'p-1', 'bad-dh-one': '1', 'bad-dh-nonresidue': 'p-2, in range but not in the subgroup',
         'bad-dh-large': 'p', 'bad-dh-zero': '0'}
PROFILES = {'bad-profile-signature': 'one bit of the client profile signature flipped',
            'expired-profile': 'client profile that expired a minute ago',
            'duplicate-profile-field': 'client profile with its expiration twice, signed'}
TAGS = {'wrong-profile-tag': 0, 'wrong-prekey-profile-tag': 1, 'wrong-message-tag': 2}

PUBLISH_HOSTILE = dict(PROFILES, **{
    'wrong-profile-tag': 'client profile of another instance tag than the rest', 'wrong-prekey-profile-tag': 'prekey profile, likewise',
    'wrong-message-tag': 'prekey message, likewise', 'small-tag': 'all three tags 0xff', 'version-3-profile': 'client profile for version 3 alone',
    'bad-prekey-profile-signature': 'one bit of the prekey profile signature flipped',
    'prekey-profile-by-another-key': 'prekey profile signed by another key', 'expired-prekey-profile': 'it expired a minute ago',
    'shared-prekey-type': 'its key type big-endian', 'message-type': 'prekey message of type 0x0D', 'message-version': 'prekey message of version 5',
    'trailing-byte': 'a byte after the end', 'truncated': 'a byte missing at the end', 'no-final-dot': 'armour without its dot',
    'bad-base-64': 'armour with a character that is none', 'same-identifier': 'a second, different prekey with the same identifier',
    'duplicate': 'each ensemble twice (no offence)'})
PUBLISH_HOSTILE.update({k: 'Y ' + v for k, v in POINTS.items()}, **{k: 'B is ' + v for k, v in GROUP.items()})
PUBLISH_HOSTILE.update({'shared-' + k: 'D ' + v for k, v in POINTS.items()})

SEND_HOSTILE = dict(PROFILES, **{
    'wrong-profile-tag': 'client profile of another instance tag', 'bad-ring-signature': 'one bit of the ring signature flipped',
    'large-scalar': 'a scalar of the ring signature plus q', 'bad-auth-mac': 'one bit of the Auth MAC flipped',
    'wrong-prekey-id': 'identifier of no prekey', 'prekey-twice': 'two sessions with one prekey', 'replay': 'every line twice',
    'expired-prekey-profile': 'write to it although it has expired', 'other-shared-prekey': 'another D than the prekey profile has',
    'changed-first-key': 'another first ECDH key than in phi', 'wrong-receiver-tag': 'for another instance', 'zero-receiver-tag': 'for instance 0',
    'wrong-sender-tag': 'sender tag that is not in the profile', 'attached-message': 'bytes after the end', 'truncated-auth': 'a byte missing at the end',
    'bad-mac': 'one bit of the MAC of the first text flipped', 'wrong-instance-tag': 'data messages for another receiver',
    'truncated-last-line': 'the last line cut in its middle', 'no-last-line': 'the last line missing', 'lost-text': 'the first text missing',
    'skip': 'the first text after the second (no offence)', 'data-first': 'Non-Interactive-Auth last but one (no offence)'})
SEND_HOSTILE.update({k: 'X ' + v for k, v in POINTS.items()}, **{k: 'A is ' + v for k, v in GROUP.items()})
SEND_HOSTILE.update({'first-' + k: 'first ECDH key ' + v for k, v in POINTS.items()})
SEND_HOSTILE.update({'first-' + k: 'first DH key is ' + v for k, v in GROUP.items()})


# --- the program --------------------------------------------------------------------

class Program:
    def __init__(self, o):
        self.o, self.ended, self.errors, self.opened = o, 0, 0, 0
        if (o.account is None) != (o.contact is None):
            usage('give both --account and --contact, or neither')
        self.clock = (lambda: o.now) if o.now is not None else time.time
        self.random = o4.Random(bytes.fromhex(o.seed) if o.seed is not None else None)
        named = dict(account=o.account, contact=o.contact, random=self.random, now=self.clock,
                     fragments=getattr(o, 'fragment', 0), hostile=getattr(o, 'hostile', None))
        if o.store and os.path.exists(o.store):
            with open(o.store) as f:
                self.c = Offline.load(json.load(f), **named)
        elif o.command in ('receive', 'answer'):
            usage('no store %s' % o.store)
        else:
            identity, forging = KeyPair(self.random.draw(57, 'identity')), KeyPair(self.random.draw(57, 'forging'))
            tag = o.tag or 0x100 + int.from_bytes(self.random.draw(3, 'tag'), 'big')
            self.c = Offline(identity, forging, tag, **named)
        self.report({'event': 'ready', 'tag': '%08x' % self.c.tag, 'fingerprint': self.c.profile.fingerprint().hex()})

    def report(self, event):
        sys.stderr.write(json.dumps(event) + '\n')
        sys.stderr.flush()
        self.errors += event['event'] == 'error'
        self.opened += event['event'] == 'secure'
        self.ended += event['event'] == 'ended' and not event.get('missing')

    def save(self):
        """Before anything is reported or sent: what was read once must not be readable again."""
        if not self.o.store:
            return
        new = self.o.store + '.new'
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            json.dump(self.c.save(), f)
        os.replace(new, self.o.store)

    def do(self, method, *args):
        """One step; returns its lines."""
        lines = getattr(self.c, method)(*args)
        self.save()
        for event in self.c.record['events']:
            self.report(event)
        return list(lines)

    def write(self, lines):
        for line in lines:
            sys.stdout.write(line + '\n')
        sys.stdout.flush()

    def publish(self):
        if not 1 <= self.o.number <= MAX_ENSEMBLES:
            usage('-n is 1 to %d' % MAX_ENSEMBLES)
        if not self.o.store:
            usage('publish needs --store: without the secrets nobody can read the answer')
        self.write(self.do('publish', self.o.number, self.o.lifetime))
        return 0

    def choose(self):
        """The armoured ensemble to write to, or None."""
        o = self.o
        with open(o.to) as f:
            valid, refused = read_ensembles(f.read(), 0 if o.hostile == 'expired-prekey-profile' else self.clock())
        for number, why in refused:
            self.report({'event': 'refused', 'ensemble': number, 'why': why})
        if o.fingerprint:
            valid = [e for e in valid if e.owner()[0].hex() == o.fingerprint.lower()]
        if o.to_tag:
            valid = [e for e in valid if e.tag == o.to_tag]
        owners = sorted({'%s %08x' % (e.owner()[0].hex(), e.tag) for e in valid})
        if len(owners) > 1:  # OFFLINE: never guess whom to write to
            self.report({'event': 'error', 'why': 'ensembles of several keys or instances: choose one', 'owners': owners})
            return None
        valid = [e for e in valid if e.digest() not in self.c.spent]
        if not valid:
            self.report({'event': 'error', 'why': 'no ensemble that is valid and not used yet'})
            return None
        if o.use:
            valid = [e for e in valid if e.number == o.use]
            if not valid:
                self.report({'event': 'error', 'why': 'no such ensemble'})
                return None
        latest = max(e.prekey_profile.expires for e in valid)
        valid = [e for e in valid if e.prekey_profile.expires == latest]
        # OFFLINE: at random, so that two who share a file seldom take the same.
        pick = int.from_bytes(self.random.draw(8, 'choice'), 'big') % len(valid)
        self.report({'event': 'chosen', 'ensemble': valid[pick].number, 'prekey': '%08x' % valid[pick].id,
                     'fingerprint': valid[pick].owner()[0].hex()})
        return armour(valid[pick].raw)

    def send(self):
        h, ensemble = self.o.hostile, self.choose()
        if ensemble is None:
            return 1
        auth = self.do('write', ensemble)
        texts = [self.do('say', text) for text in self.o.text]
        if h == 'lost-text':
            texts = texts[1:]
        if not self.o.open:
            texts.append(self.do('end'))
        if h == 'replay':  # the peer itself sends texts twice
            texts[-1] = texts[-1] * 2
        if h == 'no-last-line':
            texts = texts[:-1]
        if h == 'truncated-last-line':
            texts[-1][-1] = texts[-1][-1][:len(texts[-1][-1]) // 2]
        if h == 'data-first':
            texts, auth = auth + texts[-1:], [line for lines in texts[:-1] for line in lines]
            texts = [texts[:1], texts[1]]
        self.write(auth)
        for lines in texts:
            self.write(lines)
        if h == 'prekey-twice':
            self.write(self.do('write', ensemble))
            for text in self.o.text:
                self.write(self.do('say', text))
            self.write(self.do('end'))
        return 0

    def receive(self):
        for line in sys.stdin.buffer:
            self.write(self.do('receive', line.decode('utf-8', 'replace').rstrip('\r\n')))
        self.do('finish')
        return 0 if self.ended and self.ended >= self.opened and not self.errors else 1

    def answer(self):
        sessions = [s for s in self.c.sessions if s['ratchet']]
        if not sessions or not 1 <= self.o.session <= len(sessions):
            self.report({'event': 'error', 'why': 'no such session'})
            return 1
        self.c.session = sessions[-self.o.session]
        for text in self.o.text:
            self.write(self.do('say', text))
        if self.o.end:
            self.write(self.do('end'))
        return 0


def usage(why):
    sys.stderr.write('offline.py: %s\n' % why)
    sys.exit(2)


def kinds(table):
    return 'hostile kinds: ' + '; '.join('%s: %s' % kv for kv in table.items())


def main():
    a = argparse.ArgumentParser(description='OTRv4 to somebody who is away, for tests.')
    commands = a.add_subparsers(dest='command', required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument('--store', metavar='FILE', help='identity, prekeys and sessions, in clear')
    common.add_argument('--account', help="our part of phi' (with --contact, or neither)")
    common.add_argument('--contact', help="the peer's part of phi'")
    common.add_argument('--tag', type=lambda s: int(s, 0), help='own instance tag, for a new store')
    common.add_argument('--seed', metavar='HEX', help='deterministic randomness')
    common.add_argument('--now', type=int, help='seconds since 1970, instead of the clock')
    c = commands.add_parser('publish', parents=[common], help='make prekeys, write ensembles', epilog=kinds(PUBLISH_HOSTILE))
    c.add_argument('-n', dest='number', type=int, default=20, help='how many (default %(default)s)')
    c.add_argument('--lifetime', type=int, default=WEEK, metavar='SECONDS', help='of new profiles (default a week)')
    c.add_argument('--hostile', choices=sorted(PUBLISH_HOSTILE), metavar='KIND')
    c = commands.add_parser('send', parents=[common], help='write to an ensemble', epilog=kinds(SEND_HOSTILE))
    c.add_argument('--to', required=True, metavar='FILE', help='ensembles')
    c.add_argument('--text', action='append', default=[], help='may be repeated')
    c.add_argument('--fingerprint', metavar='HEX', help='write to this key only')
    c.add_argument('--to-tag', type=lambda s: int(s, 16), metavar='HEX', help='write to this instance only')
    c.add_argument('--use', type=int, metavar='N', help='use ensemble number N of the file')
    c.add_argument('--open', action='store_true', help='do not end the conversation')
    c.add_argument('--fragment', metavar='N', type=int, default=0, help='split each message sent into N pieces')
    c.add_argument('--hostile', choices=sorted(SEND_HOSTILE), metavar='KIND')
    c = commands.add_parser('receive', parents=[common], help='read lines')
    c = commands.add_parser('answer', parents=[common], help='go on in a session')
    c.add_argument('--text', action='append', default=[], help='may be repeated')
    c.add_argument('--session', type=int, default=1, metavar='N', help='the newest is 1')
    c.add_argument('--end', action='store_true', help='end the conversation')
    c.add_argument('--fragment', metavar='N', type=int, default=0)
    sys.stdout.reconfigure(encoding='utf-8', newline='\n')
    o = a.parse_args()
    program = Program(o)
    sys.exit(getattr(program, o.command)())


if __name__ == '__main__':
    main()
