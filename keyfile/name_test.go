package keyfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestNamesThatCanBeShownAreTaken(t *testing.T) {
	for _, name := range []string{
		"a", "alice@example.com", "bob@example.com/res", "with space \"q\"", "é", "名前", "-x", "..", "CON",
		strings.Repeat("n", maxName),
	} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", " a", "a ", "a\nb", "a\tb", "\x1b[31m", "a\x00", "\xff", "a\u202eb", "a\u2028b", "a\u00a0b", "a\x7f",
		strings.Repeat("n", maxName+1),
	} {
		wantError(t, CheckName(name), ErrName)
	}
}

func TestContactNamesShowEveryCharacter(t *testing.T) {
	for _, name := range []string{"a", "Bob B. <b@example.com>", "é", "e\u0301", "名前", "한글", "বাংলা", "☎"} {
		if err := CheckContactName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, r := range []rune{
		'\u00a0', '\u00ad', '\u034f', '\u115f', '\u1160', '\u17b4', '\u180b', '\u2000', '\u200b', '\u200d', '\u202e',
		'\u2060', '\u2065', '\u2800', '\u3000', '\u3164', '\ufe0f', '\ufeff', '\uffa0', '\U0001d159', '\U000e0041', '\U000e0100',
	} {
		for _, name := range []string{"bo" + string(r) + "b", "bob" + string(r), string(r) + "bob", string(r)} {
			wantError(t, CheckContactName(name), ErrName)
		}
	}
	for _, name := range []string{"", "bob ", " bob", "\u0301bob"} {
		wantError(t, CheckContactName(name), ErrName)
	}
}

func TestAContactWhoseNameHidesIsNotMadeButAnOldOneCanBeUsed(t *testing.T) {
	const hidden = "bob\u3164"
	h := newHome(t)
	must(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday))
	wantError(t, h.RememberKey(hidden, fingerprintOf(2), Seen, someday), ErrName)
	wantError(t, h.RenameContact("bob", hidden), ErrName)
	_, _, err := h.Contact(hidden)
	wantError(t, err, ErrName)
	if list := contacts(t, h); len(list) != 1 || list[0].Name != "bob" {
		t.Errorf("contacts %v", list)
	}
	// A file of an older program may have it.
	must(t, os.WriteFile(filepath.Join(h.Dir(), contactsFile), appendContacts(nil, []Contact{
		{Name: hidden, Keys: []ContactKey{metKey(fingerprintOf(2), Seen, someday, someday)}},
	}), 0o600))
	must(t, h.RememberKey(hidden, fingerprintOf(2), Verified, someday))
	must(t, h.RenameContact(hidden, "robert"))
	if list := contacts(t, h); len(list) != 1 || list[0].Name != "robert" || list[0].Keys[0].Trust != Verified {
		t.Errorf("contacts %v", list)
	}
}

func TestEveryNameHasAFileNameOfItsOwn(t *testing.T) {
	seen := make(map[string]string)
	for _, name := range []string{"a", "A", ".", "..", ".a", "a.", "a/b", "a%2Fb", "%", "a b", "é", "e\u0301", "a\\b", "a:b", "~"} {
		file, err := fileName(name)
		must(t, err)
		if other, ok := seen[file]; ok {
			t.Errorf("%q and %q are both %q", name, other, file)
		}
		seen[file] = name
		if filepath.Base(file) != file || strings.HasPrefix(file, ".") || len(file) > maxFileName {
			t.Errorf("%q becomes %q", name, file)
		}
		if back, ok := nameOfFile(file); !ok || back != name {
			t.Errorf("%q came back as %q, %v", name, back, ok)
		}
	}
	_, err := fileName(strings.Repeat("é", 50))
	wantError(t, err, ErrName)
}

func FuzzFileName(f *testing.F) {
	for _, file := range []string{"alice", "%41", "%2e%2E", "a%", "a%2", "%C3%A9", "%c3%a9", "%00", ".a", "a b", "+"} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file string) {
		name, ok := nameOfFile(file)
		if !ok {
			return
		}
		if back, err := fileName(name); err != nil || back != file {
			t.Errorf("%q is the name %q, whose file is %q, %v", file, name, back, err)
		}
	})
}
