package keyfile

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// libotr compiles the program in testdata that calls the real library and
// returns what runs it: the lines of its answer, their fields decoded.
func libotr(t *testing.T) func(args ...string) [][]string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "libotr")
	out, err := exec.Command("gcc", "-Wall", "-o", program, "testdata/libotr.c", "-lotr", "-lgcrypt").CombinedOutput()
	if err != nil {
		message := fmt.Sprintf("libotr is needed: apt-get install gcc libc6-dev libotr5-dev libgcrypt20-dev: %v\n%s", err, out)
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return func(args ...string) (lines [][]string) {
		t.Helper()
		cmd := exec.Command(program, args...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("libotr %q: %v: %s", args, err, stderr.String())
		}
		for line := range strings.Lines(string(out)) {
			var fields []string
			for _, field := range strings.Split(strings.TrimSuffix(line, "\n"), " ") {
				b, err := hex.DecodeString(field)
				must(t, err)
				fields = append(fields, string(b))
			}
			lines = append(lines, fields)
		}
		return lines
	}
}

// nameForms are names in every form that libgcrypt has for them.
var nameForms = []string{
	"alice",                // a token
	"-./_:*+=1aZ",          // with every sign that one may have
	"bob@example.com/res",  // quoted, for the @
	"with space \"q\"",     // with quotes to escape
	"1st",                  // begins with a digit
	`back\slash 'and'`,     //
	"tab\tand\nnewline \r", //
	"é",                    // hexadecimal, for the first byte
	"bé",                   // as above, but not first
	"b\u00b5",              // with a byte that is no text
	"ctl\x01",
	"名前",
}

func TestLibotrAndWeReadEachOthersPrivateKeys(t *testing.T) {
	slowtest.SkipShort(t)
	t.Parallel()
	run := libotr(t)
	theirs := filepath.Join(t.TempDir(), "otr.private_key")
	var accounts []Account
	for i, name := range nameForms {
		if testing.Short() && i > 0 {
			continue // making a key takes libotr a while
		}
		protocol := []string{"prpl-jabber", "IRC", "a protocol"}[i%3]
		accounts = append(accounts, Account{name, protocol})
		run("generate", theirs, name, protocol)
	}
	same := func(what string, file []byte, answer [][]string) []LibotrKey {
		t.Helper()
		list, err := ParseLibotrKeys(file)
		if err != nil {
			t.Fatalf("%s: %v in\n%s", what, err, file)
		}
		if len(list) != len(accounts) || len(answer) != len(accounts) {
			t.Fatalf("%s: we read %d keys, libotr %d, of %d", what, len(list), len(answer), len(accounts))
		}
		message := make([]byte, 16)
		for i := range message {
			message[i] = byte(i)
		}
		for _, key := range list {
			i := slices.IndexFunc(answer, func(line []string) bool {
				return line[0] == key.Account.Name && line[1] == key.Account.Protocol
			})
			if i < 0 || !slices.Contains(accounts, key.Account) {
				t.Errorf("%s: libotr has no account %v", what, key.Account)
				continue
			}
			public := key.Key.Public()
			if fp := public.Fingerprint(); string(fp.Bytes()) != answer[i][2] {
				t.Errorf("%s: fingerprint of %v is %v, for libotr %x", what, key.Account, fp, answer[i][2])
			}
			if err := public.Verify(message, []byte(answer[i][3])); err != nil {
				t.Errorf("%s: libotr's signature with the key of %v: %v", what, key.Account, err)
			}
		}
		return list
	}
	list := same("libotr's file", []byte(content(t, theirs)), run("keys", theirs))
	ours := filepath.Join(t.TempDir(), "ours")
	file := AppendLibotrKeys(nil, list...)
	must(t, os.WriteFile(ours, file, 0o600))
	same("our file", file, run("keys", ours))
}

