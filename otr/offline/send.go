package offline

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A Recipient is somebody to write to who is away: one valid ensemble.
type Recipient struct{ r *v4.Recipient }

// Fingerprint returns the fingerprint of whoever published the ensemble.
func (r *Recipient) Fingerprint() keys.Fingerprint { return r.r.Peer.Fingerprint() }

// InstanceTag returns the instance that published it.
func (r *Recipient) InstanceTag() uint32 { return r.r.InstanceTag() }

// Expires returns when its prekey profile expires. The recipient can read a message to it
// until a day later.
func (r *Recipient) Expires() time.Time { return r.r.Expires() }

// UsedMark stands for the first characters of an ensemble, "?OTRP:", in a file whose owner
// has used it: nobody finds it there again.
const UsedMark = v4.UsedMark

// UnusedMark is what UsedMark replaces.
const UnusedMark = v4.UnusedMark

// Places returns the offsets in text at which the recipient's ensemble begins, with
// UnusedMark. It may be there several times, or not at all.
func (r *Recipient) Places(text []byte) []int { return r.r.Ensemble.Places(text) }

// ReadEnsembles finds the ensembles in text and validates them at now; see
// v4.ReadEnsembles. refused says why others do not count.
func ReadEnsembles(text []byte, now time.Time) (valid []*Recipient, refused []error) {
	found, bad := v4.ReadEnsembles(text, now)
	for _, r := range found {
		valid = append(valid, &Recipient{r})
	}
	for _, r := range bad {
		refused = append(refused, r)
	}
	return valid, refused
}

// Choose picks the recipient to write to. Only those of the given keys and instance count,
// where any are given (0: any instance). Whom to write to is never guessed: ErrSeveral if
// several keys or instances are left. Of one owner's it takes those that expire last and of
// these one at random, so that strangers who share a file seldom take the same; never one
// that this store has used. ErrNoEnsemble if none is left.
func (s *Store) Choose(valid []*Recipient, of []keys.Fingerprint, instance uint32) (*Recipient, error) {
	var left []*Recipient
	for _, r := range valid {
		if (len(of) == 0 || slices.Contains(of, r.Fingerprint())) && (instance == 0 || instance == r.InstanceTag()) {
			left = append(left, r)
		}
	}
	for _, r := range left {
		if r.Fingerprint() != left[0].Fingerprint() || r.InstanceTag() != left[0].InstanceTag() {
			return nil, ErrSeveral
		}
	}
	if len(left) == 0 {
		return nil, ErrNoEnsemble
	}
	unused := slices.DeleteFunc(left, func(r *Recipient) bool { return s.hasSpent(r.r.Ensemble.Digest()) })
	if len(unused) == 0 {
		return nil, fmt.Errorf("%w: all %d have been used", ErrNoEnsemble, len(left))
	}
	latest := slices.MaxFunc(unused, func(a, b *Recipient) int { return a.Expires().Compare(b.Expires()) }).Expires()
	unused = slices.DeleteFunc(unused, func(r *Recipient) bool { return !r.Expires().Equal(latest) })
	var draw [8]byte
	if _, err := io.ReadFull(s.config.Rand, draw[:]); err != nil {
		return nil, fmt.Errorf("offline: choosing an ensemble: %w", err)
	}
	return unused[binary.BigEndian.Uint64(draw[:])%uint64(len(unused))], nil
}

func (s *Store) hasSpent(digest [32]byte) bool {
	return slices.ContainsFunc(s.spent, func(e spentEnsemble) bool { return e.digest == digest })
}

// Write begins a session with somebody who is away. It returns the session and the line,
// without its line end, that comes before everything that a Writer of the session makes. The
// ensemble counts as used from now on: store the store before the line goes out. An ensemble
// that has been used is ErrNoEnsemble.
func (s *Store) Write(to *Recipient) (*Session, []byte, error) {
	digest := to.r.Ensemble.Digest()
	if s.hasSpent(digest) {
		return nil, nil, fmt.Errorf("%w: it has been used", ErrNoEnsemble)
	}
	msg, engine, err := s.client.WriteTo(to.r)
	if err != nil {
		return nil, nil, err
	}
	s.spent = append(s.spent, spentEnsemble{digest, to.Expires()})
	if over := len(s.spent) - maxSpent; over > 0 {
		s.spent = slices.Delete(s.spent, 0, over)
	}
	return newSession(engine, s.config.Now()), wire.AppendArmor(nil, msg), nil
}

// Spend marks the ensemble of to as used, in another copy of the store than the one that
// wrote to it. It says whether it was unused.
func (s *Store) Spend(to *Recipient) bool {
	digest := to.r.Ensemble.Digest()
	if s.hasSpent(digest) {
		return false
	}
	s.spent = append(s.spent, spentEnsemble{digest, to.Expires()})
	if over := len(s.spent) - maxSpent; over > 0 {
		s.spent = slices.Delete(s.spent, 0, over)
	}
	return true
}
