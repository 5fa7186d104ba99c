package commands

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/testscripts/slowtest"
)

// TestEveryFlagAndCommandIsKnownToCompletion: whoever adds one says what its
// value can be, if only that nobody knows.
func TestEveryFlagAndCommandIsKnownToCompletion(t *testing.T) {
	app := testApp()
	flagValues, arguments := flagValueWords(), argumentWords()
	used := map[string]bool{}
	check := func(name string, flags []cli.Flag) {
		for _, f := range flags {
			first := f.Names()[0]
			if _, known := flagValues[first]; cmdline.TakesValue(f) != known {
				t.Errorf("%s: whether --%s takes a value, completion has it the other way", name, first)
			}
			used[first] = true
		}
	}
	check(programName, cmdline.GlobalFlags(app))
	paths := map[string]bool{}
	walkCommands(app, func(path []string, c *cli.Command) {
		check(strings.Join(path, " "), c.Flags)
		// COMMAND needs no table, but a contact with an address can stand in its place.
		if c.ArgsUsage != "" && (c.ArgsUsage != cmdline.OwnArguments || arguments[strings.Join(path, " ")] != nil) {
			paths[strings.Join(path, " ")] = true
		}
	})
	for name := range flagValues {
		if !used[name] {
			t.Errorf("completion knows --%s, which no command has", name)
		}
	}
	for path := range paths {
		if arguments[path] == nil {
			t.Errorf("completion does not know the arguments of %s", path)
		}
	}
	for path := range arguments {
		if !paths[path] {
			t.Errorf("completion knows arguments of %s, which has none", path)
		}
	}
}

func TestCompletionOffersWhatCanComeNext(t *testing.T) {
	t.Setenv("OTRPIPE_HOME", t.TempDir())
	for _, test := range []struct{ line, want string }{
		{"sta", "status"},
		{"keys re", "remove"},
		{"help key", "keygen keys"},
		{"help keys ex", "export"},
		{"--quiet sta", "status"},
		{"--home x sta", "status"},
		{"status --js", "--json"},
		{"status --json --js", ""},
		{"connect --expect a --expec", "--expect"},
		{"connect --trust ", "new known verified"},
		{"connect --trust=v", "--trust=verified"},
		{"connect --mode l", "lines"},
		{"connect --html ", "raw text"},
		{"fingerprint --otr ", "3 4"},
		{"keys export --format ", "libotr otrpipe"},
		{"completion ", "bash zsh fish"},
		{"completion fish ", "--home --quiet --verbose --help --version"},
		{"connect -s x --", "--identity"}, // among others
		{"zzz ", ""},
		{"status --zzz ", ""},
		{"connect --pad ", ""},
	} {
		args := append([]string{"__complete", "--", "zsh"}, strings.Split(test.line, " ")...)
		code, out, errors := run(t, args...)
		lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
		var got []string
		for _, line := range lines[1:] {
			text, _, _ := strings.Cut(line, "\t")
			got = append(got, text)
		}
		if strings.HasSuffix(test.line, " --") {
			got = got[:1]
		}
		if code != exit.OK || errors != "" || lines[0] != "words" || strings.Join(got, " ") != test.want {
			t.Errorf("%s: exit code %d, errors %q, %s: %q; want %q", test.line, code, errors, lines[0], got, test.want)
		}
	}
	for _, test := range []struct{ line, want string }{
		{"connect --identity-file ", "files"},
		{"connect --identity-file=a", "files --identity-file="},
		{"connect --identity-file=a/b", "files --identity-file="},
		{"--home ", "folders"},
		{"keys import x", "files"},
		{"connect -- nc ho", "command 2"},
		{"connect --contact bob -- n", "command 4"},
		{"connect n", "command 1"},
		{"connect nc -", "command 1"},
	} {
		args := append([]string{"__complete", "--", "zsh"}, strings.Split(test.line, " ")...)
		if _, out, _ := run(t, args...); strings.TrimSpace(out) != test.want {
			t.Errorf("%s: %q, want %q", test.line, out, test.want)
		}
	}
	for _, test := range []struct{ line, want string }{
		{"otrpipe connect -- nc 'a ", "command nc 'a "},
		{"otrpipe connect <x --contact bob -- n", "command n"},
		{"otrpipe connect ", ""},
	} {
		_, out, _ := run(t, "__complete", "--", "fish", test.line)
		if line, _, _ := strings.Cut(out, "\n"); strings.HasPrefix(line, "command") != (test.want != "") || test.want != "" && line != test.want {
			t.Errorf("%s: %q, want %q", test.line, line, test.want)
		}
	}
}

func TestCompletionKnowsTheNamesOfAHome(t *testing.T) {
	slowtest.SkipShort(t)
	p := newPerson(t, "my keys", "work")
	p.run("contacts", "add", "bob", key3).is(exit.OK)
	p.run("contacts", "add", "carol", key4).is(exit.OK)
	p.run("contacts", "address", "carol", "--tcp", "carols.host:9000").is(exit.OK)
	for line, want := range map[string]string{
		"chat c":                      "carol",
		"connect ca":                  "carol",
		"connect -s x car":            "carol",
		"connect bo":                  "", // without an address: it may be a COMMAND
		"connect -- ca":               "",
		"send file --to ":             "bob|carol",
		"receive --from c":            "carol",
		"keys remove ":                "my keys|work",
		"fingerprint --identity w":    "work",
		"connect --contact ":          "bob|carol",
		"contacts trust ":             "bob|carol",
		"contacts trust bob ":         key3,
		"contacts trust bob 1":        "",
		"connect --expect ":           key3 + "|" + key4,
		"chat --mode ":                "lines",
		"serve --mode ":               "stream|lines",
		"fingerprint --otr ":          "3|4",
		"decrypt-stream --session x":  "",
		"connect --session ":          "",
		"prekeys publish --contact c": "carol",
	} {
		args := append([]string{"__complete", "--", "zsh", "--home", p.home}, strings.Split(line, " ")...)
		var got []string
		for i, l := range strings.Split(strings.TrimSuffix(p.run(args...).is(exit.OK).out, "\n"), "\n") {
			if text, _, _ := strings.Cut(l, "\t"); i > 0 {
				got = append(got, text)
			}
		}
		if strings.Join(got, "|") != want {
			t.Errorf("%s: %q, not %q", line, got, want)
		}
	}
}
