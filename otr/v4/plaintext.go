package v4

import (
	"bytes"
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// TLVExtraKey is the type of the record that tells the peer to use an extra symmetric key.
// The other types are those of version 3, except wire.TLVSMP1Q and wire.TLVExtraKey: version
// 4's wire.TLVSMP1 always has a question.
const TLVExtraKey = 7

// parsePlaintext parses a decrypted data message; see wire.ParsePlaintext. Unlike there, a
// truncated record does not make the message invalid: the text and the records before it
// count (section "TLV Record Types"). The same is true if there are more than wire.MaxTLVs
// records.
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

// MaxExtraKeys is the maximum number of extra symmetric keys of one message.
const MaxExtraKeys = 10

// contextLen is the length of the context in a TLVExtraKey, in bytes: it says what the key is
// for.
const contextLen = 4

// An ExtraKey is the extra symmetric key of a record of type TLVExtraKey (section "Extra
// Symmetric Key"). It prints as a placeholder.
type ExtraKey struct {
	TLV int // the index of the record among those of its message
	Key [64]byte
}

// Format prints a placeholder for every verb.
func (ExtraKey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.ExtraKey(…)") }

// ExtraKeys returns the extra symmetric keys of the last data message sent, or received: one
// for each of its first MaxExtraKeys records of type TLVExtraKey. A record that is too short
// for a context has a context of zeros. The slice is valid until the next message.
func (e *Engine) ExtraKeys(received bool) []ExtraKey {
	switch {
	case e.session == nil:
		return nil
	case received:
		return e.session.extraReceived
	}
	return e.session.extraSent
}

// appendExtraKeys derives the keys of a message's records: each KDF(index || context || the
// previous key, 64), the first one from the key of the message.
func appendExtraKeys(extra []ExtraKey, base *key, tlvs []wire.TLV) []ExtraKey {
	previous := base[:]
	for i, t := range tlvs {
		if t.Type != TLVExtraKey || len(extra) == MaxExtraKeys {
			continue
		}
		if cap(extra) < MaxExtraKeys { // allocate once, because growing would leave copies behind
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
