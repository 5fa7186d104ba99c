package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr/toolkit"
	"otrpipe/testscripts/slowtest"
)

func TestAnIdentityIsMadeShownAndRemoved(t *testing.T) {
	p := newPerson(t)
	p.run("fingerprint").refused(exit.KeyFile, `not found: identity "default"`)
	p.run("fingerprint", "-i", "my keys").says("hint: make it: otrpipe keygen -i 'my keys'")
	p.run("keys", "list", "--json").is(exit.OK).answers(`^\[\]$`)
	made := p.run("keygen", "--json").is(exit.OK).saysNothing()
	var answer struct {
		Identity, Instance string
		Keys               []struct {
			OTR         int
			Fingerprint string
		}
	}
	made.json(&answer)
	if answer.Identity != "default" || len(answer.Instance) != 8 || len(answer.Keys) != 2 {
		t.Fatalf("made %+v", answer)
	}
	if shown := p.run("fingerprint", "--json").is(exit.OK); shown.out != made.out {
		t.Errorf("made %s, and shown is %s", made.out, shown.out)
	}
	p.run("keygen").refused(exit.KeyFile, "exists already")
	p.run("keygen", "-i", "").refused(exit.Usage, "--identity: ")
	p.run("keygen", "argument").refused(exit.Usage, `takes no argument, not "argument"\notrpipe: hint: did you mean otrpipe keygen -i argument\?`)
	p.run("fingerprint", "bob").refused(exit.Usage, `hint: did you mean otrpipe fingerprint --contact bob\?`)
	p.run("keys", "export", "one", "two").refused(exit.Usage, `takes no argument, not "one"\n\z`)

	p.run("fingerprint").is(exit.OK).answers(`^OTRv3 ([0-9A-F]{8} ){4}[0-9A-F]{8}\nOTRv4 ([0-9A-F]{8} ){13}[0-9A-F]{8}\n$`)
	p.run("fingerprint", "--otr", "3").answers(`^([0-9A-F]{8} ){4}[0-9A-F]{8}\n$`)
	p.run("fingerprint", "--otr", "4", "--json").answers(`"keys":\[\{"otr":4,`)
	p.run("fingerprint", "--qr", "--otr", "3").is(exit.OK).answers("[▀▄█]{20}")
	p.run("fingerprint", "--otr", "5").refused(exit.Usage, "version 3 or 4, not 5")
	p.run("fingerprint", "--otr", "v4").refused(exit.Usage, `^otrpipe: --otr: "v4" is not a number$`)
	p.run("fingerprint", "--qr=maybe").refused(exit.Usage, `^otrpipe: --qr: "maybe" is neither true nor false$`)
	p.run("keys", "passphrase", "--new-passphrase-file", "nowhere").refused(exit.KeyFile, `^otrpipe: --new-passphrase-file: nowhere: no such file or directory$`)
	p.run("fingerprint", "--json", "--qr").refused(exit.Usage, "contradict")

	p.run("keygen", "-i", "forger", "--keep-forging-key").is(exit.OK)
	p.run("keys", "list").is(exit.OK).answers(`^default\n  OTRv3 .*\n  OTRv4 .*\nforger\n  OTRv3 .*\n  OTRv4 .*\n$`)
	t.Setenv("OTRPIPE_IDENTITY", "forger")
	p.run("fingerprint", "--json").answers(`"identity":"forger"`)
	p.run("fingerprint", "--json", "-i", "default").answers(`"identity":"default"`)
	t.Setenv("OTRPIPE_IDENTITY", "")
	p.run("keys", "remove").refused(exit.Usage, "the name of one identity")
	p.run("keys", "remove", "nobody").refused(exit.KeyFile, "not found")
	p.run("keys", "remove", "forger").is(exit.OK).says(`identity "forger" is removed`)
	p.run("fingerprint", "-i", "forger").refused(exit.KeyFile, "not found")
}

