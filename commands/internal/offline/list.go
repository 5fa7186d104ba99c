package offline

import (
	"fmt"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	protocol "otrpipe/otr/offline"
)

// A List holds what is stored for messages to people who are away, as prekeys list prints it.
type List struct {
	Identity string          `json:"identity"`
	Prekeys  []listedPrekey  `json:"prekeys"`
	Sessions []listedSession `json:"sessions"`
}

type listedPrekey struct {
	ID      string  `json:"id"`      // eight hexadecimal digits
	Contact *string `json:"contact"` // null: anybody
	Expires string  `json:"expires"` // RFC 3339: from then on nobody encrypts to it
	Usable  string  `json:"usable"`  // RFC 3339: from then on nothing can be decrypted with it
}

type listedSession struct {
	Session     string  `json:"session"`
	Contact     *string `json:"contact"`
	Fingerprint string  `json:"fingerprint"`
	Began       string  `json:"began"` // who wrote the first message: "us" or "peer"
	Unread      bool    `json:"unread"`
	Ended       bool    `json:"ended"` // the peer has ended it, but messages are missing
	Used        string  `json:"used"`  // RFC 3339
}

// List reads what is stored, after deleting what has expired.
func (c *Config) List() (List, error) {
	list := List{Identity: c.Identity.Name, Prekeys: []listedPrekey{}, Sessions: []listedSession{}}
	state, err := c.Home.Offline(c.Identity)
	if err != nil {
		return list, exit.Key(err)
	}
	none := state == nil
	clear(state)
	if none {
		return list, nil
	}
	if err := c.update(func(*protocol.Store) error { return nil }); err != nil {
		return list, err
	}
	store, err := c.load()
	if err != nil {
		return list, err
	}
	defer store.Wipe()
	for _, k := range store.Prekeys() {
		list.Prekeys = append(list.Prekeys, listedPrekey{
			ID: fmt.Sprintf("%08x", k.ID), Contact: named(k.Contact),
			Expires: rfc3339(k.Expires), Usable: rfc3339(k.Expires.Add(usableAfter)),
		})
	}
	for _, t := range store.Sessions() {
		began := "peer"
		if t.Began() {
			began = "us"
		}
		list.Sessions = append(list.Sessions, listedSession{
			Session: t.ID(), Contact: named(t.Contact), Fingerprint: t.Fingerprint().Hex(),
			Began: began, Unread: t.Unread(), Ended: t.Closed(), Used: rfc3339(t.Used()),
		})
	}
	return list, nil
}

// usableAfter is how long an expired prekey is kept for messages that were encrypted to it
// before it expired.
const usableAfter = 24 * time.Hour

func named(contact string) *string {
	if contact == "" {
		return nil
	}
	return &contact
}

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// Text counts the prekeys by contact and expiry, and has one line per session.
func (l List) Text() string {
	type kind struct{ contact, expires string }
	counts := map[kind]int{}
	var kinds []kind
	for _, k := range l.Prekeys {
		of := kind{"anybody", k.Expires}
		if k.Contact != nil {
			of.contact = *k.Contact
		}
		if counts[of]++; counts[of] == 1 {
			kinds = append(kinds, of)
		}
	}
	var b strings.Builder
	for _, of := range kinds {
		fmt.Fprintf(&b, "%s for %s, until %s\n", terminal.Count(counts[of], "prekey"), terminal.Visible(of.contact), of.expires)
	}
	for _, t := range l.Sessions {
		peer := t.Fingerprint
		if t.Contact != nil {
			peer = *t.Contact
		}
		state := "used " + t.Used
		switch {
		case t.Ended:
			state = "ended by the other side, messages are missing"
		case t.Unread:
			state = "not read to its end"
		}
		fmt.Fprintf(&b, "session %s with %s, %s\n", t.Session, terminal.Visible(peer), state)
	}
	return b.String()
}