func TestLibotrAndWeReadEachOthersFingerprints(t *testing.T) {
	slowtest.SkipShort(t)
	t.Parallel()
	run := libotr(t)
	dir := t.TempDir()
	account := Account{"bob@example.com/res", "prpl-jabber"}
	list := []LibotrFingerprint{
		{"alice@example.com", account, fingerprintOf(1), ""},
		{"alice@example.com", account, fingerprintOf(2), "verified"},
		{"名前 with space \"q\"", account, fingerprintOf(3), "smp"},
		{"dave", Account{"other", "IRC"}, fingerprintOf(4), "affirmed by hand"},
	}
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	file, err := AppendLibotrFingerprints(nil, list...)
	must(t, err)
	must(t, os.WriteFile(ours, file, 0o600))
	answer := run("fingerprints", ours, theirs)
	again, bad := ParseLibotrFingerprints([]byte(content(t, theirs)))
	if len(bad) > 0 {
		t.Errorf("what libotr wrote has bad lines: %v", bad)
	}
	if len(answer) != len(list) || len(again) != len(list) {
		t.Fatalf("of %d libotr read %d and wrote %d", len(list), len(answer), len(again))
	}
	for _, one := range list {
		if !slices.Contains(again, one) {
			t.Errorf("%v is not in what libotr wrote: %v", one, again)
		}
		i := slices.IndexFunc(answer, func(line []string) bool { return line[3] == string(one.Fingerprint.Bytes()) })
		if i < 0 || answer[i][0] != one.Username || answer[i][4] != one.Trust {
			t.Errorf("libotr did not read %v", one)
			continue
		}
		if trusted := answer[i][5] == "\x01"; trusted != (trustOfLibotr(one.Trust) != Seen) {
			t.Errorf("for libotr %q is trusted: %v", one.Trust, trusted)
		}
	}
}

func TestLibotrAndWeReadEachOthersInstanceTags(t *testing.T) {
	slowtest.SkipShort(t)
	t.Parallel()
	run := libotr(t)
	dir := t.TempDir()
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	accounts := []Account{{"alice", "IRC"}, {"bob@example.com/res", "prpl-jabber"}, {"名前 with space", "x"}}
	for _, account := range accounts {
		run("generate-tag", theirs, account.Name, account.Protocol)
	}
	list := ParseLibotrTags([]byte(content(t, theirs)))
	same := func(what string, answer [][]string) {
		t.Helper()
		if len(answer) != len(accounts) || len(list) != len(accounts) {
			t.Fatalf("%s: we read %d, libotr %d", what, len(list), len(answer))
		}
		for _, one := range list {
			tag := string([]byte{byte(one.Tag >> 24), byte(one.Tag >> 16), byte(one.Tag >> 8), byte(one.Tag)})
			if !slices.ContainsFunc(answer, func(line []string) bool {
				return slices.Equal(line, []string{one.Account.Name, one.Account.Protocol, tag})
			}) {
				t.Errorf("%s: libotr has not %+v but %q", what, one, answer)
			}
		}
	}
	same("libotr's file", run("tags", theirs))
	file, err := AppendLibotrTags(nil, list...)
	must(t, err)
	must(t, os.WriteFile(ours, file, 0o600))
	same("our file", run("tags", ours))
}

// aKeyFile is a file with two accounts, as we write it.
func aKeyFile() []byte {
	all := testKeys()
	return AppendLibotrKeys(nil,
		LibotrKey{Account{"alice", "IRC"}, all[0]},
		LibotrKey{Account{"bob@example.com/res", "prpl-jabber"}, all[1]})
}

func TestTheAccountOfSeveralMustBeSaid(t *testing.T) {
	h := newHome(t)
	path := filepath.Join(t.TempDir(), "otr.private_key")
	must(t, os.WriteFile(path, aKeyFile(), 0o600))
	for _, account := range []Account{{"alice", ""}, {"", "IRC"}, {"alice", "IRC"}} {
		id, err := h.IdentityFile(path, account, neverAsk(t))
		must(t, err)
		if id.Name != "alice" || id.InstanceTag != 0 || id.DSA.Public().Fingerprint() != testKeys()[0].Public().Fingerprint() {
			t.Errorf("%v is %+v", account, id.Public())
		}
	}
	for _, account := range []Account{{}, {"carol", ""}, {"alice", "prpl-jabber"}} {
		_, err := h.IdentityFile(path, account, nil)
		choice, ok := err.(*ChoiceError)
		if !ok || len(choice.Accounts) != 2 || choice.None == (account == Account{}) {
			t.Fatalf("%v: %v", account, err)
		}
		for _, name := range []string{"alice", "IRC", "bob@example.com/res", "prpl-jabber", path} {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("the error does not name %s: %v", name, err)
			}
		}
	}
	must(t, os.Chmod(path, 0o644))
	_, err := h.IdentityFile(path, Account{"alice", ""}, nil)
	wantError(t, err, ErrUnsafe)
	must(t, os.Remove(path))
	_, err = h.IdentityFile(path, Account{"alice", ""}, nil)
	wantError(t, err, os.ErrNotExist)
}