func TestADamagedIdentityIsToldAndTheOthersAreShown(t *testing.T) {
	p := newPerson(t, "one", "two", "three")
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(p.home, "identities", name, "public.json"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, flags := range [][]string{nil, {"--json"}} {
		r := p.run(append([]string{"keys", "list"}, flags...)...).is(exit.KeyFile).answers("three").says("one/public.json").says("two/public.json")
		if strings.Contains(r.out, "two") {
			t.Errorf("a damaged identity is listed: %s", r.out)
		}
	}
	p.run("keys", "remove", "--yes", "one").is(exit.OK)
}

func TestAPassphraseIsSetChangedAndTakenAway(t *testing.T) {
	p := newPerson(t, "default")
	one, two, empty := p.file("one", "one\n"), p.file("two", "two\n"), p.file("empty", "\n")
	passphrase := func(args ...string) *result { return p.run(append([]string{"keys", "passphrase"}, args...)...) }

	passphrase("--remove").is(exit.OK).says("has no passphrase")
	passphrase("--passphrase-file", one).is(exit.OK).says("has a new passphrase")
	p.run("keys", "list").answers(`^default \(protected\)$`)
	passphrase("--passphrase-file", two, "--new-passphrase-file", one).refused(exit.KeyFile, `passphrase is wrong for identity "default"`)
	passphrase("--passphrase-file", one, "--new-passphrase-file", empty).refused(exit.KeyFile, "the new passphrase is empty")
	passphrase("--remove", "--new-passphrase-file", two).refused(exit.Usage, "contradict")
	t.Setenv("OTRPIPE_PASSPHRASE", "one")
	t.Setenv("OTRPIPE_NEW_PASSPHRASE", "two")
	passphrase().is(exit.OK)
	if value := os.Getenv("OTRPIPE_PASSPHRASE") + os.Getenv("OTRPIPE_NEW_PASSPHRASE"); value != "" {
		t.Error("the passphrases are still in the environment, for every child to inherit")
	}
	passphrase("--remove", "--passphrase-file", two).is(exit.OK).says("has no passphrase any more")
	p.run("keys", "list", "--json").answers(`"protected":false`)

	p.run("keygen", "-i", "new", "--passphrase-file", empty).refused(exit.KeyFile, `the passphrase is empty\n.*hint: look into the file`)
	p.run("keygen", "-i", "new", "--passphrase-file", one).is(exit.OK)
	p.run("keys", "list", "--json").answers(`"identity":"new".*"protected":true`)
}

func TestKeysMoveToAnotherProgramAndBack(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "default")
	export := func(args ...string) *result { return p.run(append([]string{"keys", "export"}, args...)...) }
	file, tags := filepath.Join(p.folder, "keys"), filepath.Join(p.folder, "tags")

	export().refused(exit.Usage, "needs --format libotr or --format otrpipe")
	export("--format", "pem").refused(exit.Usage, `"pem" is neither libotr nor otrpipe`)
	export("--format", "otrpipe", "--account", "me").refused(exit.Usage, "--account needs --format libotr")
	export("--format", "libotr", "--account", "me@example.org", "--instance-tags", tags, "-o", file).is(exit.OK).
		says("left out the keys of version 4").says("the exported key is not protected")
	export("--format", "libotr", "-o", file).refused(exit.KeyFile, "exists already")
	export("--format", "libotr", "-o", file, "--force").is(exit.OK).says(`exporting for account "default" \(prpl-jabber\)`)
	export("--format", "libotr").is(exit.OK).answers(`^\(privkeys`)

	imported := func(args ...string) *result { return p.run(append([]string{"keys", "import"}, args...)...) }
	imported().refused(exit.Usage, "takes one file")
	imported("--format", "pem", file).refused(exit.Usage, "neither libotr nor otrpipe")
	imported(filepath.Join(p.folder, "none")).refused(exit.KeyFile, "none")
	imported(p.file("text", "no key\n")).refused(exit.KeyFile, "hint: what can be imported")
	imported("--format", "otrpipe", file, "-i", "copy").refused(exit.KeyFile, "is a file of libotr, not of otrpipe")
	imported(file).refused(exit.KeyFile, "exists already: identity \"default\"")
	imported(file, "-i", "copy", "--account", "nobody").refused(exit.Usage, "does not have that account")
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	imported(file, "-i", "copy", "--json").is(exit.OK).answers(`"identity":"copy"`).says("can be read by others")
	if a, b := p.run("fingerprint", "--otr", "3"), p.run("fingerprint", "--otr", "3", "-i", "copy"); a.out != b.out {
		t.Errorf("the copy has another key: %s and %s", a.out, b.out)
	}
	p.run("fingerprint", "-i", "copy", "--otr", "4").is(exit.OK) // which an import makes

	imported(file, "-i", "tagged", "--account", "default", "--instance-tags", tags).refused(exit.Usage, "tags does not have that account")
	export("--format", "libotr", "--account", "me", "--instance-tags", tags, "-o", file, "--force").is(exit.OK)
	imported(file).is(exit.OK).says(`^otrpipe: saved as identity "me", without a passphrase; otrpipe keys passphrase -i me sets one$`)
	imported(file, "-i", "tagged", "--instance-tags", tags, "--passphrase-file", p.file("one", "one\n")).is(exit.OK)
	var first, second struct{ Instance string }
	p.run("fingerprint", "--json").json(&first)
	p.run("fingerprint", "--json", "-i", "tagged").json(&second)
	if first.Instance != second.Instance {
		t.Errorf("the instance tag was %s and is %s", first.Instance, second.Instance)
	}

	own := filepath.Join(p.folder, "own")
	export("--format", "otrpipe", "-i", "nobody").refused(exit.KeyFile, "not found")
	export("--format", "otrpipe", "-i", "tagged", "-o", own).is(exit.OK).saysNothing()
	imported(own, "-i", "protected", "--keep-forging-key", "--passphrase-file", p.file("one", "one\n")).refused(exit.Usage, "no keys are made")
	imported(own, "-i", "protected", "--passphrase-file", p.file("one", "one\n")).is(exit.OK).says(`^otrpipe: saved as identity "protected", protected by the passphrase$`)
	p.run("keys", "list", "--json").answers(`"identity":"protected".*"protected":true`)
	p.run("fingerprint", "--identity-file", own, "--passphrase-file", p.file("one", "one\n")).is(exit.OK).answers("^OTRv4 ")
	p.run("fingerprint", "--identity-file", own, "-i", "default").refused(exit.Usage, "contradict")
}

