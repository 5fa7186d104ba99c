package offline

import (
	"errors"

	"otrpipe/commands/internal/exit"
	protocol "otrpipe/otr/offline"
)

// MaxPrekeys is the maximum number of unused prekeys to store.
const MaxPrekeys = protocol.MaxPrekeys

// Publish makes n prekeys. It returns their ensembles, one per line, and the number of unused
// prekeys. With a contact, they accept messages of that contact's keys only.
func (c *Config) Publish(n int, contact string) (lines []byte, left int, err error) {
	whom := protocol.For{Contact: contact}
	if contact != "" {
		if whom.Keys, err = contactKeys(c.Home, contact); err != nil {
			return nil, 0, err
		}
		if len(whom.Keys) == 0 {
			return nil, 0, exit.Errorf(exit.KeyFile, "no version 4 key of %s is on file", contact).
				WithHint("without one no message could be read; add it with otrpipe contacts add, or leave --contact out")
		}
	}
	err = c.update(func(store *protocol.Store) error {
		made, err := store.Publish(n, whom)
		if errors.Is(err, protocol.ErrFull) {
			return exit.Errorf(exit.Failure, "%w", exit.Plain(err)).WithHint("otrpipe prekeys revoke deletes unused ones")
		} else if err != nil {
			return exit.Failed(err)
		}
		for _, line := range made {
			lines = append(append(lines, line...), '\n')
		}
		left = len(store.Prekeys())
		return nil
	})
	return lines, left, err
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

// Forget deletes the named stored session, on this side only.
func (c *Config) Forget(name string) error {
	return c.update(func(store *protocol.Store) error {
		t, err := store.Session(name)
		if err != nil {
			return exit.Errorf(exit.Session, "no session %q is kept", name).WithHint("otrpipe prekeys list shows those that are")
		}
		store.Forget(t)
		return nil
	})
}