func TestAnIdentityFileOfOursNeedsNoAccount(t *testing.T) {
	h := newHome(t)
	want := create(t, h, "alice", "secret")
	file, err := h.PrivateFile("alice")
	must(t, err)
	path := filepath.Join(t.TempDir(), "alice.key")
	must(t, os.WriteFile(path, file, 0o600))
	got, err := h.IdentityFile(path, Account{"some", "account"}, saying(t, "secret"))
	must(t, err)
	sameIdentity(t, got, want)
	_, err = h.IdentityFile(path, Account{}, saying(t, "wrong"))
	wantError(t, err, ErrPassphrase)
}

func TestDamagedKeyFilesOfLibotrAreRefusedWhole(t *testing.T) {
	file := string(aKeyFile())
	all := testKeys()
	twice := string(AppendLibotrKeys(nil, LibotrKey{Account{"a", "b"}, all[0]}, LibotrKey{Account{"a", "b"}, all[1]}))
	for what, broken := range map[string]string{
		"empty":              "",
		"another list":       "(publickeys)",
		"an atom":            "privkeys",
		"no account":         strings.Replace(file, "(account", "(amount", 1),
		"no name":            strings.Replace(file, "(name alice)", "", 1),
		"two names":          strings.Replace(file, "(name alice)", "(name alice bob)", 1),
		"a name twice":       strings.Replace(file, "(name alice)", "(name alice)(name bob)", 1),
		"a list for a name":  strings.Replace(file, "(name alice)", "(name (alice))", 1),
		"an atom in between": strings.Replace(file, "(name alice)", "(name alice) x", 1),
		"something more":     strings.Replace(file, "(name alice)", "(name alice) (age 9)", 1),
		"an account twice":   twice,
		"another algorithm":  strings.Replace(file, "(dsa", "(rsa", 1),
		"no x":               strings.Replace(file, "(x ", "(z ", 1),
		"a wrong digit":      strings.Replace(file, "(q #00", "(q #0g", 1),
		"an odd digit":       strings.Replace(file, "(q #00", "(q #0", 1),
		"leading zeros":      strings.Replace(file, "(q #00", "(q #0000", 1),
		"text behind":        file + "x",
		"two lists":          file + file,
		"an unknown escape":  strings.Replace(file, "(name alice)", `(name "\q")`, 1),
		"a control":          strings.Replace(file, "(name alice)", "(name \"a\x01\")", 1),
		"a length":           strings.Replace(file, "(name alice)", "(name 5:alice)", 1),
		"base64":             strings.Replace(file, "(name alice)", "(name |YWxpY2U=|)", 1),
		"deep":               strings.Repeat("(", 100000),
		"deep and closed":    "(privkeys" + strings.Repeat("(", 9) + strings.Repeat(")", 9) + ")",
	} {
		if broken == file {
			t.Fatalf("%s: nothing is broken", what)
		}
		_, err := ParseLibotrKeys([]byte(broken))
		wantError(t, fmt.Errorf("%s: %w", what, err), ErrFormat)
	}
	// A number may come with or without the zeros that keep it positive.
	if _, err := ParseLibotrKeys([]byte(strings.ReplaceAll(file, " #00", " #"))); err != nil {
		t.Error(err)
	}
	for n := range file[:len(file)-2] {
		if _, err := ParseLibotrKeys([]byte(file[:n])); err == nil {
			t.Fatalf("cut to %d bytes it was read", n)
		}
	}
}

