package v4

import (
	"bytes"
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// TLVExtraKey is the type of the record that tells the peer to use an extra symmetric key.
// The other types are those of version 3, whose wire.TLVSMP1Q and wire.TLVExtraKey version
// 4 does not have: its wire.TLVSMP1 always has a question.
const TLVExtraKey = 7

// parsePlaintext parses a decrypted data message; see wire.ParsePlaintext. Other than
// there, records that are cut short do not refuse the message: the text and the records
// before them count (section "TLV Record Types"), and so they do of more than wire.MaxTLVs.
func parsePlaintext(tlvs []wire.TLV, b []byte) wire.Plaintext {
	nul := bytes.IndexByte(b, 0)
	if nul < 0 {
		return wire.Plaintext{Text: b}
	}
	if tlvs = tlvs[:0]; tlvs == nil {
		tlvs = []wire.TLV{}
	}
	for r := wire.NewReader(b[nul+1:]); len(tlvs) < wire.MaxTLVs; {
		t := wire.TLV{Type: r.Short()}
		t.Value = r.Take(int(r.Short()))
		if r.Err() != nil {
			break
		}
		tlvs = append(tlvs, t)
	}
	return wire.Plaintext{Text: b[:nul:nul], TLVs: tlvs}
}

// MaxExtraKeys is how many extra symmetric keys one message can give.
const MaxExtraKeys = 10

// contextLen is how many bytes of a TLVExtraKey say what the key is for.
const contextLen = 4

// An ExtraKey is an extra symmetric key that a record of type TLVExtraKey stands for
// (section "Extra Symmetric Key"). It prints as a placeholder.
type ExtraKey struct {
	TLV int // the index of the record among those of its message
	Key [64]byte
}

// Format prints a placeholder for every verb.
func (ExtraKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.ExtraKey(…)") }

// ExtraKeys returns the extra symmetric keys of the last data message sent, or received:
// one for each of its first MaxExtraKeys records of type TLVExtraKey. A record that is too short to
// say what the key is for has a context of zeros. The slice is valid until the next message.
func (e *Engine) ExtraKeys(received bool) []ExtraKey {
	switch {
	case e.session == nil:
		return nil
	case received:
		return e.session.extraReceived
	}
	return e.session.extraSent
}

// appendExtraKeys derives the keys of a message's records: each KDF(index || context ||
// the key before it, 64), the first from the key that belongs to the message.
func appendExtraKeys(extra []ExtraKey, base *key, tlvs []wire.TLV) []ExtraKey {
	previous := base[:]
	for i, t := range tlvs {
		if t.Type != TLVExtraKey || len(extra) == MaxExtraKeys {
			continue
		}
		if cap(extra) < MaxExtraKeys { // at once: growing would leave copies behind
			extra = make([]ExtraKey, 0, MaxExtraKeys)
		}
		var context [contextLen]byte
		if len(t.Value) >= contextLen {
			copy(context[:], t.Value)
		}
		k := ExtraKey{TLV: i}
		group.KDF(k.Key[:], group.Usage(i), context[:], previous)
		extra = append(extra, k)
		previous = extra[len(extra)-1].Key[:]
	}
	return extra
}

// wipeExtraKeys empties the slice.
func wipeExtraKeys(extra []ExtraKey) []ExtraKey {
	clear(extra)
	return extra[:0]
}
