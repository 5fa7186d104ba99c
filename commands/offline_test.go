package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/testscripts/slowtest"
)

func TestALetterToSomebodyWhoIsAwayAndItsAnswer(t *testing.T) {
	p := newPerson(t, "alice", "bob")
	ensembles := filepath.Join(p.folder, "ensembles")
	p.run("prekeys", "publish", "-i", "bob", "-n", "2", "-o", ensembles).is(exit.OK).says("published 2 prekeys; 2 are unused now")
	p.run("prekeys", "publish", "-i", "bob", "-o", ensembles).refused(exit.KeyFile, "exists already")
	p.run("prekeys", "publish", "-i", "bob", "-n", "1", "--contact", "carol").refused(exit.KeyFile, "no version 4 key of carol is on file")
	p.run("contacts", "add", "carol", key4).is(exit.OK)
	p.run("prekeys", "publish", "-i", "bob", "-n", "1", "--contact", "carol").is(exit.OK).answers(`^\?OTRP:`)
	p.run("prekeys", "list", "-i", "bob").is(exit.OK).answers("^2 prekeys for anybody, until 20").answers("^1 prekey for carol, until 20")

	letter := p.reading("a letter", "encrypt-stream", "-i", "alice", "--to", ensembles, "--contact", "bob").is(exit.OK).says("encrypting to bob").out
	if strings.Contains(letter, "a letter") {
		t.Fatalf("it was not encrypted: %s", letter)
	}
	events := filepath.Join(p.folder, "events")
	p.reading(letter, "decrypt-stream", "-i", "bob", "--contact", "alice", "--events", events).is(exit.OK).answers(`\Aa letter\z`).says("from alice, OTRv4 key")
	if b, err := os.ReadFile(events); err != nil || !strings.Contains(string(b), `"code":0`) {
		t.Errorf("events %s, %v", b, err)
	}
	p.reading(letter, "decrypt-stream", "--offline", "-i", "bob", "--contact", "alice").refused(exit.Failure, "has been read before")
	answer := p.reading("an answer", "encrypt-stream", "-i", "bob", "--reply-to", "alice", "--last").is(exit.OK).out
	p.reading(answer, "decrypt-stream", "-i", "alice").is(exit.OK).answers(`\Aan answer\z`)

	p.reading("another", "encrypt-stream", "-i", "alice", "--to", ensembles).is(exit.OK)
	p.reading("too many", "encrypt-stream", "-i", "alice", "--to", ensembles).refused(exit.Failure, "has no unused ensemble")
	p.run("prekeys", "list", "-i", "alice").is(exit.OK).answers("^session [0-9a-f]{16} with ")
	var list struct {
		Prekeys  []struct{ ID string }
		Sessions []struct{ Session, Began string }
	}
	p.run("prekeys", "list", "-i", "alice", "--json").is(exit.OK).json(&list)
	if len(list.Sessions) != 1 || list.Sessions[0].Began != "us" {
		t.Fatalf("%+v", list)
	}
	p.run("prekeys", "revoke", "-i", "alice", list.Sessions[0].Session).is(exit.OK)
	p.run("prekeys", "list", "-i", "bob", "--json").json(&list)
	p.run("prekeys", "revoke", "-i", "bob", list.Prekeys[0].ID).is(exit.OK).says("deleted 1 prekey")
	p.run("prekeys", "revoke", "-i", "bob", list.Prekeys[0].ID).refused(exit.Failure, `found and deleted only 0 of 1 prekey\n.*hint: otrpipe prekeys list`)
	more := filepath.Join(p.folder, "more")
	p.run("prekeys", "publish", "-i", "bob", "-n", "2", "-o", more).is(exit.OK)
	p.run("prekeys", "revoke", "-i", "alice", "--ensembles", more).refused(exit.Failure, "more has no unused ensemble of this identity")
	p.run("prekeys", "revoke", "-i", "bob", "--ensembles", more).is(exit.OK).says("deleted 2 prekeys")
	p.run("prekeys", "revoke", "-i", "bob", "--ensembles", more).refused(exit.Failure, "found and deleted only 0 of 2 prekeys")
	p.run("prekeys", "list", "-i", "bob").answers("^1 prekey for carol")
	p.run("prekeys", "revoke", "-i", "bob", "--all").is(exit.OK)
	p.run("prekeys", "list", "-i", "bob", "--json").answers(`"prekeys":\[\]`)
}

