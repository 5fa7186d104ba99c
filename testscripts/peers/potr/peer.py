#!/usr/bin/env python3
"""A peer for tests around pure-python-otr (version 2).

Standard input is the network's lines to it, standard output its lines to the
network, standard error its events as JSON lines. ../README.md documents the
flags, commands and events, which are the same for every peer here.
"""

import argparse
import json
import logging
import os
import re
import select
import sys

sys.dont_write_bytecode = True  # the source folder is not ours to write to

import shim  # noqa: F401  (repairs potr; must come before potr is used)
import potr
from potr import context, crypt, proto
from potr.compatcrypto import DSAKey, generateDefaultKey

STATES = {context.STATE_PLAINTEXT: 'plaintext',
          context.STATE_ENCRYPTED: 'encrypted',
          context.STATE_FINISHED: 'finished'}


class Failed(Exception):
    """A command that cannot be done, and why."""


class Account(context.Account):
    """The one account, with a key that is already there."""

    def saveTrusts(self):
        pass


class Context(context.Context):
    """The conversation: potr's, with its lines and events going to the peer."""

    def __init__(self, account, name):
        super().__init__(account, name)
        self.other = None
        self.authentic = False

    def getPolicy(self, key):
        return self.other.policy.get(key, False)

    def inject(self, msg, appdata=None):
        self.other.write(msg)

    def setState(self, newstate):
        super().setState(newstate)
        if newstate == context.STATE_ENCRYPTED:
            self.other.secure()

    def processTLVs(self, tlvs, appdata=None):
        # potr comes by here for every data message that was authentic.
        self.authentic = True
        for tlv in tlvs:
            super().processTLVs([tlv], appdata)
            self.other.tlv(tlv)


class Peer:
    """Both inputs, the conversation, and what to do when."""

    def __init__(self, flags):
        self.policy = {'ALLOW_V2': True, 'SEND_TAG': flags.tag,
                       'REQUIRE_ENCRYPTION': flags.require}
        self.hooks = flags.on
        self.echo = flags.echo
        self.events = open(flags.events, 'a', buffering=1) if flags.events else sys.stderr
        key = read_key(flags.key) if flags.key else generateDefaultKey()
        self.account = Account('peer', 'otrpipe', flags.fragment, key)
        self.pending = []
        self.read = self.written = self.texts = 0
        self.forget()

    def forget(self):
        """Loses the session without a word to the other side."""
        self.context = Context(self.account, 'other')
        self.context.other = self

    # Events.

    def event(self, name, **fields):
        """Writes an event; bytes are written one character a byte."""
        for field, value in fields.items():
            if isinstance(value, bytes):
                fields[field] = value.decode('latin-1')
        self.events.write(json.dumps({'event': name, **fields}) + '\n')
        self.events.flush()

    def ready(self):
        """Says who we are and runs what was asked for the start."""
        self.event('ready', peer='potr', library='.'.join(map(str, potr.VERSION)),
                   fingerprint=self.account.privkey.cfingerprint())
        self.happened('start')

    def happened(self, when):
        """Runs the commands that wait for this."""
        for name, command in self.hooks:
            if name == when:
                self.command(command)

    def secure(self):
        """Reports the session that the context just entered."""
        crypto = self.context.crypto
        self.event('secure', version=2, fingerprint=crypto.theirPubkey.cfingerprint(),
                   ssid=crypto.sessionId.hex(),
                   bold='second' if crypto.sessionIdHalf else 'first', instance=0)
        self.pending.append('secure')

    def tlv(self, tlv):
        """Reports what a TLV brought about."""
        smp = self.context.crypto.smp
        if isinstance(tlv, proto.DisconnectTLV):
            self.event('ended')
            self.pending.append('ended')
        elif isinstance(tlv, proto.SMPABORTTLV):
            self.event('smp_aborted')
        elif isinstance(tlv, (proto.SMP1TLV, proto.SMP1QTLV)) and smp.state == 0:
            question = {'question': tlv.msg} if isinstance(tlv, proto.SMP1QTLV) else {}
            self.event('smp_asked', **question)
            self.pending.append('asked')
        elif isinstance(tlv, proto.SMPTLV) and smp.prog == crypt.SMPPROG_SUCCEEDED:
            self.event('smp_succeeded')
        elif isinstance(tlv, proto.SMPTLV) and smp.prog == crypt.SMPPROG_FAILED:
            self.event('smp_failed')
        elif isinstance(tlv, proto.SMPTLV) and smp.prog == crypt.SMPPROG_CHEATED:
            self.event('smp_cheated')
        elif isinstance(tlv, proto.ExtraKeyTLV):
            self.event('extra_key', use=int.from_bytes(tlv.appid, 'big'),
                       data=tlv.appdata.hex(), key=self.context.crypto.extraKey.hex())

    # The network.

    def write(self, message):
        """Writes a message and its LF."""
        line = message + b'\n'
        self.written += line.count(b'\n')
        while line:
            line = line[os.write(1, line):]

    def receive_line(self, line):
        """Handles one line, then whatever waited for what it brought."""
        self.read += 1
        self.receive(line)
        pending, self.pending = self.pending, []
        for when in pending:
            self.happened(when)
        self.event('read', read=self.read, written=self.written)

    def receive(self, line):
        """Hands a line to potr and turns its exceptions into events."""
        self.context.authentic = False
        try:
            text, _ = self.context.receiveMessage(line)
        except context.UnencryptedMessage as refused:
            self.event('unencrypted', text=refused.args[0])
        except context.NotOTRMessage as plain:
            self.event('text', text=plain.args[0], encrypted=False)
        except context.ErrorReceived as error:
            self.event('peer_error', text=error.args[0].error)
        except context.NotEncryptedError:
            self.event('not_in_private')
        except crypt.InvalidParameterError:
            self.event('unreadable')
        except Exception as error:  # potr lets struct.error, TypeError and others through
            self.event('malformed', reason=repr(error))
        else:
            if text is not None:
                self.received_text(text)
            elif self.context.authentic:
                self.event('heartbeat')

    def received_text(self, text):
        """Reports an authentic text and does what was asked for it."""
        self.event('text', text=text, encrypted=True)
        if self.echo:
            self.say(text)
        self.texts += 1
        self.pending += ['text', 'text:%d' % self.texts]

    # Commands.

    def command(self, line):
        """Runs a command: a verb, a space, arguments between tabs."""
        verb, _, rest = line.partition(' ')
        arguments = [unescape(a) for a in rest.split('\t')] if rest else []
        method = getattr(self, 'do_' + verb.replace('-', '_'), None)
        try:
            if method is None:
                raise Failed('no such command')
            method(*arguments)
        except (Failed, TypeError, ValueError, context.NotEncryptedError) as error:
            self.event('failed', command=verb, reason=str(error))
        self.event('done', command=verb, read=self.read, written=self.written)

    def need_encryption(self):
        if self.context.state != context.STATE_ENCRYPTED:
            raise Failed('not encrypted')

    def say(self, text):
        """Sends a text as the state and the policy want it."""
        if self.context.state == context.STATE_FINISHED:
            raise Failed('finished')
        message = self.context.sendMessage(context.FRAGMENT_SEND_ALL, text)
        if message is not None:  # potr leaves what is not encrypted to its caller
            self.write(message)

    def do_say(self, text=b''):
        self.say(text)

    def do_raw(self, line):
        self.write(line)

    def do_query(self):
        self.write(self.account.getDefaultQueryMessage(self.context.getPolicy))

    def do_commit(self):
        self.context.authStartV2()

    def do_end(self):
        if self.context.state != context.STATE_PLAINTEXT:
            self.context.disconnect()

    def do_forget(self):
        self.forget()

    def do_crash(self):
        os._exit(3)

    def do_quit(self):
        os._exit(0)

    def do_versions(self, digits):
        if digits != b'2':
            raise Failed('only version 2')

    def do_fragment(self, size):
        self.account.maxMessageSize = int(size)

    def do_echo(self, switch):
        self.echo = switch == b'on'

    def do_status(self):
        self.event('status', state=STATES[self.context.state])

    def do_smp(self, secret, question=None):
        self.need_encryption()
        self.context.smpInit(secret, question)

    def do_answer(self, secret):
        self.need_encryption()
        self.context.smpGotSecret(secret)

    def do_abort(self):
        self.need_encryption()
        self.context.smpAbort()

    def do_extra_key(self, use, data=b''):
        self.need_encryption()
        number = int(use, 0)
        key = self.context.getExtraKey(number.to_bytes(4, 'big'), data)
        self.event('extra_key_sent', use=number, key=key.hex())

    def do_heartbeat(self):
        self.need_encryption()
        self.context.sendInternal(b'')

    # The loop.

    def run(self, control):
        """Handles both inputs until the network's ends."""
        sources = {0: (b'', self.receive_line)}
        if control:
            # Read and write, so that a FIFO whose writer leaves does not end.
            fd = os.open(control, os.O_RDWR)
            sources[fd] = (b'', lambda line: self.command(os.fsdecode(line)))
        poll = select.poll()
        for fd in sources:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, _ in sorted(poll.poll(), reverse=True):
                held, handle = sources[fd]
                data = os.read(fd, 1 << 16)
                if not data and fd == 0:
                    self.event('eof')
                    return
                *lines, held = (held + data).split(b'\n')
                sources[fd] = (held, handle)
                for line in lines:
                    handle(line.removesuffix(b'\r'))


