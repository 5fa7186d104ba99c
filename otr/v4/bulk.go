package v4

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"

	"otrpipe/internal/secret"
	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// Lanes is how many messages are authenticated in parallel if the processor can.
const Lanes = group.KDFLanes

// Sealings holds data messages that have their keys and their order in the session, but are
// not encrypted and authenticated yet.
type Sealings struct {
	list     []sealing
	outlines []byte // the outlines of all messages; public
}

// Settle advances the session by one message, as Seal does, and returns the length of the
// message in bytes. Finish makes the message; until then p must not change. After an error
// nothing has changed.
func (e *Engine) Settle(s *Sealings, flags byte, p wire.Plaintext) (size int, err error) {
	if e.session == nil {
		return 0, ErrNoSession
	}
	s.list = append(s.list, sealing{})
	m := &s.list[len(s.list)-1]
	secret.Do(func() { s.outlines, err = e.settle(m, s.outlines, flags, p, false) })
	if err != nil {
		s.list = s.list[:len(s.list)-1]
		return 0, err
	}
	return m.len(), nil
}

// Finish makes consecutive messages and appends one to each of bufs. first is the index of
// the first one, counted from 0 in the order of Settle. Several goroutines may call it at the
// same time for different messages.
func (s *Sealings) Finish(first int, bufs [][]byte) {
	secret.Do(func() {
		for list := s.list[first:][:len(bufs)]; len(list) > 0; {
			n := min(len(list), Lanes)
			finish(list[:n], bufs[:n])
			list, bufs = list[n:], bufs[n:]
		}
	})
}

// finish is Finish for up to Lanes messages.
func finish(list []sealing, bufs [][]byte) {
	var macs, encs, keys, texts, none [Lanes][]byte
	for i := range list {
		m := &list[i]
		m.fill(bufs[i])
		bufs[i] = m.buf
		crypt(&m.enc, m.buf[m.text:m.mac])
		macs[i], encs[i], keys[i], texts[i] = m.authenticator(), m.enc[:], m.macKey[:], m.covered()
	}
	group.KDFs(keys[:len(list)], group.UsageMACKey, encs[:len(list)], none[:len(list)])
	group.KDFs(macs[:len(list)], group.UsageAuthenticator, keys[:len(list)], texts[:len(list)])
}

// Reset wipes the keys and forgets the messages.
func (s *Sealings) Reset() {
	clear(s.list)
	s.list, s.outlines = s.list[:0], s.outlines[:0]
}

// Format prints a placeholder for every verb.
func (Sealings) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Sealings(…)") }

// A Foresight holds the keys of the next expected messages: those of the peer's current
// ratchet, in order. With these keys, messages can be verified and decrypted before the
// session reaches them. This does not change the session: Engine.ReceiveAhead does everything
// that Receive does, and relies on the Foresight only for results from exactly the chain key
// that the session reaches.
type Foresight struct {
	public [group.PointLen]byte // the public key of the peer's ratchet
	first  uint32               // the id of the first message
	steps  []chainStep          // to the keys of each message
}

// An Ahead is the result of a Foresight for one message.
type Ahead struct {
	verified bool
	to       chainStep // the step to the keys that verified and decrypted the message
	mac      key       // MKmac of these keys
}

// Verified reports whether the message was authentic under foreseen keys.
func (a *Ahead) Verified() bool { return a.verified }

// by reports whether the message was verified and decrypted with this key.
func (a *Ahead) by(enc *key) bool {
	return a != nil && a.verified && subtle.ConstantTimeCompare(a.to.keys.enc[:], enc[:]) == 1
}

// step returns the step to the keys of the message, or nil.
func (a *Ahead) step() *chainStep {
	if a == nil || !a.verified {
		return nil
	}
	return &a.to
}

// Foresee sets f to the keys of the next n messages; false: they are not known.
func (e *Engine) Foresee(f *Foresight, n int) bool {
	f.Wipe()
	if e.session == nil || !e.session.ratchet.receiving {
		return false
	}
	secret.Do(func() {
		r := e.session.try()
		defer r.wipe()
		f.public, f.first = r.theirPublic, r.k
		if cap(f.steps) < n {
			f.steps = make([]chainStep, 0, n)
		}
		var step chainStep
		defer func() { step = chainStep{} }()
		for range n {
			var err error
			step.from = r.receiveChain
			if step.keys, err = r.nextReceiving(nil); err != nil {
				return // the steps so far have to be enough
			}
			step.to = r.receiveChain
			f.steps = append(f.steps, step)
		}
	})
	return len(f.steps) > 0
}

// Open verifies messages, and decrypts in place those that are under the foreseen keys. It
// leaves all others unchanged. The first message is expected under the keys with the index
// at. msgs are whole messages with their headers; ahead has one entry for each. Several
// goroutines may call it at the same time for different messages.
func (f *Foresight) Open(at int, msgs [][]byte, ahead []Ahead) {
	secret.Do(func() {
		for i := 0; i < len(msgs); i += Lanes {
			end := min(i+Lanes, len(msgs))
			f.open(at+i, msgs[i:end], ahead[i:end])
		}
	})
}

// open is Open for up to Lanes messages.
func (f *Foresight) open(at int, msgs [][]byte, ahead []Ahead) {
	var (
		data                          [Lanes]Data
		macKeys                       [Lanes]key
		got                           [Lanes][macLen]byte
		index                         [Lanes]int
		macs, encs, keys, texts, none [Lanes][]byte
	)
	n := 0
	for i, msg := range msgs {
		ahead[i] = Ahead{}
		if at+i >= len(f.steps) {
			break
		}
		_, body, err := wire.ParseHeader(msg)
		if err != nil {
			continue
		}
		m, err := ParseData(body)
		if err != nil || m.MessageID != f.first+uint32(at+i) || !bytes.Equal(m.ECDH, f.public[:]) {
			continue
		}
		macs[n], encs[n], keys[n] = got[n][:], f.steps[at+i].keys.enc[:], macKeys[n][:]
		texts[n] = msg[:len(msg)-len(body)+m.Authenticated]
		data[n], index[n] = m, i
		n++
	}
	group.KDFs(keys[:n], group.UsageMACKey, encs[:n], none[:n])
	group.KDFs(macs[:n], group.UsageAuthenticator, keys[:n], texts[:n])
	for j := range n {
		if subtle.ConstantTimeCompare(got[j][:], data[j].MAC) == 1 {
			i := index[j]
			ahead[i] = Ahead{verified: true, to: f.steps[at+i], mac: macKeys[j]}
			crypt(&ahead[i].to.keys.enc, data[j].Encrypted)
		}
	}
	clear(macKeys[:])
}

// Wipe forgets the keys.
func (f *Foresight) Wipe() {
	clear(f.steps)
	f.steps = f.steps[:0]
}

// Wipe forgets the key.
func (a *Ahead) Wipe() { *a = Ahead{} }

// Format prints a placeholder for every verb.
func (Foresight) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Foresight(…)") }

// Format prints a placeholder for every verb.
func (Ahead) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Ahead(…)") }

// ReceiveAhead is Receive for a data message that was passed to Foresight.Open; ahead is the
// result for msg.
func (e *Engine) ReceiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (got wire.Plaintext, err error) {
	if h.Type != wire.TypeData {
		return got, fmt.Errorf("%w: %v", ErrIgnored, h.Type)
	}
	return e.receiveData(body, msg, tlvs, ahead)
}