func TestAnIdentityOfAnOlderProgramIsUpgraded(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t)
	file, err := os.ReadFile("../keyfile/testdata/identity-v1.key")
	if err != nil {
		t.Fatal(err)
	}
	old := p.file("old", string(file))
	p.run("fingerprint", "--identity-file", old, "--otr", "4").refused(exit.KeyFile, "hint: otrpipe keys import .*, then use that identity")
	p.run("keys", "import", old, "-i", "old").is(exit.OK)
	p.run("fingerprint", "-i", "old", "--otr", "4").refused(exit.KeyFile, `has no key for OTR version 4\n.*hint: make it: otrpipe keys upgrade -i old`)
	p.run("prekeys", "publish", "-i", "old").refused(exit.KeyFile, "has no key for OTR version 4")
	before := p.run("fingerprint", "-i", "old")
	p.run("keys", "upgrade", "-i", "old", "--json").is(exit.OK).answers(`"otr":4`)
	if after := p.run("fingerprint", "-i", "old"); !strings.HasPrefix(after.out, before.out) || after.out == before.out {
		t.Errorf("before it had %s, and now %s", before.out, after.out)
	}
	p.run("keys", "upgrade", "-i", "old").is(exit.OK).says(`identity "old" has keys of version 4`)
	p.run("keys", "upgrade", "-i", "none").refused(exit.KeyFile, "not found")
}

const script = `alice: Meet me at the bridge at noon.
bob: Which one?
alice: The old one.
`