def unescape(text):
    r"""The bytes of an argument, its escapes \n \r \t \\ and \xHH undone."""
    known = {b'n': b'\n', b'r': b'\r', b't': b'\t'}

    def undo(match):
        found = match.group(1)
        return bytes([int(found[1:], 16)]) if len(found) > 1 else known.get(found, found)

    return re.sub(rb'\\(x[0-9a-fA-F]{1,2}|.)', undo, os.fsencode(text), flags=re.S)


def read_key(path):
    """The first DSA key of a libotr private key file."""
    with open(path, encoding='latin-1') as file:
        numbers = dict(re.findall(r'\((\w) #([0-9A-Fa-f]+)#\)', file.read()))
    if set('pqgyx') - numbers.keys():
        sys.exit('potr-peer: %s: no private key' % path)
    return DSAKey(tuple(int(numbers[n], 16) for n in 'ygpqx'), private=True)


def hook(text):
    """WHEN=COMMAND as a pair."""
    when, equals, command = text.partition('=')
    if not equals:
        raise argparse.ArgumentTypeError('not WHEN=COMMAND')
    return when, command


def main():
    parser = argparse.ArgumentParser(prog='potr-peer', description=__doc__)
    parser.add_argument('--key', metavar='FILE')
    parser.add_argument('--versions', choices=['2'], default='2')
    parser.add_argument('--control', metavar='FIFO')
    parser.add_argument('--events', metavar='FILE')
    parser.add_argument('--fragment', type=int, default=0, metavar='N')
    parser.add_argument('--tag', action='store_true')
    parser.add_argument('--require', action='store_true')
    parser.add_argument('--echo', action='store_true')
    parser.add_argument('--on', type=hook, action='append', default=[], metavar='WHEN=COMMAND')
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)  # standard error is for events alone
    peer = Peer(flags)
    peer.ready()
    peer.run(flags.control)


if __name__ == '__main__':
    main()
