package offline

import (
	"errors"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/keys"
	protocol "otrpipe/otr/offline"
)

// MaxPrekeys is the maximum number of unused prekeys to store.
const MaxPrekeys = protocol.MaxPrekeys

// Prekeys are new prekeys, whose ensembles have to be handed out.
type Prekeys struct {
	Ensembles []byte // one per line
	Unused    int    // the number of unused prekeys, old and new
	ids       []uint32
	ends      []int // the offset in Ensembles at which each ends, before its line end
}

// Publish makes n prekeys. With a contact, they accept messages of that contact's keys only.
func (c *Config) Publish(n int, contact string) (*Prekeys, error) {
	made := new(Prekeys)
	whom := protocol.For{Contact: contact}
	if contact != "" {
		var err error
		if whom.Keys, err = contactKeys(c.Home, contact); err != nil {
			return nil, err
		}
		if len(whom.Keys) == 0 {
			return nil, exit.Errorf(exit.KeyFile, "no version 4 key of %s is on file", contact).
				WithHint("without one no message could be read; add it with otrpipe contacts add, or leave --contact out")
		}
	}
	err := c.update(func(store *protocol.Store) error {
		lines, err := store.Publish(n, whom)
		if errors.Is(err, protocol.ErrFull) {
			return exit.Errorf(exit.Failure, "%w", exit.Plain(err)).WithHint("otrpipe prekeys revoke deletes unused ones")
		} else if err != nil {
			return exit.Failed(err)
		}
		for _, line := range lines {
			made.Ensembles = append(made.Ensembles, line...)
			made.ends = append(made.ends, len(made.Ensembles))
			made.Ensembles = append(made.Ensembles, '\n')
		}
		all := store.Prekeys()
		made.Unused = len(all)
		for _, k := range all[len(all)-n:] {
			made.ids = append(made.ids, k.ID)
		}
		return nil
	})
	return made, err
}

// Withdraw deletes new prekeys that nobody can have got, because only the first written bytes of
// the ensembles have been written. It returns how many stay.
func (c *Config) Withdraw(made *Prekeys, written int) (stay int, err error) {
	for stay < len(made.ends) && made.ends[stay] <= written {
		stay++
	}
	_, err = c.Revoke(false, "", made.ids[stay:])
	return stay, err
}

// Published returns the identifiers of the identity's prekeys whose ensembles are in file and not
// marked as used.
func (c *Config) Published(file []byte) (ids []uint32) {
	valid, _ := protocol.ReadEnsembles(file, time.Now())
	ours := keys.Ed448Fingerprint(c.Identity.Ed448.Public(), c.Identity.Forging)
	for _, r := range valid {
		if r.Fingerprint() == ours && r.InstanceTag() == c.Identity.InstanceTag {
			ids = append(ids, r.PrekeyID())
		}
	}
	return ids
}

// Revoke deletes unused prekeys: those for a contact, those with an id, or all. It returns how
// many it deleted.
func (c *Config) Revoke(all bool, contact string, ids []uint32) (n int, err error) {
	err = c.update(func(store *protocol.Store) error {
		n = store.Revoke(func(k protocol.Prekey) bool {
			if all || contact != "" && k.Contact == contact {
				return true
			}
			for _, id := range ids {
				if id == k.ID {
					return true
				}
			}
			return false
		})
		return nil
	})
	return n, err
}

// forgetPatience is how long Forget waits for a process that reads or replies.
const forgetPatience = 10 * time.Second

// Forget deletes the named stored session, on this side only. It does not do so while another process
// reads or replies, because that may be about to store the session again.
func (c *Config) Forget(name string) error {
	waiting := *c
	if waiting.Timeout == 0 {
		waiting.Timeout = forgetPatience
	}
	unlock, err := waiting.lock()
	if err != nil {
		return exit.As(err).WithHint("wait for the other process, or end it: it may store the session again")
	}
	defer unlock()
	return c.update(func(store *protocol.Store) error {
		t, err := store.Session(name)
		if err != nil {
			return exit.Errorf(exit.Session, "no session %q is kept", name).WithHint("otrpipe prekeys list shows those that are")
		}
		store.Forget(t)
		return nil
	})
}
