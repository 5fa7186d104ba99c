package v4

import (
	"time"

	"otrpipe/internal/refine"
	"otrpipe/otr/group"
)

const (
	// maxSkip is how many messages of one chain may be missing before a message that
	// has come. It is the specification's example: enough for a network that loses and
	// delays. A message that claims it costs several milliseconds of hashing, so forged
	// ones have a budget.
	maxSkip = 1000
	// freeSkip is how many may be missing without a check of that budget: their hashing
	// takes about as long as reading the line.
	freeSkip = 32
	// maxSkipped is how many keys of messages that have not come are kept at a time,
	// a quarter of a megabyte. The oldest go first.
	maxSkipped = 1000
	// skippedLifetime is how long the key of a message that has not come is kept: who
	// gets hold of it later could read a message that was held back ("Deletion of
	// Stored Message Keys").
	skippedLifetime = time.Hour
)

// ErrTooManySkipped is an ErrUnreadable: more than maxSkip messages before this one have
// not come.
var ErrTooManySkipped = refine.Error(&ErrUnreadable, ": too many messages before it are missing")

// Expire lets go of the keys of messages that have not come for an hour, or in a session
// that began offline for a month. It is also done
// with every data message that comes.
func (e *Engine) Expire(now time.Time) {
	if e.session != nil {
		e.session.expireSkipped(now)
	}
}

// NextExpiry returns when Expire will have something to do, or the zero time.
func (e *Engine) NextExpiry() time.Time {
	if e.session == nil || len(e.session.skipped) == 0 {
		return time.Time{}
	}
	return e.session.skipped[0].since.Add(e.session.skippedLife)
}

// skippedKey is an entry of skipped_MKenc: the keys of a message that has not come.
type skippedKey struct {
	ecdh  [group.PointLen]byte // of the ratchet
	id    uint32               // of the message
	keys  messageKeys
	since time.Time
}

// skippedKeys are in the order in which they were stored.
type skippedKeys []skippedKey

// find returns the index of the entry, or -1.
func (s skippedKeys) find(ecdh []byte, id uint32) int {
	for i := range s {
		if s[i].id == id && string(s[i].ecdh[:]) == string(ecdh) {
			return i
		}
	}
	return -1
}

// add returns s with further entries. Where it has to move it wipes the old place.
func (s skippedKeys) add(entries ...skippedKey) skippedKeys {
	if len(s)+len(entries) <= cap(s) {
		return append(s, entries...)
	}
	moved := append(make(skippedKeys, 0, 2*len(s)+len(entries)), s...)
	clear(s)
	return append(moved, entries...)
}

// remove wipes the first n entries behind from and closes the gap.
func (s *skippedKeys) remove(from, n int) {
	rest := append((*s)[:from], (*s)[from+n:]...)
	clear((*s)[len(rest):])
	*s = rest
}

// skipTo takes the receiving chain to message id and appends the keys of those before it
// to skipped.
func (r *ratchet) skipTo(id uint32, now time.Time, skipped skippedKeys) (skippedKeys, error) {
	if !r.receiving || id <= r.k {
		return skipped, nil
	}
	if id-r.k > maxSkip {
		return skipped, ErrTooManySkipped
	}
	for r.k < id {
		entry := skippedKey{ecdh: r.theirPublic, id: r.k, since: now}
		var err error
		if entry.keys, err = r.nextReceiving(nil); err != nil {
			return skipped, err
		}
		skipped = skipped.add(entry)
	}
	return skipped, nil
}

// keepSkipped takes over the keys that a message has skipped, and lets go of the oldest.
func (s *session) keepSkipped(skipped skippedKeys) {
	s.skipped = s.skipped.add(skipped...)
	if over := len(s.skipped) - maxSkipped; over > 0 {
		s.dropSkipped(over)
	}
}

// expireSkipped lets go of keys older than skippedLife.
func (s *session) expireSkipped(now time.Time) {
	n := 0
	for n < len(s.skipped) && now.Sub(s.skipped[n].since) >= s.skippedLife {
		n++
	}
	s.dropSkipped(n)
}

// dropSkipped lets go of the oldest n keys. Nothing can be verified by their MAC keys any
// more, so those are revealed.
func (s *session) dropSkipped(n int) {
	for i := range s.skipped[:n] {
		mac := s.skipped[i].keys.enc.derive(group.UsageMACKey)
		s.retire(&mac)
	}
	s.skipped.remove(0, n)
}
