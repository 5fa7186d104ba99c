package v4

import (
	"time"

	"otrpipe/internal/refine"
	"otrpipe/otr/group"
)

const (
	// maxSkip is how many messages of one chain may be missing before a received message. It
	// is the specification's example: enough for a network that loses and delays messages. A
	// message that claims so many costs several milliseconds of hashing, so there is a budget
	// for forged ones.
	maxSkip = 1000
	// MaxGap is maxSkip for a sender, who has to know how many messages it may lose.
	MaxGap = maxSkip
	// freeSkip is how many may be missing without using that budget: hashing for them takes
	// about as long as reading the line.
	freeSkip = 32
	// maxSkipped is how many keys of missing messages are kept at a time, a quarter of a
	// megabyte. The oldest are dropped first.
	maxSkipped = 1000
	// skippedLifetime is how long the key of a missing message is kept: an attacker who gets
	// the key later could read a message that was held back (section "Deletion of Stored
	// Message Keys").
	skippedLifetime = time.Hour
)

// ErrTooManySkipped is an ErrUnreadable: more than maxSkip messages before this one are
// missing.
var ErrTooManySkipped = refine.Error(&ErrUnreadable, ": too many messages before it are missing")

// Expire drops the keys of messages that have been missing for an hour, or for a month in a
// session that began offline. The same happens whenever a data message comes.
func (e *Engine) Expire(now time.Time) {
	if e.session != nil {
		e.session.expireSkipped(now)
	}
}

// NextExpiry returns when Expire is next due, or the zero time.
func (e *Engine) NextExpiry() time.Time {
	if e.session == nil || len(e.session.skipped) == 0 {
		return time.Time{}
	}
	return e.session.skipped[0].since.Add(e.session.skippedLife)
}

// skippedKey is an entry of skipped_MKenc: the keys of a missing message.
type skippedKey struct {
	ecdh  [group.PointLen]byte // the public key of the ratchet
	id    uint32               // the id of the message
	keys  messageKeys
	since time.Time
}

// skippedKeys holds entries in the order in which they were stored.
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

// add returns s with further entries. If it has to move the entries, it wipes the old memory.
func (s skippedKeys) add(entries ...skippedKey) skippedKeys {
	if len(s)+len(entries) <= cap(s) {
		return append(s, entries...)
	}
	moved := append(make(skippedKeys, 0, 2*len(s)+len(entries)), s...)
	clear(s)
	return append(moved, entries...)
}

// remove wipes n entries, starting at from, and closes the gap.
func (s *skippedKeys) remove(from, n int) {
	rest := append((*s)[:from], (*s)[from+n:]...)
	clear((*s)[len(rest):])
	*s = rest
}

// skipTo advances the receiving chain to message id and appends the keys of the messages
// before it to skipped.
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

// keepSkipped adds the keys that a message has skipped, and drops the oldest if there are too
// many.
func (s *session) keepSkipped(skipped skippedKeys) {
	s.skipped = s.skipped.add(skipped...)
	if over := len(s.skipped) - maxSkipped; over > 0 {
		s.dropSkipped(over)
	}
}

// expireSkipped drops keys older than skippedLife.
func (s *session) expireSkipped(now time.Time) {
	n := 0
	for n < len(s.skipped) && now.Sub(s.skipped[n].since) >= s.skippedLife {
		n++
	}
	s.dropSkipped(n)
}

// dropSkipped drops the oldest n keys. Their MAC keys will verify no further message, so they
// are revealed.
func (s *session) dropSkipped(n int) {
	for i := range s.skipped[:n] {
		mac := s.skipped[i].keys.enc.derive(group.UsageMACKey)
		s.retire(&mac)
	}
	s.skipped.remove(0, n)
}
