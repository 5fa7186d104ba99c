package keyfile

import (
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"otrpipe/otr/keys"
)

func fingerprint(t *testing.T, digits string) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(digits)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func keyOf3(t *testing.T, digit string) keys.Fingerprint {
	return fingerprint(t, strings.Repeat(digit, 40))
}

func keyOf4(t *testing.T, digit string) keys.Fingerprint {
	return fingerprint(t, strings.Repeat(digit, 112))
}

func TestOfTwoCallersAtOnceOneIsRemembered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "home")
	now := time.Now()
	const callers = 8
	results := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			key := ContactKey{Fingerprint: keyOf3(t, string(rune('1'+i))), FirstSeen: now, LastSeen: now}
			results[i] = Open(dir).MeetKey("bob", key, true)
		})
	}
	wg.Wait()
	in := 0
	for _, err := range results {
		if err == nil {
			in++
		} else if !errors.Is(err, ErrChanged) {
			t.Error(err)
		}
	}
	contact, _, err := Open(dir).Contact("bob")
	if in != 1 || err != nil || len(contact.Keys) != 1 {
		t.Errorf("%d are let in; on file: %v, %v", in, contact.Keys, err)
	}
}

func TestAKeyThatWasRemovedMeanwhileIsNotAddedAgain(t *testing.T) {
	h := Open(filepath.Join(t.TempDir(), "home"))
	now := time.Now()
	key := ContactKey{Fingerprint: keyOf3(t, "1"), FirstSeen: now, LastSeen: now}
	if err := h.MeetKey("bob", key, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("before it is there: %v", err)
	}
	if err := errors.Join(h.MeetKey("bob", key, true), h.MeetKey("bob", key, true), h.MeetKey("bob", key, false)); err != nil {
		t.Fatal(err)
	}
	key.Trust = SMP
	if err := h.MeetKey("bob", key, false); err != nil {
		t.Fatal(err)
	}
	if c, _, _ := h.Contact("bob"); len(c.Keys) != 1 || c.Keys[0].Trust != SMP {
		t.Errorf("on file: %v", c.Keys)
	}
	if err := h.RemoveContact("bob"); err != nil {
		t.Fatal(err)
	}
	if err := h.MeetKey("bob", key, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("after it was removed: %v", err)
	}
	if _, ok, _ := h.Contact("bob"); ok {
		t.Error("it is on file again")
	}
	// Nor is it where the contact has another key by now.
	other := ContactKey{Fingerprint: keyOf3(t, "2"), FirstSeen: now, LastSeen: now}
	if err := h.MeetKey("bob", other, true); err != nil {
		t.Fatal(err)
	}
	if err := h.MeetKey("bob", key, false); !errors.Is(err, ErrNotFound) {
		t.Errorf("after another came in its place: %v", err)
	}
	if c, _, _ := h.Contact("bob"); len(c.Keys) != 1 || c.Keys[0].Fingerprint != other.Fingerprint {
		t.Errorf("on file: %v", c.Keys)
	}
	// And no contact is made whose name hides.
	if err := h.MeetKey("bo\u200bb", key, true); !errors.Is(err, ErrName) {
		t.Errorf("a name that hides: %v", err)
	}
	if err := h.MeetKey("bob\u3164", key, true); !errors.Is(err, ErrName) {
		t.Errorf("a name that hides: %v", err)
	}
}