func TestAConversationIsForgedTakenApartAndChanged(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "alice", "bob")
	forge := func(args ...string) *result {
		return p.reading(script, append([]string{"toolkit", "forge", "--as", "alice", "-i", "alice"}, args...)...)
	}
	log := forge("--otr", "3").is(exit.OK).says("never happened").says("the signature of bob").out
	p.reading(log, "toolkit", "parse").is(exit.OK).answers(`^1\. D-H Commit`).answers("authenticates          message 5$")
	p.reading(log, "toolkit", "parse", "--full").is(exit.OK)
	var messages []map[string]any
	p.reading(log, "toolkit", "parse", "--json").is(exit.OK).json(&messages)
	var key string
	for _, m := range messages {
		revealed, _ := m["revealed_mac_keys"].([]any)
		for _, one := range revealed {
			if k := one.(map[string]any); k["authenticates"] != nil && key == "" {
				key = k["key"].(string)
			}
		}
	}
	if key == "" {
		t.Fatalf("no revealed key authenticates a message: %v", messages)
	}

	changed := p.reading(log, "toolkit", "modify", key, "Which", "Whose", "0").is(exit.OK).out
	p.reading(changed, "toolkit", "parse").is(exit.OK)
	p.reading(log, "toolkit", "remac", "@"+p.file("key", key+"\n")).is(exit.OK).answers(`\?OTR:AAMD`)
	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exit.Failure, `the key fits none of the .* data messages.*\n.*hint: .* is it of this conversation`, []string{"modify", strings.Repeat("00", 20), "a", "b", "0"}},
		{exit.Failure, "the replacement does not fit", []string{"modify", key, "bridge", "church", "1000"}},
		{exit.Failure, `message 1 is no data message\n.*hint: otrpipe toolkit parse shows`, []string{"modify", key, "a", "b", "0", "--number", "1"}},
		{exit.Failure, `so there is no message 30\n.*hint: otrpipe toolkit parse shows`, []string{"modify", key, "a", "b", "0", "--number", "30"}},
		{exit.Usage, "messages are counted from 1", []string{"modify", key, "a", "b", "0", "--number", "0"}},
		{exit.Usage, "messages are counted from 1", []string{"remac", key, "--number", "0"}},
		{exit.Usage, "messages are counted from 1", []string{"readforge", strings.Repeat("00", 16), "--number", "0"}},
		{exit.Usage, `OFFSET: "x" is not a number`, []string{"modify", key, "a", "b", "x"}},
		{exit.Usage, "takes MAC_KEY OLD NEW OFFSET", []string{"modify", key}},
		{exit.Usage, `MAC_KEY is not made of hexadecimal digits\n.*hint: .*@FILE`, []string{"modify", "xy", "a", "b", "0"}},
		{exit.Failure, "the key", []string{"readforge", strings.Repeat("00", 16), "--text", "forged"}},
		{exit.Usage, "contradict", []string{"readforge", strings.Repeat("00", 16), "--text", "forged", "--json"}},
		{exit.Usage, "takes KEY", []string{"readforge"}},
		{exit.Usage, "replaces KEY: give one of them", []string{"readforge", "00", "--keylog", "f"}},
		{exit.KeyFile, "--keylog: /.*/none: no such file", []string{"readforge", "--keylog", filepath.Join(p.folder, "none")}},
		{exit.KeyFile, `text.*\n.*hint: give a file that --keylog`, []string{"readforge", "--keylog", p.file("text", "no keys\n")}},
		{exit.Failure, "an encryption key has 16 or 64 bytes, not 2", []string{"mackey", "0011"}},
		{exit.Usage, `odd number of hexadecimal digits: 3\n.*hint: a byte has two digits`, []string{"mackey", "001"}},
		{exit.KeyFile, "KEY: /.*/none: no such file", []string{"mackey", "@" + filepath.Join(p.folder, "none")}},
		{exit.KeyFile, "is longer than", []string{"mackey", "@" + p.file("long", strings.Repeat("0", 5<<20))}},
		{exit.Failure, "not an element of the group", []string{"sesskeys", "01", "01"}},
		{exit.Usage, "takes MAC_KEY alone, or all ten", []string{"remac", key, "1"}},
		{exit.Failure, "the counter is 0", []string{"remac", key, "0x100", "0x101", "0", "1", "1", "02", "00", "ff", ""}},
		{exit.Usage, `FLAGS: "256" is not a number from 0 to 255`, []string{"remac", key, "0x100", "0x101", "256", "1", "1", "02", "01", "ff", ""}},
		{exit.Usage, "COUNTER has 9 bytes", []string{"remac", key, "0x100", "0x101", "0", "1", "1", "02", strings.Repeat("01", 9), "ff", ""}},
		{exit.Usage, "ENCRYPTED is not made of", []string{"remac", key, "0x100", "0x101", "0", "1", "1", "02", "01", "x0", ""}},
		{exit.Usage, "--number is for messages on standard input", []string{"remac", "--number", "1", key, "0x100", "0x101", "0", "1", "1", "02", "01", "ff", ""}},
		{exit.Usage, "go together", []string{"parse", "--account", "me"}},
		{exit.Usage, "takes no argument", []string{"parse", "log"}},
	} {
		p.reading(log, append([]string{"toolkit"}, test.args...)...).refused(test.code, test.says)
	}
	p.run("toolkit", "mackey", strings.Repeat("00", 16)).is(exit.OK).answers("^[0-9a-f]{40}$")
	p.run("toolkit", "remac", key, "0x100", "257", "0", "1", "1", "02", "01", "ff", "").is(exit.OK).answers(`^\?OTR:AAMD`)
	for _, flags := range [][]string{nil, {"--json"}} {
		p.run(append([]string{"toolkit", "sesskeys", "03", "09"}, flags...)...).is(exit.OK).answers(`session.?id|ssid`)
	}
	for input, says := range map[string]string{"": "the input has no OTR message", "<bob> ?OTR:AAMD*": "a message cannot be read: line 1, column 16"} {
		p.reading(input, "toolkit", "parse").is(exit.Failure).says(says)
		p.reading(input, "toolkit", "parse", "--json").is(exit.Failure).says(says)
	}
	p.reading("?OTRv34?\n", "toolkit", "remac", key).refused(exit.Failure, `the input has no data message\n.*hint: otrpipe toolkit parse shows`)

	for _, test := range []struct {
		code int
		says string
		args []string
	}{
		{exit.Usage, "one SCRIPT", []string{"one", "two"}},
		{exit.Usage, "forged, not of 2", []string{"--otr", "2"}},
		{exit.Usage, "needs --profile FILE", nil},
		{exit.Usage, "version 3 has no messages", []string{"--otr", "3", "--away"}},
		{exit.Usage, "nothing of the peer's is needed", []string{"--otr", "3", "--profile", "x"}},
		{exit.Usage, "contradict", []string{"--away", "--peer-begins", "--profile", "x"}},
		{exit.Failure, "--profile: ", []string{"--profile", filepath.Join(p.folder, "none")}},
		{exit.Failure, "no client profile of anybody else", []string{"--profile", p.file("log3", log)}},
		{exit.Failure, "no such file", []string{"--otr", "3", filepath.Join(p.folder, "none")}},
		{exit.Failure, "hint: a script has lines such as alice: hello", []string{"--otr", "3", p.file("no script", "hello\n")}},
	} {
		forge(test.args...).refused(test.code, test.says)
	}
	p.run("toolkit", "forge", script).refused(exit.Usage, "needs --as NAME")
}

