package toolkit

import (
	"bytes"
	"crypto/subtle"
	"slices"

	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

const (
	// maxKept and maxKeptBytes bound the number and total size of the data messages that are
	// kept until their MAC keys are revealed. The oldest are dropped first.
	maxKept      = 1024
	maxKeptBytes = 8 << 20
	// maxLookup is how many bytes are hashed at most to find the messages that the keys
	// revealed by one message authenticate: a message can contain fifty thousand keys.
	maxLookup = 16 << 20
	// lookupPerByte is how many more bytes may be hashed for each byte that is read, once
	// maxLookup has been used up. A log can contain a million messages with false keys, and
	// this keeps the total work proportional to its length.
	lookupPerByte = 4
	// maxIdentities is how many Identity messages are kept for checking the answers to them.
	maxIdentities = 64
	// maxEnsembles is how many prekey ensembles are kept for checking the messages to them.
	maxEnsembles = 1000
	// maxTried is the maximum number of messages against which a ring signature is checked,
	// the newest first: each check takes a millisecond, and a log can contain a million
	// signatures.
	maxTried = 8
)

// The results of checking a ring signature.
const (
	sigmaValid      = "valid"
	sigmaInvalid    = "invalid, unless other account names were bound into it"
	sigmaUnverified = "not checked: the messages before it are missing"
	sigmaTooMany    = "not checked: too many messages before it are possible"
)

// A judge checks relations between messages, as anyone with the transcript can.
type judge struct {
	kept      []keptMessage
	keptBytes int
	hashed    int // how much of maxLookup is used up

	identities []keptIdentity
	answers    []keptAnswer
	ensembles  []*v4.Ensemble
	accounts   []*v4.Accounts // account names that a key exchange may be bound to; nil: none
}

// keptMessage is a data message whose MAC key may be revealed later.
type keptMessage struct {
	number  int
	version uint16
	sender  uint32 // 0 in version 2
	covered []byte
	mac     []byte
}

type keptIdentity struct {
	sender  uint32
	message *v4.Identity
}

type keptAnswer struct {
	alice, bob uint32
	identity   *v4.Identity
	message    *v4.AuthR
}

// keep keeps a data message. The first n bytes of its body are authenticated.
func (j *judge) keep(m *Message, n int, mac []byte) {
	covered := m.Raw[:len(m.Raw)-len(m.Body)+n]
	j.kept = append(j.kept, keptMessage{
		number:  m.Number,
		version: m.Header.Version,
		sender:  m.Header.Sender,
		covered: bytes.Clone(covered),
		mac:     bytes.Clone(mac),
	})
	j.keptBytes += len(covered)
	for len(j.kept) > maxKept || j.keptBytes > maxKeptBytes {
		j.keptBytes -= len(j.kept[0].covered)
		j.kept[0] = keptMessage{}
		j.kept = j.kept[1:]
	}
}

// revealed shows the MAC keys that a message with header h reveals, each of n bytes, with
// the numbers of the messages that they authenticate.
func (j *judge) revealed(keys []byte, n int, h wire.Header) []Fields {
	all := []Fields{}
	last := len(j.kept) // the message that the previous key authenticates
	for ; len(keys) >= n; keys = keys[n:] {
		var f Fields
		f.bytes("key", keys[:n])
		var numbers []uint64
		if h.Version == v4.Version {
			numbers = j.authenticated4(keys[:n], h, &last)
		} else {
			numbers = j.authenticated3(keys[:n], h)
		}
		if len(numbers) > 0 {
			f.add("authenticates", numbers)
		}
		all = append(all, f)
	}
	return all
}

// earn allows more hashing, in proportion to n bytes that have been read.
func (j *judge) earn(n int) { j.hashed = max(0, j.hashed-n*lookupPerByte) }

// fits reports whether a MAC key revealed by a message with header h authenticates the kept
// message k. It returns false once too much has been hashed.
func (j *judge) fits(key []byte, h wire.Header, k *keptMessage) bool {
	if j.hashed >= maxLookup {
		return false
	}
	j.hashed += len(k.covered)
	return subtle.ConstantTimeCompare(authenticate(h.Version, key, k.covered), k.mac) == 1
}

// othersOf reports whether the kept message k may come from the peer of the sender of a
// message with header h: each side reveals the keys with which it has verified the other
// side's messages.
func (k *keptMessage) othersOf(h wire.Header) bool {
	return k.version == h.Version && (h.Version == v3.Version2 || k.sender != h.Sender)
}

// authenticated4 returns the number of the version 4 message that a MAC key authenticates, if
// it is known. Keys are revealed in the order of their messages. So it first tries the
// message after last, the index of the previous key's message.
func (j *judge) authenticated4(key []byte, h wire.Header, last *int) []uint64 {
	for i := *last + 1; i < len(j.kept); i++ {
		if k := &j.kept[i]; k.othersOf(h) {
			if j.fits(key, h, k) {
				*last = i
				return []uint64{uint64(k.number)}
			}
			break
		}
	}
	for i := len(j.kept) - 1; i >= 0 && j.hashed < maxLookup; i-- {
		if k := &j.kept[i]; k.othersOf(h) && j.fits(key, h, k) {
			*last = i
			return []uint64{uint64(k.number)}
		}
	}
	return nil
}

// authenticated3 returns the numbers of the messages of version 2 or 3 that a MAC key
// authenticates, the newest first. These are consecutive messages of their sender.
func (j *judge) authenticated3(key []byte, h wire.Header) (numbers []uint64) {
	for i := len(j.kept) - 1; i >= 0 && j.hashed < maxLookup; i-- {
		k := &j.kept[i]
		if !k.othersOf(h) {
			continue
		}
		if j.fits(key, h, k) {
			numbers = append(numbers, uint64(k.number))
		} else if len(numbers) > 0 && h.Version > v3.Version2 {
			return numbers
		}
	}
	return numbers
}

// authenticate returns the authenticator of covered with a MAC key of the version.
func authenticate(version uint16, key, covered []byte) []byte {
	if version == v4.Version {
		return v4.AppendAuthenticator(nil, (*v4.Key)(key), covered)
	}
	return v3.AppendAuthenticator(nil, (*v3.MACKey)(key), covered)
}

func (j *judge) identity(h wire.Header, m *v4.Identity) {
	if len(j.identities) == maxIdentities {
		j.identities = append(j.identities[:0], j.identities[1:]...)
	}
	j.identities = append(j.identities, keptIdentity{h.Sender, m})
}

// authR checks the ring signature of an Auth-R message against the Identity messages of
// its receiver, the newest first.
func (j *judge) authR(h wire.Header, m *v4.AuthR) string {
	found, tried := sigmaUnverified, 0
	for i := len(j.identities) - 1; i >= 0; i-- {
		k := j.identities[i]
		if k.sender != h.Receiver {
			continue
		}
		if tried++; tried > maxTried {
			return sigmaTooMany
		}
		valid := slices.ContainsFunc(j.accounts, func(a *v4.Accounts) bool {
			return v4.VerifyAuthR(k.message, k.sender, m, h.Sender, a) == nil
		})
		if !valid {
			found = sigmaInvalid
			continue
		}
		if len(j.answers) == maxIdentities {
			j.answers = append(j.answers[:0], j.answers[1:]...)
		}
		j.answers = append(j.answers, keptAnswer{h.Sender, h.Receiver, k.message, m})
		return sigmaValid
	}
	return found
}

// authI checks the ring signature of an Auth-I message against the Auth-R messages of its
// receiver, the newest first.
func (j *judge) authI(h wire.Header, m *v4.AuthI) string {
	found, tried := sigmaUnverified, 0
	for i := len(j.answers) - 1; i >= 0; i-- {
		k := j.answers[i]
		if k.bob != h.Sender || k.alice != h.Receiver {
			continue
		}
		if tried++; tried > maxTried {
			return sigmaTooMany
		}
		if slices.ContainsFunc(j.accounts, func(a *v4.Accounts) bool {
			return v4.VerifyAuthI(k.identity, k.bob, k.message, k.alice, a, m) == nil
		}) {
			return sigmaValid
		}
		found = sigmaInvalid
	}
	return found
}

func (j *judge) ensemble(e *v4.Ensemble) {
	if len(j.ensembles) == maxEnsembles {
		j.ensembles = append(j.ensembles[:0], j.ensembles[1:]...)
	}
	j.ensembles = append(j.ensembles, e)
}

// nonInteractiveAuth checks the ring signature of a Non-Interactive-Auth message against its
// receiver's ensembles with its prekey.
func (j *judge) nonInteractiveAuth(h wire.Header, m *v4.NonInteractiveAuth) string {
	found, tried := sigmaUnverified, 0
	for i := len(j.ensembles) - 1; i >= 0; i-- {
		e := j.ensembles[i]
		if e.Message.ID != m.PrekeyID || e.Client.InstanceTag != h.Receiver {
			continue
		}
		if tried++; tried > maxTried {
			return sigmaTooMany
		}
		if slices.ContainsFunc(j.accounts, func(a *v4.Accounts) bool {
			return v4.VerifyNonInteractiveAuth(e, m, h.Sender, a) == nil
		}) {
			return sigmaValid
		}
		found = sigmaInvalid
	}
	return found
}
