package v4

import (
	"bytes"
	"errors"
	"time"
)

const (
	// maxEarly and maxEarlyBytes bound the data messages that are kept until the Auth-I
	// that they overtook. A peer sends a few at most before it hears of us.
	maxEarly      = 16
	maxEarlyBytes = 1 << 20
	// earlyLifetime is how long one is kept: the least that the specification recommends
	// ("Receiving a Data Message").
	earlyLifetime = 10 * time.Minute
)

// ErrEarly says that a data message cannot be read before the Auth-I that we wait for, and
// has been kept until then; see Early.
var ErrEarly = errors.New("v4: data message kept until the key exchange has ended")

// earlyMessage is a data message that came before the Auth-I.
type earlyMessage struct {
	msg   []byte
	since time.Time
}

// keepEarly keeps a data message that no session of ours can read, while we wait for an
// Auth-I that may have been overtaken. It reports false where it is not to be kept.
func (e *Engine) keepEarly(msg []byte) bool {
	a := e.exchange.answer
	if a == nil || len(a.early) == maxEarly {
		return false
	}
	size := len(msg)
	for _, m := range a.early {
		size += len(m.msg)
	}
	if size > maxEarlyBytes {
		return false
	}
	a.early = append(a.early, earlyMessage{msg: bytes.Clone(msg), since: e.client.Now()})
	return true
}

// Early returns the data messages that came before the Auth-I of the current session, in
// their order, and forgets them. Each is to be given to Receive, now that it may be read.
func (e *Engine) Early() [][]byte {
	var messages [][]byte
	for _, m := range e.early {
		if e.client.Now().Sub(m.since) < earlyLifetime {
			messages = append(messages, m.msg)
		}
	}
	e.early = nil
	return messages
}
