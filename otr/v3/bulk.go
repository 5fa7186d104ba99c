package v3

import (
	"crypto/subtle"
	"fmt"
	"io"

	"otrpipe/internal/secret"
	"otrpipe/otr/wire"
)

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
	var m sealing
	if s.outlines, err = e.settle(&m, s.outlines, flags, p); err != nil {
		return 0, err
	}
	s.list = append(s.list, m)
	m.wipe()
	return m.len(), nil
}

// Finish makes consecutive messages and appends one to each of bufs. first is the index of
// the first one, counted from 0 in the order of Settle. Several goroutines may call it at the
// same time for different messages.
func (s *Sealings) Finish(first int, bufs [][]byte) {
	secret.Do(func() {
		for i := range bufs {
			bufs[i] = s.list[first+i].finish(bufs[i])
		}
	})
}

// Reset wipes the keys and forgets the messages.
func (s *Sealings) Reset() {
	clear(s.list)
	s.list, s.outlines = s.list[:0], s.outlines[:0]
}

// Format prints a placeholder for every verb.
func (Sealings) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Sealings(…)") }

// A Foresight holds the keys that the peer's next messages may use, as far as the session has
// derived them. With these keys, messages can be verified and decrypted before the session
// reaches them. This does not change the session: Engine.ReceiveAhead does everything that
// Receive does, and relies on the Foresight only if it has verified a message with exactly
// the keys that the session uses for it.
type Foresight struct {
	n    int
	keys [4]foreseenKeys
}

type foreseenKeys struct {
	senderID, recipientID uint32
	keys                  dataKeys
}

// An Ahead is the result of a Foresight for one message.
type Ahead struct {
	verified bool
	keys     dataKeys // the keys that verified and decrypted the message
}

// Verified reports whether the message was authentic under foreseen keys.
func (a *Ahead) Verified() bool { return a.verified }

// by reports whether the message was verified and decrypted with these keys.
func (a *Ahead) by(keys *dataKeys) bool {
	return a != nil && a.verified &&
		subtle.ConstantTimeCompare(a.keys.macKey[:], keys.macKey[:])&subtle.ConstantTimeCompare(a.keys.aes[:], keys.aes[:]) == 1
}

// Foresee sets f to the keys of the peer's next messages, for any number of messages; false:
// there are none yet.
func (e *Engine) Foresee(f *Foresight) bool {
	f.Wipe()
	s := e.session
	if s == nil {
		return false
	}
	for our := range s.pairs {
		for their, p := range s.pairs[our] {
			if p != nil {
				f.keys[f.n] = foreseenKeys{
					senderID:    s.theirID - uint32(latest-their),
					recipientID: s.ourID - uint32(latest-our),
					keys:        p.receive,
				}
				f.n++
			}
		}
	}
	return f.n > 0
}

// Open verifies messages, and decrypts those under foreseen keys in place. It leaves all
// others unchanged. msgs are whole messages with their headers; ahead has one entry for each.
// Several goroutines may call it at the same time for different messages.
func (f *Foresight) Open(msgs [][]byte, ahead []Ahead) {
	secret.Do(func() {
		for i, msg := range msgs {
			ahead[i] = Ahead{}
			f.open(msg, &ahead[i])
		}
	})
}

func (f *Foresight) open(msg []byte, ahead *Ahead) {
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		return
	}
	m, err := ParseData(body)
	if err != nil {
		return
	}
	for i := range f.keys[:f.n] {
		k := &f.keys[i]
		if k.senderID != m.SenderKeyID || k.recipientID != m.RecipientKeyID {
			continue
		}
		mac := authenticator(&k.keys.macKey, msg[:len(msg)-len(body)+m.Authenticated])
		if subtle.ConstantTimeCompare(mac[:], m.MAC) == 1 {
			*ahead = Ahead{verified: true, keys: k.keys}
			k.keys.crypt(m.Encrypted, m.Counter)
		}
		return
	}
}

// Wipe forgets the keys.
func (f *Foresight) Wipe() { *f = Foresight{} }

// Wipe forgets the keys.
func (a *Ahead) Wipe() { *a = Ahead{} }

// Format prints a placeholder for every verb.
func (Foresight) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Foresight(…)") }

// Format prints a placeholder for every verb.
func (Ahead) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Ahead(…)") }

// ReceiveAhead is Receive for a data message that was passed to Foresight.Open; ahead is the
// result for msg.
func (e *Engine) ReceiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (wire.Plaintext, error) {
	if h.Type != wire.TypeData {
		return wire.Plaintext{}, fmt.Errorf("%w: %v", ErrIgnored, h.Type)
	}
	return e.receiveData(body, msg, tlvs, ahead)
}