func TestWhatMakesNoSenseOfflineIsRefused(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "default")
	none := filepath.Join(p.folder, "none")
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exit.Usage, "--instance needs --to", []string{"encrypt-stream", "--instance", "00000100"}},
		{exit.Usage, "--last needs --to", []string{"encrypt-stream", "--last"}},
		{exit.Usage, "takes no argument", []string{"encrypt-stream", "--to", none, "argument"}},
		{exit.Usage, "contradict", []string{"encrypt-stream", "--to", none, "--reply-to", "bob"}},
		{exit.Usage, "is not an instance tag", []string{"encrypt-stream", "--to", none, "--instance", "1"}},
		{exit.Usage, "--instance needs --to", []string{"encrypt-stream", "--reply-to", "bob", "--instance", "00000100"}},
		{exit.Usage, "standard input is the plaintext", []string{"encrypt-stream", "--to", "-"}},
		{exit.KeyFile, "none", []string{"encrypt-stream", "--to", none}},
		{exit.Session, `no session "bob" is kept`, []string{"encrypt-stream", "--reply-to", "bob"}},
		{exit.Usage, "nobody answers offline", []string{"encrypt-stream", "--reply-to", "bob", "--stay"}},
		{exit.Usage, "belongs to an identity of the home", []string{"encrypt-stream", "--reply-to", "bob", "--identity-file", none}},
		{exit.KeyFile, "not found: identity", []string{"decrypt-stream", "--offline", "-i", "nobody"}},
		{exit.Usage, "takes no argument", []string{"decrypt-stream", "--offline", "argument"}},
		{exit.Usage, "--otr", []string{"decrypt-stream", "--offline", "--otr", "5"}},
		{exit.Usage, "is not between 1 and", []string{"prekeys", "publish", "-n", "0"}},
		{exit.Usage, "a contact needs a name", []string{"prekeys", "publish", "--contact", ""}},
		{exit.Usage, "takes no argument", []string{"prekeys", "list", "argument"}},
		{exit.Usage, "needs an ID, --contact, --ensembles or --all", []string{"prekeys", "revoke"}},
		{exit.Usage, `"xy" is not the id of a prekey or session`, []string{"prekeys", "revoke", "xy"}},
	} {
		p.run(test.args...).refused(test.code, test.says)
	}
}

func TestLinesToSomebodyWhoIsAwayArriveOneByOne(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "alice", "bob", "carol")
	bobs, carols := filepath.Join(p.folder, "bobs"), filepath.Join(p.folder, "carols")
	p.run("prekeys", "publish", "-i", "bob", "-n", "3", "-o", bobs).is(exit.OK)
	p.run("prekeys", "publish", "-i", "carol", "-n", "1", "-o", carols).is(exit.OK)
	lines := func(input, file string, flags ...string) *result {
		return p.reading(input, append([]string{"encrypt-stream", "-i", "alice", "--mode", "lines", "--to", file}, flags...)...)
	}
	message := lines("one\r\ntwo\n\nlast", bobs).is(exit.OK).out
	events := filepath.Join(p.folder, "events")
	p.reading(message, "decrypt-stream", "-i", "bob", "--mode", "lines", "--events", events).is(exit.OK).answers(`\Aone\ntwo\nlast\n\z`)
	message = lines("one\ntw\x00o\n"+strings.Repeat("x", 1<<20)+"\nend\n", bobs).is(exit.Broken).
		says("line 2 of the input is not sent: it has a NUL").says("line 3 of the input is not sent: it is too long").out
	p.reading(message, "decrypt-stream", "-i", "bob", "--mode", "lines").answers(`\Aone\nend\n\z`)

	// A file with ensembles of several people, and with lines that are none.
	var both []byte
	for _, name := range []string{bobs, carols} {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	first := strings.Index(string(both), "?OTRP:")
	bad := strings.Repeat(string(both[first:first+100])+".\n", 7)
	file := p.file("both", bad+string(both))
	lines("hello", file).is(exit.Usage).says("ensembles of several keys").says("choose one with --contact NAME or --expect").says("2 ensembles more are not used|2 more")
	fp := strings.TrimSpace(p.run("fingerprint", "-i", "carol", "--otr", "4").out)
	lines("hello", file, "--expect", fp).is(exit.OK).says("encrypting to")
	// Only bob's are left, which are not for this message.
	lines("hello", file, "--expect", fp).refused(exit.Refused, "")
	lines("hello", p.file("empty", "nothing\n")).is(exit.Failure).says("has no valid ensemble")
}
