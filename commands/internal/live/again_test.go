package live

import (
	"net"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// prepared returns a session in mode lines that one of the test's identities holds.
func prepared(t *testing.T, who int, secret string) (*Session, *otr.Conversation) {
	t.Helper()
	o, err := options.Values{
		options.ModeFlag: {options.ModeLines}, options.OTRFlag: {"3"}, options.StayFlag: {"true"},
	}.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	if secret != "" {
		o.SMP = []byte(secret)
	}
	s := newSession(t, "end")
	identity := *identities()[who]
	c, err := s.Prepare(Setup{Options: o, KeepIdentity: true, Open: func(<-chan struct{}) (*keyfile.Identity, error) {
		return &identity, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Finish(nil) })
	return s, c
}

// over runs a session over a wire, until the wire ends or at most until the test does.
func over(t *testing.T, s *Session, c *otr.Conversation, wire net.Conn) <-chan error {
	ended, gone := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		ended <- s.Run(c, wire, func() (*Payload, error) { return &Payload{Show: func(string) {}}, nil })
	}()
	t.Cleanup(func() {
		wire.Close()
		<-gone
	})
	return ended
}

func (s *Session) awaitTrust(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); !s.Snapshot().Trusted; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the peer does not pass the checks")
		}
	}
}

// A line that is cut is not the end of the session that a person holds. The next connection
// has to be with the same key; a secret is compared once, for it is wiped then.
func TestASessionGoesOnOverAnotherConnectionWithTheSameKey(t *testing.T) {
	t.Parallel() // it waits
	for _, secret := range []string{"", "sesame"} {
		if testing.Short() && secret == "" {
			continue
		}
		s, c := prepared(t, 0, secret)
		meet := func(who int, secret string) (<-chan error, net.Conn) {
			a, b := net.Pipe()
			peer, theirs := prepared(t, who, secret)
			over(t, peer, theirs, b)
			return over(t, s, c, a), b
		}
		ended, wire := meet(1, secret)
		s.awaitTrust(t)
		if err := s.MarkVerified(s.Snapshot().Fingerprint); err != nil {
			t.Fatal(err)
		}
		wire.Close()
		if err := wait(t, ended); exit.As(err).Code != exit.Broken {
			t.Fatalf("the cut is %v", err)
		}
		again := func() {
			t.Helper()
			var err error
			if c, err = s.Again(); err != nil {
				t.Fatal(err)
			}
			if now := s.Snapshot(); now.Trusted || now.Peer != nil {
				t.Errorf("before the next connection: %+v", now)
			}
		}
		again()
		ended, _ = meet(0, "")
		if err := wait(t, ended); exit.As(err).Code != exit.Refused || !strings.Contains(err.Error(), "the key is not the same as before") {
			t.Errorf("another key: %v", err)
		}
		again()
		ended, wire = meet(1, "")
		s.awaitTrust(t)
		if now := s.Snapshot(); now.Standing() != trust.Verified {
			t.Errorf("the key that was compared is %s", now.Standing())
		}
		wire.Close()
		wait(t, ended)
	}
}

func TestANewSessionWithoutTheEndOfTheLastIsTold(t *testing.T) {
	for _, test := range []struct {
		name     string
		instance uint32 // of the new session; the old one has 0x100
		last     string
		says     []string
	}{
		{"another instance", 0x101, "", []string{"has begun a new session without ending the last one"}},
		{"a text in doubt", 0x100, `"hello"`, []string{"has begun a new session", `your last message may be lost: "hello"`}},
		{"a new key exchange of an otrpipe", 0x100, "", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			o, said := hear(t)
			o.options.Mode = options.ModeLines
			o.cfg.LastText = func() string { return test.last }
			o.meet(t)
			o.session.PeerInstance = 0x100
			said()
			met := otr.Session{Version: 3, PeerInstance: test.instance}
			if err := o.verify(met); err != nil {
				t.Fatal(err)
			}
			o.tell(otr.Secure{Session: met, Refreshed: true})
			got := said()
			for _, want := range test.says {
				if !strings.Contains(got, want) {
					t.Errorf("nothing says %q: %q", want, got)
				}
			}
			if test.says == nil && strings.Contains(got, "without ending") {
				t.Errorf("%q", got)
			}
			// Our own wish for new keys is nothing to be told.
			add(&o.waiters.secure, newWaiter())
			o.tell(otr.Secure{Session: met, Refreshed: true})
			if got := said(); strings.Contains(got, "without ending") {
				t.Errorf("of our own: %q", got)
			}
		})
	}
}

func TestAPersonsTerminalIsToldWhatBecomesOfTexts(t *testing.T) {
	o, said := hear(t)
	type settled struct {
		first, n int64
		arrived  bool
	}
	var all []settled
	o.cfg.Settled = func(first, n int64, arrived bool) { all = append(all, settled{first, n, arrived}) }
	var clear []string
	o.cfg.InClear = func(what stream.Unencrypted, count int) { clear = append(clear, string(what.Text)) }
	for _, what := range []interface{ String() string }{
		stream.Delivered{First: 1, Texts: 2}, stream.Undelivered{First: 3, Texts: 1}, stream.Unsent{First: 4, Texts: 1},
	} {
		o.event(stream.Event{What: what, Count: 1, Time: time.Now()})
	}
	if len(all) != 3 || all[0] != (settled{1, 2, true}) || all[1] != (settled{3, 1, false}) || all[2] != (settled{4, 1, false}) {
		t.Errorf("%v", all)
	}
	said()
	o.event(stream.Event{What: stream.Unencrypted{Bytes: 5, Text: otr.Unauthenticated("hello")}, Count: 1, Time: time.Now()})
	if got := said(); len(clear) != 1 || clear[0] != "hello" || strings.Contains(got, "unencrypted") || !o.inClear {
		t.Errorf("%q, and %q", clear, got)
	}
}
