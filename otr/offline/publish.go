package offline

import (
	"fmt"
	"slices"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
)

const (
	// Lifetime is how long a publication lives, rounded up to a UTC midnight, so that it does
	// not tell when it was made.
	Lifetime = 7 * 24 * time.Hour
	// renewal is how much a publication must still have to live for more prekeys to be
	// published with it; with less, a new shared prekey is made.
	renewal = Lifetime / 2
)

// For says whom prekeys are published for.
type For struct {
	Contact string             // a name to list them by
	Keys    []keys.Fingerprint // whose messages they take; none: anybody's
}

// Publish makes n prekeys and returns their ensembles, a line each without its line end.
// They take messages of the keys of whom only. ErrFull if the store would hold more than
// MaxPrekeys.
//
// The lines must not be handed out before the store is stored.
func (s *Store) Publish(n int, whom For) ([][]byte, error) {
	s.Expire()
	if n < 1 || len(s.prekeys)+n > MaxPrekeys {
		return nil, fmt.Errorf("%w: there are %d, and a store holds %d", ErrFull, len(s.prekeys), MaxPrekeys)
	}
	if len(whom.Keys) > maxOnly || len(whom.Contact) > maxContact {
		return nil, fmt.Errorf("%w: %d keys of %q", ErrTooLong, len(whom.Keys), whom.Contact)
	}
	p, err := s.publication()
	if err != nil {
		return nil, err
	}
	var lines [][]byte
	for range n {
		k, err := s.client.NewPrekey(s.knows)
		if err != nil {
			return nil, err
		}
		s.prekeys = append(s.prekeys, &prekey{key: k, publication: p, contact: whom.Contact, only: slices.Clone(whom.Keys)})
		lines = append(lines, p.Ensemble(k).AppendArmor(nil))
	}
	return lines, nil
}

// publication returns the one to publish with, made anew if the last one has not long to
// live.
func (s *Store) publication() (*v4.Publication, error) {
	now := s.config.Now()
	if n := len(s.publications); n > 0 && s.publications[n-1].Expires().Sub(now) >= renewal {
		return s.publications[n-1], nil
	}
	const day = 24 * time.Hour
	expires := now.UTC().Add(Lifetime + day - 1).Truncate(day)
	p, err := s.client.NewPublication(expires)
	if err != nil {
		return nil, err
	}
	s.publications = append(s.publications, p)
	return p, nil
}

// knows says whether the identifier of a prekey is taken, or was.
func (s *Store) knows(id uint32) bool {
	return slices.ContainsFunc(s.prekeys, func(k *prekey) bool { return k.key.ID == id }) ||
		slices.ContainsFunc(s.gone, func(g gonePrekey) bool { return g.id == id })
}

// A Prekey describes an unused prekey.
type Prekey struct {
	ID      uint32
	Expires time.Time // of its profiles; it can be used for a day longer
	Contact string    // whom it was published for; empty: anybody
}

// Prekeys lists the unused prekeys in the order of their publication.
func (s *Store) Prekeys() []Prekey {
	list := make([]Prekey, 0, len(s.prekeys))
	for _, k := range s.prekeys {
		list = append(list, Prekey{ID: k.key.ID, Expires: k.publication.Expires(), Contact: k.contact})
	}
	return list
}

// Revoke deletes the prekeys that which chooses and returns how many there were. Messages
// that were written to them cannot be read any more. A publication without a prekey goes
// too, with its shared prekey.
func (s *Store) Revoke(which func(Prekey) bool) int {
	before := len(s.prekeys)
	list := s.Prekeys()
	var left []*prekey
	used := make(map[*v4.Publication]bool)
	for i, k := range s.prekeys {
		if which(list[i]) {
			s.forget(k, whyRevoked)
			continue
		}
		left = append(left, k)
		used[k.publication] = true
	}
	s.prekeys = left
	s.publications = slices.DeleteFunc(s.publications, func(p *v4.Publication) bool {
		if used[p] {
			return false
		}
		p.Wipe()
		return true
	})
	return before - len(left)
}
