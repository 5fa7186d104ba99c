package keyfile

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestAContactMayHaveAnAddress(t *testing.T) {
	h := Open(t.TempDir() + "/home")
	fp := fingerprint4Of(0xab)
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	set := func(name string, a Address) {
		t.Helper()
		if err := h.SetAddress(name, a); err != nil {
			t.Fatal(err)
		}
	}
	set("bob", Address{TCP: "[::1]:9000"}) // before there is a key
	if err := h.RememberKey("bob", fp, Seen, now); err != nil {
		t.Fatal(err)
	}
	set("alice", Address{Command: []string{"ssh", "host", `a "quoted" \ word`, ""}})
	bob, ok, err := h.Contact("bob")
	if err != nil || !ok || bob.Address.TCP != "[::1]:9000" || len(bob.Keys) != 1 {
		t.Errorf("%+v, %v, %v", bob, ok, err)
	}
	alice, ok, err := h.Contact("alice")
	if err != nil || !ok || !reflect.DeepEqual(alice.Address.Command, []string{"ssh", "host", `a "quoted" \ word`, ""}) || alice.Keys != nil {
		t.Errorf("%+v, %v, %v", alice, ok, err)
	}

	// The first key that is met goes on file beside the address, and another one does not.
	if err := h.MeetKey("alice", metKey(fp, Seen, now, now), true); err != nil {
		t.Error(err)
	}
	if err := h.MeetKey("alice", metKey(fingerprint4Of(0xcd), Seen, now, now), true); !errors.Is(err, ErrChanged) {
		t.Errorf("another key is met: %v", err)
	}
	if err := h.RemoveKey("alice", fp); err != nil {
		t.Error(err)
	}

	// The last key and the address may go in either order, and then the contact goes.
	if err := h.RemoveKey("bob", fp); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := h.Contact("bob"); !ok {
		t.Error("a contact with an address went with its last key")
	}
	set("bob", Address{})
	set("alice", Address{})
	if all, err := h.Contacts(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
	if err := h.SetAddress("bob", Address{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("forgetting what there is not: %v", err)
	}
	set("bob", Address{TCP: "host:1"})
	if err := h.RemoveContact("bob"); err != nil {
		t.Fatal(err)
	}
	if all, err := h.Contacts(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAnAddressThatCannotBeKeptIsRefused(t *testing.T) {
	h := Open(t.TempDir() + "/home")
	for _, a := range []Address{
		{TCP: "host:1", Command: []string{"nc"}}, {Command: []string{""}}, {TCP: "a\nb"}, {Command: []string{"nc", "a\x00b"}},
		{TCP: "\xff"}, {TCP: strings.Repeat("x", maxAddress+1)}, {Command: []string{"\u0085"}},
	} {
		if err := h.SetAddress("bob", a); !errors.Is(err, ErrFormat) {
			t.Errorf("%.40q: %v", a, err)
		}
	}
	if err := h.SetAddress("", Address{TCP: "host:1"}); !errors.Is(err, ErrName) {
		t.Errorf("a contact without a name: %v", err)
	}
	if all, err := h.Contacts(); err != nil || len(all) != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestAContactOnFileHasAKeyOrAnAddressThatCanBeKept(t *testing.T) {
	for name, contact := range map[string]Contact{
		"nothing":                        {Name: "bob"},
		"an address that is too long":    {Name: "bob", Address: Address{TCP: strings.Repeat("h", maxAddress+1)}},
		"an address that moves a cursor": {Name: "bob", Address: Address{TCP: "host\u009b:1"}},
	} {
		if _, err := parseContacts(appendContacts(nil, []Contact{contact})); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContactsFileHasANewVersionOnlyForAddresses(t *testing.T) {
	seen := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	with := []Contact{
		{Name: "alice", Address: Address{Command: []string{"ssh", "a b"}}},
		{Name: "bob", Keys: []ContactKey{metKey(fingerprint4Of(0xab), Seen, seen, seen)}, Address: Address{TCP: "host:9000"}},
	}
	text := appendContacts(nil, with)
	if got, err := parseContacts(text); err != nil || !reflect.DeepEqual(got, with) {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.Contains(string(text), `"version": 5`) {
		t.Errorf("the file says\n%s", text)
	}
	with[1].Address = Address{}
	if text := appendContacts(nil, with[1:]); !strings.Contains(string(text), `"version": 1`) {
		t.Errorf("without an address the file says\n%s", text)
	}
	for _, wrong := range []string{
		`"contact": "bob",
      "keys": []`,
		`"contact": "bob",
      "tcp": "",
      "keys": []`,
		`"contact": "bob",
      "tcp": "host:1",
      "command": ["nc"],
      "keys": []`,
		`"contact": "bob",
      "command": [],
      "keys": []`,
	} {
		file := fmt.Sprintf("{\n  \"otrpipe\": \"contacts\",\n  \"version\": 5,\n  \"contacts\": [\n    {\n      %s\n    }\n  ]\n}\n", wrong)
		if _, err := parseContacts([]byte(file)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