func TestFingerprintsAreReadAsLibotrDoesAndBadLinesDoNotKeepOthersOut(t *testing.T) {
	digits := strings.Repeat("aB", 20)
	fp, err := keys.ParseFingerprint(digits)
	must(t, err)
	account := Account{"me", "IRC"}
	for text, want := range map[string][]LibotrFingerprint{
		"":                               nil,
		"\n\r\n":                         nil,
		"bob\tme\tIRC\t" + digits:        {{"bob", account, fp, ""}},
		"bob\tme\tIRC\t" + digits + "\t": {{"bob", account, fp, ""}},
		"bob\tme\tIRC\t" + digits + "\r\nbob\tme\tIRC\t" + digits + "\tverified\r\n": {{"bob", account, fp, ""}, {"bob", account, fp, "verified"}},
		"b b\tme\tIRC\t" + digits + "\tby hand\n":                                    {{"b b", account, fp, "by hand"}},
	} {
		for _, mark := range []string{"", "\ufeff"} {
			got, bad := ParseLibotrFingerprints([]byte(mark + text))
			if bad != nil || !slices.Equal(got, want) {
				t.Errorf("%q is %v, %v", mark+text, got, bad)
			}
		}
	}
	good := "bob\tme\tIRC\t" + digits + "\n"
	for _, name := range []string{"", "b\xf6b", "bob ", "\u00a0bob", "b\u200bob", "bob\u3164", "b\x1bob"} {
		list, bad := ParseLibotrFingerprints([]byte(good + name + "\tme\tIRC\t" + digits + "\n" + good))
		if len(list) != 2 || len(bad) != 1 || bad[0].Line != 2 {
			t.Fatalf("%q: %v, %v", name, list, bad)
		}
		wantError(t, bad[0], ErrName)
		if !bad[0].Concerns(Account{"me", ""}) || bad[0].Concerns(Account{"you", ""}) {
			t.Errorf("%q concerns others than %v", name, bad[0].Account)
		}
	}
	for _, line := range []string{
		"hello", "bob\tme\tIRC", "bob\tme\tIRC\t" + digits[1:], "bob\tme\tIRC\t" + digits + "0", "bob\tme\tIRC\t" + digits[1:] + "g",
		"bob\tme\tIRC\t" + digits + "\tverified\tmore", "bob\tme\tIRC\t" + strings.Repeat("0", 112),
	} {
		list, bad := ParseLibotrFingerprints([]byte(good + line + "\n" + good))
		if len(list) != 2 || len(bad) != 1 {
			t.Fatalf("%q: %v, %v", line, list, bad)
		}
		wantError(t, bad[0], ErrFormat)
		if !strings.Contains(bad[0].Error(), "line 2") {
			t.Errorf("%q: %v", line, bad[0])
		}
	}
}

func TestWhatLibotrsListsCannotHoldIsRefused(t *testing.T) {
	for _, one := range []LibotrFingerprint{
		{"b\tb", Account{"me", "IRC"}, fingerprintOf(1), ""},
		{"bob", Account{"m\ne", "IRC"}, fingerprintOf(1), ""},
		{"bob", Account{"me", "IRC"}, fingerprint4Of(1), ""},
	} {
		_, err := AppendLibotrFingerprints(nil, one)
		wantError(t, err, ErrFormat)
	}
	_, err := AppendLibotrTags(nil, LibotrTag{Account{"me", "I\rRC"}, 0x100})
	wantError(t, err, ErrFormat)
}

func TestInstanceTagsSkipWhatLibotrSkips(t *testing.T) {
	text := "# WARNING\twarning\t12345678 9\n" +
		"a\tIRC\t00000100\r\n" +
		"b\tIRC\t000000ff\n" +
		"c\tIRC\t1234567\n" +
		"d\tIRC\t123456789\n" +
		"e\tIRC\t0x123456\n" +
		"f\tIRC\n" +
		"g\tIRC\tABCDEF12\n"
	list := ParseLibotrTags([]byte(text))
	want := []LibotrTag{{Account{"a", "IRC"}, 0x100}, {Account{"g", "IRC"}, 0xabcdef12}}
	if !slices.Equal(list, want) {
		t.Errorf("read %v", list)
	}
	if tag, err := ChooseTag(list, "file", Account{"g", ""}); tag != 0xabcdef12 || err != nil {
		t.Errorf("tag of g: %x, %v", tag, err)
	}
	for _, account := range []Account{{}, {"h", ""}} {
		if _, err := ChooseTag(list, "file", account); err == nil || !strings.Contains(err.Error(), `"g" (IRC)`) {
			t.Errorf("tag of %v: %v", account, err)
		}
	}
	_, err := ChooseTag(nil, "file", Account{})
	wantError(t, err, ErrFormat)
}

