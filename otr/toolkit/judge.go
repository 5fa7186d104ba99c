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
	// maxKept and maxKeptBytes bound the data messages that are kept to be looked up when
	// their MAC keys are revealed. The oldest go first.
	maxKept      = 1024
	maxKeptBytes = 8 << 20
	// maxLookup is how many bytes are hashed at most to find what the keys that one
	// message reveals authenticate: a message can name fifty thousand keys, and a log hold
	// a million messages.
	maxLookup = 16 << 20
	// maxIdentities is how many Identity messages are kept to be checked together with
	// their answers.
	maxIdentities = 64
	// maxEnsembles is how many prekey ensembles are kept to be checked together with the
	// messages to them.
	maxEnsembles = 1000
)

// What a ring signature turned out to be.
const (
	sigmaValid      = "valid"
	sigmaInvalid    = "invalid, unless other account names were bound into it"
	sigmaUnverified = "not checked: the messages before it are missing"
)

// A judge checks across messages what anybody can check who has the transcript.
type judge struct {
	kept      []keptMessage
	keptBytes int

	identities []keptIdentity
	answers    []keptAnswer
	ensembles  []*v4.Ensemble
	accounts   []*v4.Accounts // that may have been bound into a key exchange; nil: none were
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

// keep keeps a data message, of whose body the first n bytes are authenticated.
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
	budget := maxLookup
	for ; len(keys) >= n; keys = keys[n:] {
		var f Fields
		f.bytes("key", keys[:n])
		if numbers := j.authenticated(keys[:n], h, &budget); len(numbers) > 0 {
			f.add("authenticates", numbers)
		}
		all = append(all, f)
	}
	return all
}

// authenticated returns the numbers of the messages that a MAC key authenticates, which a
// message with header h reveals. They follow one another among those of their sender, and
// in version 4 there is one at most.
func (j *judge) authenticated(key []byte, h wire.Header, budget *int) (numbers []uint64) {
	for i := len(j.kept) - 1; i >= 0 && *budget > 0; i-- {
		k := &j.kept[i]
		// A side reveals the keys by which it has verified the other's messages.
		if k.version != h.Version || h.Version > 2 && k.sender == h.Sender {
			continue
		}
		*budget -= len(k.covered)
		switch {
		case subtle.ConstantTimeCompare(authenticate(h.Version, key, k.covered), k.mac) == 1:
			numbers = append(numbers, uint64(k.number))
			if h.Version == v4.Version {
				return numbers
			}
		case len(numbers) > 0 && h.Version > 2:
			return numbers
		}
	}
	return numbers
}

// authenticate returns the authenticator of covered under a MAC key of the version.
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
	found := sigmaUnverified
	for i := len(j.identities) - 1; i >= 0; i-- {
		k := j.identities[i]
		if k.sender != h.Receiver {
			continue
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
	found := sigmaUnverified
	for i := len(j.answers) - 1; i >= 0; i-- {
		k := j.answers[i]
		if k.bob != h.Sender || k.alice != h.Receiver {
			continue
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

// nonInteractiveAuth checks the ring signature of a Non-Interactive-Auth message against the
// ensembles of its receiver that have its prekey.
func (j *judge) nonInteractiveAuth(h wire.Header, m *v4.NonInteractiveAuth) string {
	found := sigmaUnverified
	for i := len(j.ensembles) - 1; i >= 0; i-- {
		e := j.ensembles[i]
		if e.Message.ID != m.PrekeyID || e.Client.InstanceTag != h.Receiver {
			continue
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
