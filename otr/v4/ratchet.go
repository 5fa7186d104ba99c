package v4

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"math"

	"otrpipe/otr/group"
)

// Every third ratchet derives its brace key from new DH keys.
const braceInterval = 3

// ErrExhausted means that a counter has no next value.
var ErrExhausted = errors.New("v4: the session's counters are used up")

// ratchet is the state of the double ratchet (section "Key Management"). It is a value: a
// received message is processed on a copy, which replaces the original once the message's MAC
// has been verified. The targets of its pointers and slices never change.
type ratchet struct {
	root  key
	brace braceKey

	sendChain    key
	receiveChain key
	receiving    bool // receiveChain is set; Alice has none at first
	ourTurn      bool // we begin the next ratchet, before our next message
	braceAhead   bool // brace already belongs to the next ratchet: see beginOffline

	i         uint32 // the id of the next ratchet
	sendID    uint32 // the id of the ratchet of sendChain
	receiveID uint32 // the id of the ratchet of receiveChain
	j         uint32 // the id of the next message we send
	k         uint32 // the id of the next message we expect
	pn        uint32 // the number of messages in our previous ratchet
	rotations uint32 // the number of our ratchets

	ecdh        ecdhKey // ours
	dh          dhKey
	theirECDH   *group.Point
	theirPublic [group.PointLen]byte // theirECDH as POINT
	theirDH     []byte
}

// begin starts the ratchet from K, the mixed shared secret of the key exchange. Alice,
// who has received the Auth-I, begins with a sending chain, Bob with the same chain for
// receiving. The specification makes Bob's own ratchet at once; here it is made when he first
// sends, with the same result. After that his first secrets are no longer needed.
func (r *ratchet) begin(mixed *key, ours *ephemeral, theirs *contribution, who role) error {
	*r = ratchet{
		root:      mixed.derive(group.UsageFirstRootKey),
		ecdh:      ours.firstECDH,
		dh:        ours.firstDH,
		theirECDH: theirs.firstPoint,
		theirDH:   theirs.firstDH,
	}
	copy(r.theirPublic[:], theirs.firstECDH)
	chain, err := r.advance()
	if err != nil {
		r.wipe()
		return err
	}
	if who == roleAlice {
		r.sendChain = chain
	} else {
		r.receiveChain, r.receiving, r.ourTurn = chain, true, true
		r.ecdh.secret.Wipe()
		clear(r.dh.secret[:])
	}
	return nil
}

// rotateSending begins a ratchet of ours ("Rotating ECDH Keys and Brace Key as sender"). It
// uses the values in prepared if that is for this ratchet. Otherwise it reads an ECDH key
// and, in every third ratchet, a DH key from rand.
func (r *ratchet) rotateSending(rand io.Reader, prepared *Preparation) (err error) {
	if r.i == math.MaxUint32 {
		return ErrExhausted
	}
	withDH := r.i%braceInterval == 0
	ready, ok := prepared.peek(r.i)
	defer ready.wipe()
	if ok {
		ready.shared = ready.shared && prepared.theirs == r.theirECDH
		ready.compute(withDH, r.theirECDH, r.theirDH)
	} else {
		if ready.ecdh, err = newECDHKey(rand); err != nil {
			return err
		}
		if withDH {
			if ready.dh, err = newDHKey(rand); err != nil {
				return err
			}
		}
	}
	r.ecdh = ready.ecdh
	if withDH {
		r.dh = ready.dh
	}
	if ready.shared {
		if withDH {
			r.brace = ready.brace
		} else {
			r.brace = r.brace.next()
		}
		r.sendChain = r.step(mix(&ready.sharedECDH, &r.brace))
	} else if r.sendChain, err = r.advance(); err != nil {
		return err
	}
	r.sendID, r.pn, r.j = r.i, r.j, 0
	r.i++
	r.rotations++
	r.ourTurn = false
	return nil
}

// rotateReceiving begins the peer's next ratchet ("Rotating ECDH Keys and Brace Key as
// receiver") with the validated keys of its message; dh is empty except in every third
// ratchet. After that our own secrets are no longer needed.
func (r *ratchet) rotateReceiving(ecdh *group.Point, dh []byte) (err error) {
	if r.i == math.MaxUint32 {
		return ErrExhausted
	}
	r.theirECDH = ecdh
	ecdh.Append(r.theirPublic[:0])
	if r.i%braceInterval == 0 {
		r.theirDH = dh
	}
	if r.receiveChain, err = r.advance(); err != nil {
		return err
	}
	r.receiveID, r.k, r.receiving = r.i, 0, true
	r.ecdh.secret.Wipe()
	if r.i%braceInterval == 0 {
		clear(r.dh.secret[:])
	}
	r.i++
	r.ourTurn = true
	return nil
}

// advance mixes the current keys of both sides into the root key and returns the new chain
// key ("Deriving Double Ratchet Keys").
func (r *ratchet) advance() (chain key, err error) {
	if r.i%braceInterval == 0 {
		r.brace, err = thirdBraceKey(&r.dh, r.theirDH)
		if err != nil {
			return chain, err
		}
	} else if !r.braceAhead {
		r.brace = r.brace.next()
	}
	r.braceAhead = false
	mixed, err := mixedSecret(&r.ecdh, r.theirECDH, r.brace)
	if err != nil {
		return chain, err
	}
	defer clear(mixed[:])
	return r.step(mixed), nil
}

// step mixes K into the root key and returns the new chain key.
func (r *ratchet) step(mixed key) (chain key) {
	r.root, chain = ratchetKeys(&r.root, &mixed)
	return chain
}

// messageKeys holds the keys of one message.
type messageKeys struct {
	enc   key // MKenc
	extra key // the extra symmetric key
}

func (m *messageKeys) wipe() { *m = messageKeys{} }

// nextSending returns the keys of the next message that we send.
func (r *ratchet) nextSending() (messageKeys, error) {
	if r.j == math.MaxUint32 {
		return messageKeys{}, ErrExhausted
	}
	r.j++
	return nextKeys(&r.sendChain), nil
}

// nextReceiving returns the keys of message k, the next one in the receiving chain. known,
// unless nil, saves their derivation if it is the right step.
func (r *ratchet) nextReceiving(known *chainStep) (messageKeys, error) {
	if r.k == math.MaxUint32 {
		return messageKeys{}, ErrExhausted
	}
	r.k++
	if known != nil && subtle.ConstantTimeCompare(known.from[:], r.receiveChain[:]) == 1 {
		r.receiveChain = known.to
		return known.keys, nil
	}
	return nextKeys(&r.receiveChain), nil
}

// A chainStep is a chain key and the result of nextKeys for it.
type chainStep struct {
	from, to key
	keys     messageKeys
}

// nextKeys advances a chain by one message, and returns the keys of that message.
func nextKeys(chain *key) (keys messageKeys) {
	var next key
	var extra [1 + len(next)]byte
	defer clear(extra[:])
	extra[0] = extraKeyByte
	copy(extra[1:], chain[:])
	group.ShortKDFs(
		[][]byte{keys.enc[:], keys.extra[:], next[:]},
		[]group.Usage{group.UsageMessageKey, group.UsageExtraSymmKey, group.UsageNextChainKey},
		[][]byte{chain[:], extra[:], chain[:]},
	)
	*chain = next
	clear(next[:])
	return keys
}

func (r *ratchet) wipe() { *r = ratchet{} }

// Format prints a placeholder.
func (ratchet) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.ratchet(…)") }
