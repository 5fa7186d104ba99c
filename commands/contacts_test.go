package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/testscripts/slowtest"
)

var (
	key3 = "0123456789abcdef0123456789abcdef01234567"
	key4 = strings.Repeat("a", 112)
)

func TestAContactIsAddedTrustedAndForgotten(t *testing.T) {
	p := newPerson(t, "default")
	contacts := func(args ...string) *result { return p.run(append([]string{"contacts"}, args...)...) }
	contacts("list", "--json").is(exit.OK).answers(`^\[\]$`)
	contacts("add", "bob", "01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67").is(exit.OK).saysNothing()
	contacts("add", "bob", "01234567", "89ABCDEF", "01234567", "89ABCDEF", "01234567").is(exit.OK)
	contacts("list", "--json").answers(`^\[\{"contact":"bob","keys":\[\{"otr":3,"fingerprint":"` + key3 + `","trust":"seen","first_seen":"20`)
	contacts("trust", "bob").is(exit.OK).says("the OTRv3 key of bob is verified by hand: 01234567 ")
	contacts("list").answers(`^bob\n  OTRv3 01234567 89ABCDEF 01234567 89ABCDEF 01234567 verified by hand\n$`)
	contacts("distrust", "bob").is(exit.OK)
	contacts("add", "bob", key4).is(exit.OK)
	contacts("trust", "bob").refused(exit.Usage, "has 2 keys: say which one")
	contacts("trust", "bob", key3).is(exit.OK)
	contacts("trust", "bob", key4).is(exit.OK)
	contacts("distrust", "bob", key4).is(exit.OK)
	contacts("list").answers("01234567 verified by hand$").answers("AAAAAAAA known$")
	p.run("fingerprint", "--contact", "bob").is(exit.OK).answers(`^OTRv3 01234567 .*\nOTRv4 AAAAAAAA `)
	p.run("fingerprint", "--contact", "bob", "--otr", "4", "--json").is(exit.OK).answers(`"keys":\[\{"otr":4,"fingerprint":"` + key4 + `"[^{]*\}\]`)
	contacts("rename", "bob", "robert").is(exit.OK)
	contacts("remove", "robert", key3).is(exit.OK)
	p.run("fingerprint", "--contact", "robert", "--otr", "3").refused(exit.KeyFile, `has no key for OTR version 3\n.*hint: without --otr every key`)
	contacts("remove", "robert").is(exit.OK)
	contacts("list", "--json").answers(`^\[\]$`)
}

func TestAContactThatCannotBeIsRefused(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "default")
	own := strings.TrimSpace(p.run("fingerprint", "--otr", "3").out)
	p.run("contacts", "add", "bob", key3).is(exit.OK)
	p.run("contacts", "add", "carol", key4).is(exit.OK)
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exit.Usage, "takes NAME FINGERPRINT", []string{"add"}},
		{exit.Usage, "takes a name and a fingerprint", []string{"add", "dave"}},
		{exit.Usage, "hint: the name comes first: otrpipe contacts add NAME FINGERPRINT$", []string{"add", key3, "dave"}},
		{exit.Usage, "hint: a fingerprint has 40 hexadecimal digits", []string{"add", "eve", "dave"}},
		{exit.Usage, "39 hexadecimal digits, not 40 or 112", []string{"add", "dave", key3[1:]}},
		{exit.Usage, "'x' is no hexadecimal digit", []string{"add", "dave", key3[1:] + "x"}},
		{exit.Usage, "a fingerprint of version 4 with the digits of version 3", []string{"add", "dave", "OTRv4 " + key3}},
		{exit.Usage, "your own identity default", []string{"add", "dave", own}},
		{exit.Usage, "cannot be seen", []string{"add", "dave\u3164", key3}},
		{exit.KeyFile, "not found: contact \"dave\"", []string{"trust", "dave"}},
		{exit.KeyFile, "not found: key FFFFFFFF", []string{"trust", "bob", strings.Repeat("f", 40)}},
		{exit.Usage, "", []string{"trust", "bob", "no fingerprint"}},
		{exit.Usage, "", []string{"distrust", "bob", "no fingerprint"}},
		{exit.KeyFile, "not found: contact", []string{"distrust", "dave"}},
		{exit.KeyFile, "hint: otrpipe contacts list", []string{"remove", "dave"}},
		{exit.Usage, "", []string{"remove", "bob", "no fingerprint"}},
		{exit.Usage, "takes the old name and the new one", []string{"rename", "bob"}},
		{exit.KeyFile, "not found: contact", []string{"rename", "dave", "eve"}},
		{exit.KeyFile, "exists already: contact \"carol\"", []string{"rename", "bob", "carol"}},
		{exit.Usage, "needs a command: ", nil},
		{exit.Usage, "takes no argument", []string{"list", "bob"}},
		{exit.Usage, "takes one file", []string{"import"}},
		{exit.Usage, "takes one file", []string{"export"}},
		{exit.KeyFile, "", []string{"import", filepath.Join(p.folder, "none")}},
		{exit.KeyFile, "hint: what can be imported is libotr's", []string{"import", p.file("text", "no contacts\n")}},
	} {
		p.run(append([]string{"contacts"}, test.args...)...).refused(test.code, test.says)
	}
	p.run("fingerprint", "--contact", "dave").refused(exit.KeyFile, "not found")
	path := filepath.Join(p.home, "contacts.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	p.run("contacts", "list").refused(exit.KeyFile, "damaged or foreign file")
	p.run("contacts", "export", "-").refused(exit.KeyFile, "damaged or foreign file")
}

func TestContactsMoveToLibotrAndBack(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "default")
	p.run("contacts", "add", "bob@example.org", key3).is(exit.OK)
	p.run("contacts", "trust", "bob@example.org").is(exit.OK)
	p.run("contacts", "add", "carol", key4).is(exit.OK)
	file := filepath.Join(p.folder, "fingerprints")
	p.run("contacts", "export", file, "--account", "me", "--protocol", "irc").is(exit.OK).says("left out 1 key of version 4")
	p.run("contacts", "export", file).refused(exit.KeyFile, "exists already")
	p.run("contacts", "export", "-", "--account", "me", "--protocol", "irc").is(exit.OK).answers("^bob@example.org\tme\tirc\t" + key3 + "\t\\S+$")

	other := newPerson(t)
	rows := "bob@example.org\tme\tirc\t" + key3 + "\tverified\n"
	other.run("contacts", "import", other.file("rows", rows)).is(exit.OK).says("imported 1 contact$")
	other.run("contacts", "list").answers("01234567 verified by hand$")
	bad := strings.Repeat("\x1b\tme\tirc\t"+key3+"\t\n", 22) // of which 20 are listed
	other.run("contacts", "import", other.file("rows", rows+bad)).is(exit.Failure).says("line 2 is left out").says("and 2 more").says("22 lines of .* cannot be imported")
}
