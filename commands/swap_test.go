package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/session"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// newMeeting is a live session of which only the judgement of peers is needed.
func newMeeting(t *testing.T, contact, level string) *live {
	t.Helper()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nowhere.Close() })
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	return &live{
		end:     &end{IO: terminal.NewIO(programName, nowhere, nowhere, nowhere), home: home},
		options: &streamOptions{contact: contact, trust: level},
		judge:   judge{home: home, contact: contact, level: level, speaks4: true},
		taps:    map[chan fmt.Stringer]struct{}{},
	}
}

// meet is what a stream does when a key exchange has succeeded.
func (l *live) meet(s otr.Session) error {
	err := l.verify(s)
	l.event(stream.Event{What: otr.Secure{Session: s}, Count: 1, Time: time.Now()})
	if err == nil {
		l.event(stream.Event{What: stream.Trusted{Session: s}, Count: 1, Time: time.Now()})
	}
	return err
}

func TestAKeyThatIsRefusedInMidSessionIsNotPutOnFile(t *testing.T) {
	bob, mallory := mustParse(t, someKey), mustParse(t, otherKey)
	for _, level := range []string{trustNew, trustKnown, trustVerified} {
		for _, expect := range [][]keys.Fingerprint{nil, {bob}} {
			l := newMeeting(t, "bob", level)
			l.judge.expect = expect
			if err := l.home.RememberKey("bob", bob, keyfile.Verified, time.Now()); err != nil {
				t.Fatal(err)
			}
			if err := l.meet(otr.Session{Version: 3, Fingerprint: bob, SSID: [8]byte{1}}); err != nil || !l.trusted {
				t.Fatalf("%s: bob is refused: %v", level, err)
			}
			var e *exit.Error
			if err := l.meet(otr.Session{Version: 3, Fingerprint: mallory, SSID: [8]byte{2}}); !errors.As(err, &e) || e.Code != exit.Refused {
				t.Errorf("%s: mallory: %v", level, err)
			}
			if l.trusted || l.peerName() == "bob" {
				t.Errorf("%s: after that the session is bob's", level)
			}
			contact, _, err := l.home.Contact("bob")
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := contact.Key(mallory); ok || len(contact.Keys) != 1 {
				t.Errorf("%s: the refused key is on file", level)
			}
		}
	}
}

func TestNothingLessThanAVerifiedKeyTakesTheVerifiedOnesPlace(t *testing.T) {
	bob, mallory := mustParse(t, someKey), mustParse(t, otherKey)
	for _, test := range []struct {
		story    string
		contact  string
		verified bool // the second key
		smp      bool // proves the next one too
		in       bool
	}{
		{"a stranger's", "", false, false, false},
		{"a contact's that was only seen", "bob", false, false, false},
		{"a contact's second one, verified", "bob", true, false, true},
		{"one that has to prove itself", "bob", false, true, true},
	} {
		l := newMeeting(t, test.contact, trustNew)
		trust := keyfile.Seen
		if test.verified {
			trust = keyfile.Verified
		}
		if test.contact == "" {
			l.proven = bob // by SMP, or by /trust
		} else if err := errors.Join(l.home.RememberKey("bob", bob, keyfile.Verified, time.Now()), l.home.RememberKey("bob", mallory, trust, time.Now())); err != nil {
			t.Fatal(err)
		}
		if err := l.meet(otr.Session{Version: 3, Fingerprint: bob}); err != nil {
			t.Fatalf("%s: %v", test.story, err)
		}
		l.judge.smp = test.smp
		if err := l.verify(otr.Session{Version: 3, Fingerprint: mallory}); (err == nil) != test.in {
			t.Errorf("%s: %v", test.story, err)
		}
		if l.trusted {
			t.Errorf("%s: trusted before any check has passed", test.story)
		}
	}
}

func TestWhatWasAskedInASessionIsNotAnsweredInTheNext(t *testing.T) {
	l := newMeeting(t, "", trustNew)
	l.options.stay = true
	bob := otr.Session{Version: 3, Fingerprint: mustParse(t, someKey), SSID: [8]byte{1}}
	if err := l.meet(bob); err != nil {
		t.Fatal(err)
	}
	l.event(stream.Event{What: otr.SMPAsked{Question: "where?"}, Count: 1})
	if l.smp.asked == nil {
		t.Fatal("nothing was asked")
	}
	l.event(stream.Event{What: otr.PeerEnded{}, Count: 1})
	if l.smp.asked != nil || l.trusted {
		t.Error("the question is still there")
	}
}

// A silentPeer is a link to one who does not answer; it is closed when it was told
// something.
type silentPeer chan struct{}

func (p silentPeer) Handshake(context.Context) error { return nil }
func (p silentPeer) Wait() error                     { return nil }
func (p silentPeer) Stats() stream.Stats             { return stream.Stats{} }

func (p silentPeer) Do(func(*otr.Conversation) ([][]byte, error)) error {
	close(p)
	return nil
}

func TestARunOfSMPEndsWithItsSession(t *testing.T) {
	for _, end := range []stream.Event{{What: otr.PeerEnded{}}, {What: otr.Ended{}}, {What: otr.Secure{}}} {
		l := newMeeting(t, "", trustNew)
		l.over, l.trusted = make(chan struct{}), true
		begun := make(chan struct{})
		l.link = silentPeer(begun)
		result := make(chan error)
		go func() { result <- l.runSMP(&session.SMP{Secret: []byte("word")}, nil) }()
		<-begun
		l.tell(end.What)
		var e *exit.Error
		if err := <-result; !errors.As(err, &e) || e.Code != exit.SMP {
			t.Errorf("%v: %v", end.What, err)
		}
		if l.smp.busy {
			t.Errorf("%v: busy", end.What)
		}
	}
}
