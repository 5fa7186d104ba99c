package v3

import (
	"crypto/subtle"
	"fmt"
	"io"

	"otrpipe/internal/secret"
	"otrpipe/otr/wire"
)

// Sealings are data messages that have their keys and their places in the session and are
// still to be encrypted and authenticated.
type Sealings struct {
	list     []sealing
	outlines []byte // of all of them; public
}

// Settle takes the session to its next message as Seal does, and returns how long the
// message is, in bytes: Finish makes it. Until then p may not change. After an error nothing
// has changed.
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

// Finish makes messages, one for each of bufs, and appends it to that. first counts them from
// 0 in the order in which they were settled. It may be called for different messages at once,
// from several goroutines.
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

// Format prints a placeholder, whatever the verb.
func (Sealings) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Sealings(…)") }

// A Foresight has the keys that the peer's next messages may be under, as far as the
// session has derived them. With them messages can be verified and decrypted before the
// session has come to them. It changes nothing: Engine.ReceiveAhead does everything that
// Receive does, and takes from the Foresight only that a message has been verified by the
// very keys that the session arrives at.
type Foresight struct {
	n    int
	keys [4]foreseenKeys
}

type foreseenKeys struct {
	senderID, recipientID uint32
	keys                  dataKeys
}

// An Ahead is what a Foresight has made of one message.
type Ahead struct {
	verified bool
	keys     dataKeys // that the message was verified and decrypted with
}

// Verified says that the message was authentic under keys that were foreseen.
func (a *Ahead) Verified() bool { return a.verified }

// by says whether the message has been verified and decrypted with these keys.
func (a *Ahead) by(keys *dataKeys) bool {
	return a != nil && a.verified &&
		subtle.ConstantTimeCompare(a.keys.macKey[:], keys.macKey[:])&subtle.ConstantTimeCompare(a.keys.aes[:], keys.aes[:]) == 1
}

// Foresee sets f to the keys of the peer's next messages, however many; false: there are
// none yet.
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

// Open verifies messages and decrypts, in place, those that are under keys that were
// foreseen. What it leaves alone is as it was. msgs are whole messages with their
// headers; ahead has one entry for each. It may be called for different messages at once,
// from several goroutines.
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

// Format prints a placeholder, whatever the verb.
func (Foresight) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Foresight(…)") }

// Format prints a placeholder, whatever the verb.
func (Ahead) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Ahead(…)") }

// ReceiveAhead is Receive for a data message that a Foresight has opened as far as it
// could: ahead belongs to msg.
func (e *Engine) ReceiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, ahead *Ahead) (wire.Plaintext, error) {
	if h.Type != wire.TypeData {
		return wire.Plaintext{}, fmt.Errorf("%w: %v", ErrIgnored, h.Type)
	}
	return e.receiveData(body, msg, tlvs, ahead)
}
