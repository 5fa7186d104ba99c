// Package offline runs encrypt-stream and decrypt-stream for messages to people who are away,
// and manages the prekeys for them.
package offline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	protocol "otrpipe/otr/offline"
)

// A Config holds the identity to use and the checks that the peer must pass.
type Config struct {
	*terminal.IO
	Home     *keyfile.Home
	Identity *keyfile.Identity // opened from Home
	Trust    trust.Config
	Log      *events.Log

	Account, PeerAccount string
	Texts                bool          // mode lines
	MaxSize              int           // of a line; 0: any
	Last                 bool          // end the session with this message
	Raw                  bool          // texts as they came, newlines included
	Timeout              time.Duration // how long to wait for another process; 0: forever
}

// The keyfile takes every store: this does not compile otherwise.
const _ uint = keyfile.MaxOffline - protocol.MaxLen

// Apply sets the fields that the flags of a stream determine.
func (c *Config) Apply(o *options.Options) {
	c.Account, c.PeerAccount = o.Account, o.PeerAccount
	c.Texts, c.MaxSize, c.Raw, c.Timeout = o.Mode == options.ModeLines, o.MaxSize, o.Raw, o.Timeout
	c.Trust = trust.Config{Home: c.Home, Contact: o.Contact, Level: trust.Level(o.Trust), Expect: o.Expect, Speaks4: true}
}

// Close wipes the identity and closes the log.
func (c *Config) Close() {
	c.Identity.Wipe()
	c.Log.Close()
}

// parse reads a store from its stored form.
func (c *Config) parse(state []byte) (*protocol.Store, error) {
	return protocol.Parse(protocol.Config{
		InstanceTag: c.Identity.InstanceTag,
		Identity:    c.Identity.Ed448,
		Forging:     c.Identity.Forging,
		Account:     c.Account, PeerAccount: c.PeerAccount,
		Rand: rand.Reader, Now: time.Now,
	}, state)
}

// load returns the present contents of the store.
func (c *Config) load() (*protocol.Store, error) {
	state, err := c.Home.Offline(c.Identity)
	if err != nil {
		return nil, exit.Key(err)
	}
	defer clear(state)
	store, err := c.parse(state)
	if err != nil {
		return nil, exit.Errorf(exit.KeyFile, "prekeys of identity %q: %w", c.Identity.Name, exit.Plain(err))
	}
	return store, nil
}

// update changes the store on the disk, in one step.
func (c *Config) update(change func(store *protocol.Store) error) error {
	err := c.Home.UpdateOffline(c.Identity, func(state []byte) ([]byte, error) {
		store, err := c.parse(state)
		if err != nil {
			return nil, err
		}
		defer store.Wipe()
		store.Expire()
		if err := change(store); err != nil {
			return nil, err
		}
		return store.Append(nil)
	})
	var e *exit.Error
	if err == nil || errors.As(err, &e) {
		return err
	}
	return exit.Key(err)
}

// put stores a session in the state that it will have after ahead more messages.
func (c *Config) put(t *protocol.Session, ahead int) error {
	return c.update(func(store *protocol.Store) error { return store.Put(t, ahead) })
}

// lock keeps other processes from reading, replying, and beginning sessions with texts.
func (c *Config) lock() (unlock func(), err error) {
	ctx := context.Background()
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	unlock, err = c.Home.LockOffline(ctx, c.Identity.Name)
	if errors.Is(err, keyfile.ErrLocked) {
		return nil, exit.Errorf(exit.Session, "%w", exit.Plain(err)).
			WithHint("one process at a time reads, replies or writes texts; wait for the other, or raise --timeout")
	}
	return unlock, exit.Key(err)
}

// newMeter shows how far the message is, unless the terminal shows what is read or written.
func (c *Config) newMeter(verb string) *terminal.Meter {
	shown := *c.IO
	shown.Quiet = shown.Quiet || terminal.Is(c.In) || terminal.Is(c.Out)
	return terminal.NewMeter(&shown, verb)
}

// A peer is whom a message is to or from.
type peer struct {
	fingerprint keys.Fingerprint
	session     string // the session's id; "": there is none yet
	instance    uint32
}

// meet makes every check of a peer's key before anything is encrypted to it or shown from it,
// and then stores the key. doing completes messages: "encrypting to" or "from".
func (c *Config) meet(p peer, doing string) error {
	keeper := trust.NewKeeper(c.Trust)
	s := otr.Session{Version: 4, Fingerprint: p.fingerprint, PeerInstance: p.instance, Since: time.Now()}
	if id, err := hex.DecodeString(p.session); err == nil {
		copy(s.SSID[:], id)
	}
	v := keeper.Meet(s, time.Now())
	c.event(events.Record{Event: events.Secure, Peer: &events.Peer{
		Version: 4, Fingerprint: p.fingerprint.Hex(), Contact: c.contact(), Trust: string(v.Standing),
		SSID: p.session, Instance: events.Instance(p.instance),
	}})
	if v.Err != nil {
		return v.Err
	}
	var refused *exit.Error
	_, unkept := keeper.Trusted(s, time.Now())
	if errors.As(unkept, &refused) {
		return refused
	}
	name := terminal.Visible(c.Trust.Contact)
	switch v.Standing {
	case trust.Unverified:
		c.Note("%s OTRv4 key %v", doing, p.fingerprint)
		c.Warn("the peer's key is unverified: no --contact was given")
		c.Advise("--contact NAME remembers the key for the next time, --expect FINGERPRINT takes one key only")
	case trust.New:
		c.Note("%s %s, OTRv4 key %v (%s)", doing, name, p.fingerprint, v.Standing)
		if others := keeper.Namesakes(p.fingerprint); len(others) > 0 {
			c.Warn("this key is also on file for %s", terminal.Visible(strings.Join(others, ", ")))
			c.Advise("if it is not the key of %s: otrpipe contacts remove %s", name, exit.ShellWord(c.Trust.Contact))
		}
	default:
		if name == "" {
			name = "the expected key"
		}
		c.Note("%s %s, OTRv4 (%s)", doing, name, v.Standing)
		c.Detail("the key is %v", p.fingerprint)
	}
	if unkept != nil {
		c.Warn("the key of %s is not put on file: %v", name, exit.Plain(unkept))
	}
	return nil
}

func (c *Config) contact() *string {
	if c.Trust.Contact == "" {
		return nil
	}
	return &c.Trust.Contact
}

func (c *Config) event(r events.Record) { c.Log.Write(time.Now(), r) }

// ended logs the event with which every run ends, and returns err.
func (c *Config) ended(err error) error {
	code, message := exit.OK, ""
	if err != nil {
		e := exit.As(err)
		code, message = e.Code, e.Error()
	}
	c.event(events.Record{Event: events.Ended, Code: &code, Message: message})
	return err
}