func TestContactsComeFromOneAccountAndGoToOne(t *testing.T) {
	me, other := Account{"me", "IRC"}, Account{"me", "prpl-jabber"}
	list := []LibotrFingerprint{
		{"bob", me, fingerprintOf(1), ""},
		{"alice", me, fingerprintOf(2), "verified"},
		{"bob", me, fingerprintOf(3), "smp"},
		{"bob", other, fingerprintOf(4), "affirmed"},
	}
	_, err := ContactsFromLibotr(list, "file", Account{Name: "me"}, someday)
	if choice, ok := err.(*ChoiceError); !ok || len(choice.Accounts) != 2 || choice.None {
		t.Errorf("error %v", err)
	}
	_, err = ContactsFromLibotr(list, "file", Account{Name: "you"}, someday)
	if choice, ok := err.(*ChoiceError); !ok || !choice.None {
		t.Errorf("error %v", err)
	}
	contacts, err := ContactsFromLibotr(list, "file", me, someday)
	must(t, err)
	want := []Contact{
		{Name: "alice", Keys: []ContactKey{metKey(fingerprintOf(2), Verified, someday, someday)}},
		{Name: "bob", Keys: []ContactKey{metKey(fingerprintOf(1), Seen, someday, someday), metKey(fingerprintOf(3), SMP, someday, someday)}},
	}
	if fmt.Sprint(contacts) != fmt.Sprint(want) {
		t.Errorf("contacts %v", contacts)
	}
	contacts[1].Keys = append(contacts[1].Keys, ContactKey{Fingerprint: fingerprint4Of(9)})
	back, leftOut := LibotrFromContacts(contacts, other)
	if leftOut != 1 || len(back) != 3 || back[0] != (LibotrFingerprint{"alice", other, fingerprintOf(2), "verified"}) ||
		back[1].Trust != "" || back[2].Trust != "smp" {
		t.Errorf("back: %v, %d left out", back, leftOut)
	}
	contacts, err = ContactsFromLibotr(list, "file", other, someday)
	if err != nil || len(contacts) != 1 || contacts[0].Keys[0].Trust != Verified {
		t.Errorf("contacts %v, %v", contacts, err)
	}
	if none, err := ContactsFromLibotr(nil, "file", Account{"me", ""}, someday); none != nil || err != nil {
		t.Errorf("of an empty file: %v, %v", none, err)
	}
}

func FuzzSexp(f *testing.F) {
	for _, text := range []string{
		"(a (b \"c\") #0aFF# d)", `"\x41\101\n\\"`, "#00 11#", "((((((((((", "()", "(a", "\"é\"", "#0#", "(1a)", "a b",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSexp(b)
		if err != nil {
			return
		}
		again, err := parseSexp(appendSexp(nil, s))
		if err != nil || !equalSexp(s, again) {
			t.Errorf("%q is read as %q", b, appendSexp(nil, again))
		}
	})
}

func appendSexp(b []byte, s sexp) []byte {
	if !s.isList {
		return appendAtom(b, s.atom)
	}
	b = append(b, '(')
	for _, element := range s.list {
		b = append(appendSexp(b, element), ' ')
	}
	return append(b, ')')
}

func equalSexp(a, b sexp) bool {
	return a.isList == b.isList && bytes.Equal(a.atom, b.atom) && slices.EqualFunc(a.list, b.list, equalSexp)
}

func FuzzLibotrKeys(f *testing.F) {
	f.Add(aKeyFile())
	f.Add([]byte("(privkeys)"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := ParseLibotrKeys(b)
		if err != nil {
			return
		}
		file := AppendLibotrKeys(nil, list...)
		again, err := ParseLibotrKeys(file)
		if err != nil || !bytes.Equal(AppendLibotrKeys(nil, again...), file) {
			t.Errorf("what was read comes back as %q, %v", file, err)
		}
	})
}

func FuzzLibotrFingerprints(f *testing.F) {
	f.Add([]byte("bob\tme\tIRC\t" + strings.Repeat("aB", 20) + "\tverified\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, bad := ParseLibotrFingerprints(b)
		for _, row := range bad {
			if !errors.Is(row, ErrFormat) && !errors.Is(row, ErrName) {
				t.Errorf("%q: %v", b, row)
			}
		}
		file, err := AppendLibotrFingerprints(nil, list...)
		if err != nil {
			return // a NUL or a CR inside
		}
		if again, bad := ParseLibotrFingerprints(file); bad != nil || !slices.Equal(again, list) {
			t.Errorf("%q comes back as %v, %v", b, again, bad)
		}
	})
}

func FuzzLibotrTags(f *testing.F) {
	f.Add([]byte("# WARNING\nbob\tIRC\t12345678\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list := ParseLibotrTags(b)
		file, err := AppendLibotrTags(nil, list...)
		if err != nil {
			return // a NUL or a CR inside
		}
		if again := ParseLibotrTags(file); !slices.Equal(again, list) {
			t.Errorf("%q comes back as %v", b, again)
		}
	})
}
