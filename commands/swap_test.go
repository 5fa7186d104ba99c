package commands

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
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
		options: &options.Options{Contact: contact, Trust: level},
		keeper:  trust.NewKeeper(trust.Config{Home: home, Contact: contact, Level: trust.Level(level), Speaks4: true}),
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

func TestWhatWasAskedInASessionIsNotAnsweredInTheNext(t *testing.T) {
	l := newMeeting(t, "", trustNew)
	l.options.Stay = true
	bob := otr.Session{Version: 3, Fingerprint: fingerprintOf(t, someKey), SSID: [8]byte{1}}
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

func (p silentPeer) Session() (stream.SessionID, bool) { return stream.SessionID{}, true }

func (p silentPeer) DoIn(_ stream.SessionID, f func(*otr.Conversation) ([][]byte, error)) error {
	return p.Do(f)
}

func (p silentPeer) Do(func(*otr.Conversation) ([][]byte, error)) error {
	close(p)
	return nil
}

func TestARunOfSMPEndsWithItsSession(t *testing.T) {
	for _, end := range []stream.Event{{What: otr.PeerEnded{}}, {What: otr.Ended{}}, {What: otr.Secure{}}, {What: stream.Refused{}}} {
		l := newMeeting(t, "", trustNew)
		l.over, l.trusted = make(chan struct{}), true
		begun := make(chan struct{})
		l.link = silentPeer(begun)
		result := make(chan error)
		go func() { result <- l.runSMP(t.Context(), &control.SMP{Secret: []byte("word")}) }()
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

func fingerprintOf(t *testing.T, hex string) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(hex)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A trustedPeer is a link to a peer in one session.
type trustedPeer struct {
	silentPeer
	here bool
}

func (p trustedPeer) Session() (stream.SessionID, bool) { return stream.SessionID{}, p.here }

func (p trustedPeer) DoIn(_ stream.SessionID, f func(*otr.Conversation) ([][]byte, error)) error {
	_, err := f(nil)
	return err
}

// The extra symmetric key that a peer announces is handed out while the session with it
// lasts, and only once the peer has met what was asked of it.
func TestTheExtraKeyIsThatOfATrustedPeerInThePresentSession(t *testing.T) {
	l := newMeeting(t, "", trustNew)
	l.keepExtraKey(stream.SessionID{}, otr.ExtraKeyReceived{Use: 1, Key: []byte("key")})
	for _, test := range []struct{ trusted, here, given bool }{{true, true, true}, {false, true, false}, {true, false, false}} {
		l.trusted, l.link = test.trusted, trustedPeer{here: test.here}
		key, err := l.extraKey(t.Context(), &control.ExtraKey{Received: true})
		if given := err == nil && string(key) == "key"; given != test.given {
			t.Errorf("%+v: %q, %v", test, key, err)
		}
	}
}

// A secret answers the question that it was given for, and no other.
func TestASecretDoesNotAnswerAnotherQuestion(t *testing.T) {
	question, none := "where?", ""
	for _, test := range []struct {
		asked   *string
		run     uint64 // of the question that waits
		givenTo uint64
		refused bool
	}{
		{&question, 3, 2, true},
		{nil, 2, 2, true},
		{&question, 1, 0, true},
		{&none, 1, 2, true},
	} {
		l := newMeeting(t, "", trustNew)
		l.smp.asked, l.smp.run = test.asked, test.run
		err := l.beginSMP(trustedPeer{here: true}, stream.SessionID{}, &control.SMP{Secret: []byte("x"), Run: test.givenTo}, false)
		if errors.Is(err, errAsksOtherwise) != test.refused {
			t.Errorf("%+v: %v", test, err)
		}
	}
}
