package keyfile

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
)

// told returns what the key of a contact has told.
func told(t *testing.T, h *Home, contact string, by keys.Fingerprint) keys.Fingerprint {
	t.Helper()
	c, _, err := h.Contact(contact)
	must(t, err)
	key, ok := c.Key(by)
	if !ok {
		t.Fatalf("%s has no key %v", contact, by)
	}
	return key.Told
}

// met4 is a key of version 4 that was met in a session.
func met4(fp keys.Fingerprint, trust Trust) ContactKey { return metKey(fp, trust, someday, someday) }

func TestAKeyThatIsToldIsNoKeyUntilItIsMet(t *testing.T) {
	old, fresh := keyOf3(t, "1"), keyOf4(t, "4")
	for _, trust := range []Trust{Seen, Verified, SMP} {
		h := newHome(t)
		must(t, h.RememberKey("bob", old, trust, someday))
		must(t, h.TellKey("bob", old, fresh))
		must(t, h.TellKey("bob", old, fresh))
		bob, _, err := h.Contact("bob")
		must(t, err)
		if _, ok := bob.Key(fresh); ok || len(bob.Keys) != 1 || !bob.HasTold() {
			t.Errorf("on file: %+v", bob)
		}
		if by, ok := bob.Teller(fresh); !ok || by.Fingerprint != old {
			t.Errorf("told by %v", by)
		}
		wantError(t, h.SetTrust("bob", fresh, Verified), ErrNotFound)
		wantError(t, h.MeetKey("bob", met4(fresh, Seen), false), ErrNotFound)
		wantError(t, h.MeetKey("bob", met4(fresh, Seen), true), ErrChanged)

		by, err := h.MeetTold("bob", met4(fresh, Seen))
		if err != nil || by.Fingerprint != old || by.Trust != trust {
			t.Errorf("met: %+v, %v", by, err)
		}
		bob, _, err = h.Contact("bob")
		must(t, err)
		if key, ok := bob.Key(fresh); !ok || key.Trust != trust || bob.HasTold() {
			t.Errorf("on file: %+v", bob)
		}
		if _, err := h.MeetTold("bob", met4(fresh, Seen)); !errors.Is(err, ErrChanged) {
			t.Errorf("met as told once more: %v", err)
		}
	}
}

// The trust is what the old key has when the new one is met, or what the meeting proves.
func TestAKeyThatWasToldHasTheTrustOfItsTellerWhenItIsMet(t *testing.T) {
	old, fresh := keyOf3(t, "1"), keyOf4(t, "4")
	for _, step := range []struct{ told, then, met, want Trust }{
		{Verified, Seen, Seen, Seen}, {Seen, Verified, Seen, Verified}, {Seen, Seen, SMP, SMP}, {Verified, Verified, SMP, SMP},
	} {
		h := newHome(t)
		must(t, h.RememberKey("bob", old, step.told, someday))
		must(t, h.TellKey("bob", old, fresh))
		must(t, h.SetTrust("bob", old, step.then))
		if _, err := h.MeetTold("bob", met4(fresh, step.met)); err != nil {
			t.Error(err)
		}
		if bob, _, _ := h.Contact("bob"); bob.Keys[1].Trust != step.want {
			t.Errorf("%+v: %v", step, bob.Keys[1].Trust)
		}
	}
}

func TestAnOldKeyTellsTheFirstKeyOfVersion4Alone(t *testing.T) {
	h := newHome(t)
	old, second, fresh := keyOf3(t, "1"), keyOf3(t, "2"), keyOf4(t, "4")
	wantError(t, h.TellKey("bob", old, fresh), ErrNotFound)
	must(t, h.RememberKey("bob", old, Verified, someday))
	must(t, h.RememberKey("carol", keyOf4(t, "5"), Seen, someday))
	wantError(t, h.TellKey("bob", second, fresh), ErrNotFound)
	wantError(t, h.TellKey("bob", old, keyOf4(t, "5")), ErrExists)
	wantError(t, h.TellKey("bob", old, second), ErrFormat)
	wantError(t, h.TellKey("carol", keyOf4(t, "5"), fresh), ErrFormat)

	// Until a told key is met, the latest one told by each key counts.
	must(t, h.RememberKey("bob", second, Seen, someday))
	must(t, h.TellKey("bob", old, keyOf4(t, "6")))
	must(t, h.TellKey("bob", old, fresh))
	must(t, h.TellKey("bob", second, keyOf4(t, "7")))
	if told(t, h, "bob", old) != fresh || told(t, h, "bob", second) != keyOf4(t, "7") {
		t.Errorf("on file: %+v", contacts(t, h))
	}
	if _, err := h.MeetTold("bob", met4(keyOf4(t, "6"), Seen)); !errors.Is(err, ErrChanged) {
		t.Errorf("a key that was taken back is met: %v", err)
	}
	if _, err := h.MeetTold("bob", met4(fresh, Seen)); err != nil {
		t.Fatal(err)
	}
	if bob, _, _ := h.Contact("bob"); bob.HasTold() {
		t.Errorf("told still: %+v", bob)
	}
	wantError(t, h.TellKey("bob", second, keyOf4(t, "7")), ErrExists)
	must(t, h.TellKey("bob", second, fresh)) // it is known already
	if bob, _, _ := h.Contact("bob"); bob.HasTold() || len(bob.Keys) != 3 {
		t.Errorf("on file: %+v", bob)
	}
}