// Messages of version 4 to a prekey, and conversations from what such messages show.
func TestAConversationOfVersion4IsForgedFromAProfile(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "alice", "bob")
	ensemble := filepath.Join(p.folder, "ensemble")
	p.run("prekeys", "publish", "-i", "bob", "-n", "1", "-o", ensemble).is(exit.OK)
	as := []string{"toolkit", "forge", "--as", "alice", "-i", "alice"}
	away := p.reading("alice: Meet me at noon.\n", append(as, "--away", "--profile", ensemble)...).is(exit.OK).says("nobody can tell").out
	p.reading(away, "toolkit", "parse", "--json").is(exit.OK).answers(`"sigma_check":"valid"`)
	p.reading(script, append(as, "--away", "--profile", ensemble)...).refused(exit.Failure, "cannot be forged: an answer")
	whole := p.reading(script, "toolkit", "forge", "--as", "bob", "-i", "bob", "--profile", p.file("away", away)).is(exit.OK).out
	for _, flag := range []string{"--peer-begins", "--otr=4"} {
		log := p.reading(script, append(as, "--profile", p.file("whole", whole), flag)...).is(exit.OK).out
		r := p.reading(log, "toolkit", "parse", "--json").is(exit.OK)
		if n := strings.Count(r.out, `"sigma_check":"valid"`); n != 2 || strings.Contains(r.out, `"valid":false`) {
			t.Errorf("%s: %d valid ring signatures", flag, n)
		}
	}
}

func TestWhatAKeyLogNamesIsRead(t *testing.T) {
	p := newPerson(t)
	// A message of version 3 under a key that the log has.
	key := make([]byte, 16)
	macKey, err := toolkit.MACKey(key)
	if err != nil {
		t.Fatal(err)
	}
	line, err := toolkit.Make3(toolkit.Parts3{Sender: 0x100, Receiver: 0x101, SenderKeyID: 1, RecipientKeyID: 2, NextDH: []byte{2}, Counter: 1, Encrypted: []byte("x")}, macKey)
	if err != nil {
		t.Fatal(err)
	}
	logged := toolkit.LoggedKey{Version: 3, Sender: 0x100, Receiver: 0x101, First: 1, Second: 2, Key: key}.Append([]byte(toolkit.KeyLogHeader + "\n"))
	log := p.file("keylog", string(logged))
	p.reading(string(line)+"\n", "toolkit", "readforge", "--keylog", log).is(exit.OK)
	p.reading(string(line)+"\n", "toolkit", "readforge", "--keylog", log, "--json").is(exit.OK).answers(`"text"`)
	forged := p.reading(string(line)+"\n", "toolkit", "readforge", "--keylog", log, "--text", "never mind").is(exit.OK).out
	p.reading(forged, "toolkit", "readforge", strings.Repeat("00", 16)).is(exit.OK).answers("^never mind$")
	other := toolkit.LoggedKey{Version: 3, Sender: 0x100, Receiver: 0x101, First: 9, Second: 9, Key: key}.Append([]byte(toolkit.KeyLogHeader + "\n"))
	p.reading(string(line)+"\n", "toolkit", "readforge", "--keylog", p.file("other", string(other))).refused(exit.Failure, "")
}
