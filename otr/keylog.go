package otr

import (
	"bytes"
	"fmt"
	"io"
)

// A SessionKey is a key with which data messages have been, or will be, encrypted, together
// with the fields that identify those messages. It prints as a placeholder.
type SessionKey struct {
	Version          int
	Sender, Receiver uint32 // instance tags; 0 in version 2
	// In versions 2 and 3, First and Second are the key ids of sender and recipient, and Key
	// is an AES key of 16 bytes. In version 4 they are the ids of the ratchet and the
	// message, and Key is MKenc, 64 bytes.
	First, Second uint32
	Key           []byte
}

// Format prints a placeholder for every verb.
func (SessionKey) Format(f fmt.State, _ rune) { io.WriteString(f, "otr.SessionKey(…)") }

// A keyLog collects the keys of a Conversation until its user takes them.
type keyLog struct{ keys []SessionKey }

func (l *keyLog) add(version int, ours, theirs uint32, sending bool, first, second uint32, key []byte) {
	k := SessionKey{Version: version, Sender: theirs, Receiver: ours, First: first, Second: second, Key: bytes.Clone(key)}
	if sending {
		k.Sender, k.Receiver = ours, theirs
	}
	if version == 2 {
		k.Sender, k.Receiver = 0, 0
	}
	l.keys = append(l.keys, k)
}

// wipe overwrites the keys that have not been taken.
func (l *keyLog) wipe() {
	if l == nil {
		return
	}
	for _, k := range l.keys {
		clear(k.Key)
	}
	l.keys = nil
}

// TakeKeys returns the keys of data messages that have been used, or in versions 2 and 3
// derived, since the last call. There are none unless Config.LogKeys is set. The caller has
// to wipe them.
func (c *Conversation) TakeKeys() []SessionKey {
	if c.log == nil {
		return nil
	}
	keys := c.log.keys
	c.log.keys = nil
	return keys
}
