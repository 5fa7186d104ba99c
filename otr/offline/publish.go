package offline

import (
	"fmt"
	"slices"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
)

const (
	// Lifetime is how long a publication is valid. Its end is rounded up to midnight UTC, so
	// that it does not reveal the time of day when the publication was made.
	Lifetime = 7 * 24 * time.Hour
	// renewal is the remaining lifetime that a publication needs for further prekeys to be
	// published with it. If less is left, a new publication with a new shared prekey is made.
	renewal = Lifetime / 2
)

// For describes for whom prekeys are published.
type For struct {
	Contact string             // the name to show in lists
	Keys    []keys.Fingerprint // the keys whose messages they accept; none: anyone's
}

// Publish makes n prekeys and returns their ensembles, one per line, without line ends. They
// accept only messages from the keys in whom. The error is ErrFull if the store would have
// more than MaxPrekeys.
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

// publication returns the publication to use: a new one if the last one expires soon, or later than
// a new one would, because the clock was wrong when it was made.
func (s *Store) publication() (*v4.Publication, error) {
	now := s.config.Now()
	const day = 24 * time.Hour
	expires := now.UTC().Add(Lifetime + day - 1).Truncate(day)
	if n := len(s.publications); n > 0 {
		last := s.publications[n-1].Expires()
		if last.Sub(now) >= renewal && !last.After(expires) {
			return s.publications[n-1], nil
		}
	}
	p, err := s.client.NewPublication(expires)
	if err != nil {
		return nil, err
	}
	s.publications = append(s.publications, p)
	return p, nil
}

// knows reports whether the identifier of a prekey is in use, or was.
func (s *Store) knows(id uint32) bool {
	return slices.ContainsFunc(s.prekeys, func(k *prekey) bool { return k.key.ID == id }) ||
		slices.ContainsFunc(s.gone, func(g gonePrekey) bool { return g.id == id })
}

// A Prekey describes an unused prekey.
type Prekey struct {
	ID      uint32
	Expires time.Time // when its profiles expire; it can be used for a day longer
	Contact string    // for whom it was published; empty: anyone
}

// Prekeys lists the unused prekeys in the order of their publication.
func (s *Store) Prekeys() []Prekey {
	list := make([]Prekey, 0, len(s.prekeys))
	for _, k := range s.prekeys {
		list = append(list, Prekey{ID: k.key.ID, Expires: k.publication.Expires(), Contact: k.contact})
	}
	return list
}

// Revoke deletes the prekeys for which which returns true, and returns their number. Messages
// that were written to them can no longer be read. It also deletes publications without
// prekeys, and their shared prekeys.
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
