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

// A Recipient is a person who is away and can be written to: one valid ensemble.
type Recipient struct{ r *v4.Recipient }

// Fingerprint returns the fingerprint of the ensemble's publisher.
func (r *Recipient) Fingerprint() keys.Fingerprint { return r.r.Peer.Fingerprint() }

// InstanceTag returns the instance that published it.
func (r *Recipient) InstanceTag() uint32 { return r.r.InstanceTag() }

// PrekeyID returns the identifier of its prekey, as in a Prekey of its publisher.
func (r *Recipient) PrekeyID() uint32 { return r.r.Ensemble.Message.ID }

// Expires returns when its prekey profile expires. The recipient can read a message to it
// until a day later.
func (r *Recipient) Expires() time.Time { return r.r.Expires() }

// UsedMark replaces the first characters of a used ensemble, "?OTRP:", in a file of
// ensembles, so that it is not found again.
const UsedMark = v4.UsedMark

// UnusedMark is the text that UsedMark replaces.
const UnusedMark = v4.UnusedMark

// Places returns the offsets in text, in bytes, at which the recipient's ensemble begins with
// UnusedMark. It may occur several times, or not at all.
func (r *Recipient) Places(text []byte) []int { return r.r.Ensemble.Places(text) }

// ReadEnsembles finds the ensembles in text and validates them at now; see v4.ReadEnsembles.
// refused contains the reasons why others were rejected.
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

// Choose picks the recipient to write to. If keys or an instance are given (0: any instance),
// only their ensembles count. It never guesses whom to write to: the error is ErrSeveral if
// several keys or instances are left. Of one owner's ensembles it considers those that expire
// last, and picks one of these at random, so that strangers who share a file rarely pick the
// same one. It never picks one that this store has used. The error is ErrNoEnsemble if none
// is left.
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

// Write begins a session with a recipient who is away. It returns the session and a line,
// without its line end, that has to be sent before all output of a Writer. The ensemble
// counts as used from now on: store the store before sending the line. If the ensemble has
// been used before, the error is ErrNoEnsemble.
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

// Spend marks the ensemble of to as used, in a copy of the store other than the one that
// wrote to it. It reports whether the ensemble was unused.
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

// Unspend makes the ensemble of a recipient unused again, because nothing of the message to it has
// been sent.
func (s *Store) Unspend(to *Recipient) {
	digest := to.r.Ensemble.Digest()
	s.spent = slices.DeleteFunc(s.spent, func(spent spentEnsemble) bool { return spent.digest == digest })
}
