package offline

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// lost encrypts texts in the session that never leave the sender, and stores it.
func (p *person) lost(t *Session, n int) {
	p.t.Helper()
	w := p.writer(t, Head{})
	for range n {
		if _, err := w.Text(nil, []byte("lost")); err != nil {
			p.t.Fatal(err)
		}
	}
	p.save(t, 0)
}

func TestMessagesThatAreLostAddUpUntilOneIsHandedOut(t *testing.T) {
	alice, bob := newPeople(t)
	mail(t, alice, bob, bob.publish(1, For{}), "hello")
	stored := func() *Session { return alice.load().Sessions()[0] }
	const half = MaxGap / 2
	for range 2 { // the peer bridges the widest gap, as often as it comes
		alice.lost(stored(), half)
		alice.lost(stored(), half)
		if gap := stored().Gap(); gap != MaxGap {
			t.Fatalf("the gap is %d", gap)
		}
		got, err := bob.read(alice.texts(stored(), false, "after it"))
		if err != nil || !slices.Equal(got.texts, []string{"after it"}) {
			t.Fatalf("%q, %v", got.texts, err)
		}
		if gap := stored().Gap(); gap != 0 {
			t.Fatalf("then the gap is %d", gap)
		}
	}
	alice.lost(stored(), half)
	if w := alice.writer(stored(), Head{}); w != nil { // and is killed
		if _, err := w.Text(nil, []byte("lost")); err != nil {
			t.Fatal(err)
		}
	}
	if gap := stored().Gap(); gap != half+firstAhead {
		t.Errorf("after being killed the gap is %d", gap)
	}
	alice.lost(stored(), half)
	if _, err := NewWriter(stored(), Head{}, WriterConfig{}); !errors.Is(err, ErrGap) {
		t.Fatalf("with a gap of %d: %v", stored().Gap(), err)
	}

	// An answer does not help: the next ratchet says how long the last one was.
	if _, err := alice.read(bob.texts(bob.load().Sessions()[0], false, "are you there?")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter(stored(), Head{}, WriterConfig{}); !errors.Is(err, ErrGap) {
		t.Errorf("after an answer: %v", err)
	}
	session := stored()
	session.HandedOut(0) // as if it had been
	if _, err := bob.read(alice.texts(session, false, "no")); !TooFar(err) {
		t.Errorf("a message after it: %v", err)
	}
}

func TestAnEndThatComesBeforeMissingTextsIsRemembered(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.texts(session, true, "one", "two")...)
	l := bytes.SplitAfter(lines, []byte("\n"))
	first, one, two, end := l[0], l[1], l[2], l[3]
	ended := func(what string) {
		t.Helper()
		kept := bob.load().Sessions()
		if len(kept) != 1 || !kept[0].Closed() {
			t.Fatalf("%s: %d sessions are kept, or the end is forgotten", what, len(kept))
		}
		if _, err := NewWriter(kept[0], Head{}, WriterConfig{}); !errors.Is(err, ErrClosed) {
			t.Fatalf("%s: a reply: %v", what, err)
		}
	}
	if _, err := bob.read(slices.Concat(first, end)); !errors.Is(err, ErrCut) {
		t.Errorf("the end alone: %v", err)
	}
	ended("after the end alone")
	if got, _ := bob.read(two); !slices.Equal(got.texts, []string{"two"}) {
		t.Errorf("%q, %v", got.texts, got.warn)
	}
	ended("after the last text")
	// The whole message, with the text that was missing.
	got, err := bob.read(slices.Concat(two, one, end))
	if err != nil || !slices.Equal(got.texts, []string{"one"}) {
		t.Errorf("%q, %v, %v", got.texts, got.warn, err)
	}
	if n := len(bob.load().Sessions()); n != 0 {
		t.Errorf("at the end %d sessions are kept", n)
	}
}

func TestTheEndOfAStreamLeavesEarlierMessagesReadable(t *testing.T) {
	alice, bob := newPeople(t)
	session := mail(t, alice, bob, bob.publish(1, For{}), "hello")
	second := alice.stream(session, []byte("second"), false)
	last := alice.stream(session, []byte("last"), true)
	if got, err := bob.read(last); err != nil || string(got.data) != "last" {
		t.Fatalf("%q, %v", got.data, err)
	}
	kept := bob.load().Sessions()
	if len(kept) != 1 || !kept[0].Closed() {
		t.Fatalf("%d sessions are kept, or the end is forgotten", len(kept))
	}
	if got, err := bob.read(second); err != nil || string(got.data) != "second" {
		t.Errorf("%q, %v", got.data, err)
	}
	if n := len(bob.load().Sessions()); n != 0 {
		t.Errorf("at the end %d sessions are kept", n)
	}
}