// A contact may tell another person's key. As soon as its owner is on file, in any way, the
// told key no longer counts.
func TestATellerDoesNotStandInTheWayOfAKeysOwner(t *testing.T) {
	old, carols := keyOf3(t, "1"), keyOf4(t, "4")
	for name, meet := range map[string]func(h *Home) error{
		"met":   func(h *Home) error { return h.MeetKey("carol", met4(carols, Seen), true) },
		"added": func(h *Home) error { return h.RememberKey("carol", carols, Seen, someday) },
		"told, too": func(h *Home) error {
			_, err := h.MeetTold("carla", met4(carols, Seen))
			return err
		},
	} {
		h := newHome(t)
		must(t, h.RememberKey("bob", old, Verified, someday))
		must(t, h.RememberKey("carla", keyOf3(t, "2"), Seen, someday))
		must(t, h.TellKey("bob", old, carols))
		must(t, h.TellKey("carla", keyOf3(t, "2"), carols))
		must(t, meet(h))
		if got := told(t, h, "bob", old); !got.IsZero() {
			t.Errorf("%s: bob has told %v", name, got)
		}
		if _, err := h.MeetTold("bob", met4(carols, Seen)); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: it is bob's: %v", name, err)
		}
	}
}

func TestWhatWasToldGoesWithItsContactAndWithItsKey(t *testing.T) {
	old, second, fresh := keyOf3(t, "1"), keyOf3(t, "2"), keyOf4(t, "4")
	h := newHome(t)
	must(t, h.RememberKey("bob", old, Verified, someday))
	must(t, h.RememberKey("bob", second, Verified, someday))
	must(t, h.TellKey("bob", old, fresh))
	must(t, h.Distrust("bob"))
	must(t, h.RenameContact("bob", "robert"))
	must(t, h.RememberKey("robert", old, Seen, someday.Add(time.Hour))) // met again
	if told(t, h, "robert", old) != fresh {
		t.Errorf("on file: %+v", contacts(t, h))
	}
	must(t, h.RemoveKey("robert", fresh))
	if robert, _, _ := h.Contact("robert"); robert.HasTold() || len(robert.Keys) != 2 {
		t.Errorf("removed: %+v", robert)
	}
	wantError(t, h.RemoveKey("robert", fresh), ErrNotFound)
	must(t, h.TellKey("robert", old, fresh))
	must(t, h.RemoveKey("robert", old))
	if robert, _, _ := h.Contact("robert"); robert.HasTold() || len(robert.Keys) != 1 {
		t.Errorf("without the teller: %+v", robert)
	}
	// A key of version 4 that is added by hand is the contact's first.
	must(t, h.TellKey("robert", second, fresh))
	must(t, h.RememberKey("robert", keyOf4(t, "5"), Seen, someday))
	if robert, _, _ := h.Contact("robert"); robert.HasTold() {
		t.Errorf("with another key: %+v", robert)
	}
}

func TestLibotrsFileHasNoPlaceForWhatWasTold(t *testing.T) {
	h := newHome(t)
	old, fresh := keyOf3(t, "1"), keyOf4(t, "4")
	must(t, h.RememberKey("bob", old, Verified, someday))
	must(t, h.TellKey("bob", old, fresh))
	account := Account{Name: "me", Protocol: "prpl-jabber"}
	list, leftOut := LibotrFromContacts(contacts(t, h), account)
	if len(list) != 1 || list[0].Fingerprint != old || leftOut != 0 {
		t.Errorf("exported: %+v, and %d are left out", list, leftOut)
	}
	again, err := ContactsFromLibotr(list, "otr.fingerprints", Account{}, someday)
	must(t, err)
	must(t, h.Remember(again))
	if told(t, h, "bob", old) != fresh {
		t.Errorf("after the import: %+v", contacts(t, h))
	}
}

func TestContactsWithWhatTheyHaveToldAreVersion4OfTheFormat(t *testing.T) {
	file := readTestdata(t, "contacts-v4.json")
	got, err := parseContacts(file)
	must(t, err)
	old := metKey(keyOf3(t, "1"), Verified, someday, someday)
	old.Client, old.Told = Client{OTR: 3, Instance: 0x12345678}, keyOf4(t, "4")
	want := []Contact{{Name: "bob", Keys: []ContactKey{old}}, {Name: "carol", Keys: []ContactKey{metKey(keyOf4(t, "5"), Seen, someday, someday)}}}
	if !reflect.DeepEqual(got, want) || !bytes.Equal(appendContacts(nil, want), file) {
		t.Errorf("contacts %+v", got)
	}
	for what, change := range map[string][2]string{
		"an older version":                 {`"version": 4`, `"version": 3`},
		"one of another contact's":         {`"told": "` + strings.Repeat("4", 112), `"told": "` + strings.Repeat("5", 112)},
		"one of version 3":                 {`"told": "` + strings.Repeat("4", 112), `"told": "` + strings.Repeat("4", 40)},
		"no fingerprint":                   {`"told": "` + strings.Repeat("4", 112), `"told": "`},
		"told by a key of version 4":       {`"fingerprint": "` + strings.Repeat("1", 40), `"fingerprint": "` + strings.Repeat("1", 112)},
		"told where another is on file":    {`"contact": "bob"`, `"contact": "carol"`},
		"nothing told, in this version":    {",\n          \"told\": \"" + strings.Repeat("4", 112) + `"`, ""},
		"the client behind what it told":   {`"client"`, `"told"`},
		"something that is not known here": {`"told"`, `"said"`},
	} {
		damaged := strings.Replace(string(file), change[0], change[1], 1)
		if damaged == string(file) {
			t.Fatalf("%s: nothing was changed", what)
		}
		if _, err := parseContacts([]byte(damaged)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	// A contact with a key of version 4 has told nothing.
	want[0].Keys = append(want[0].Keys, metKey(keyOf4(t, "6"), Seen, someday, someday))
	if _, err := parseContacts(appendContacts(nil, want)); !errors.Is(err, ErrFormat) {
		t.Errorf("told, and a key on file: %v", err)
	}
}
