package commands

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
)

func TestALineIsTakenApartAsBashDoes(t *testing.T) {
	for _, test := range []struct {
		line, words string
		last        lastWord
	}{
		{"otrpipe ", "otrpipe", lastWord{}},
		{"otrpipe con", "otrpipe", lastWord{"con", "con", 0}},
		{"otrpipe --contact my\\ na", "otrpipe,--contact", lastWord{"my\\ na", "my na", 0}},
		{"otrpipe 'a b' \"c \\\" \\d", "otrpipe,a b", lastWord{"\"c \\\" \\d", "c \" \\d", '"'}},
		{"otrpipe 'a\\", "otrpipe", lastWord{"'a\\", "a\\", '\''}},
		{"otrpipe 'a'b\"c\"", "otrpipe", lastWord{"'a'b\"c\"", "abc", 0}},
		{"otrpipe <file --q", "otrpipe", lastWord{"--q", "--q", 0}},
		{"otrpipe a 2> file >> other b ", "otrpipe,a,b", lastWord{}},
		{"otrpipe 2 >x '' y", "otrpipe,2,", lastWord{"y", "y", 0}},
		{"A=1 b_2='x y' otrpipe c=d e", "otrpipe,c=d", lastWord{"e", "e", 0}},
		{"otrpipe a\\", "otrpipe", lastWord{"a\\", "a", 0}},
	} {
		words, last := splitCommand(test.line)
		if got := strings.Join(texts(words), ","); got != test.words || last != test.last {
			t.Errorf("%s: words %q, last %q; want %q, %q", test.line, got, last, test.words, test.last)
		}
	}
}

func TestWhatIsQuotedIsReadAsItWas(t *testing.T) {
	for _, name := range []string{"bob", "bob@example.org", "my friend", "a'b", `a"b`, `$(touch x)`, "`id`", "a;b|c&d", "#x", "~x", "a!b", `a\b`, "é*"} {
		for _, quote := range []byte{0, '\'', '"'} {
			quoted, ok := quotedAs(quote, name)
			if !ok {
				continue
			}
			line := "otrpipe " + quoted
			if quote != 0 {
				line = "otrpipe " + string(quote) + quoted
			}
			if words, last := splitLine(line); len(words) != 1 || last.text != name || last.quote != quote {
				t.Errorf("%q in quotes %q is %s, which is read as %q", name, quote, quoted, last.text)
			}
		}
		if _, ok := quotedAs(0, name); !ok {
			t.Errorf("%q cannot be written without quotes", name)
		}
	}
}

func FuzzSplitLine(f *testing.F) {
	f.Add("otrpipe --contact my\\ na", "a b")
	f.Add("otrpipe 'a\\ <", "$`\"")
	f.Fuzz(func(t *testing.T, line, name string) {
		if _, last := splitLine(line); !strings.HasSuffix(line, last.raw) {
			t.Fatalf("%q is no end of %q", last.raw, line)
		}
		quoted, _ := quotedAs(0, name)
		if _, last := splitLine("x " + quoted); last.text != name {
			t.Fatalf("%q is read as %q", quoted, last.text)
		}
	})
}

// TestEveryFlagAndCommandIsKnownToCompletion: whoever adds one says what its
// value can be, if only that nobody knows.
func TestEveryFlagAndCommandIsKnownToCompletion(t *testing.T) {
	app := testApp()
	used := map[string]bool{}
	check := func(name string, flags []cli.Flag) {
		for _, f := range flags {
			first := f.Names()[0]
			if _, known := flagValueWords[first]; cmdline.TakesValue(f) != known {
				t.Errorf("%s: whether --%s takes a value, completion has it the other way", name, first)
			}
			used[first] = true
		}
	}
	check(programName, cmdline.GlobalFlags(app))
	paths := map[string]bool{}
	walkCommands(app, func(path []string, c *cli.Command) {
		check(strings.Join(path, " "), c.Flags)
		if c.ArgsUsage != "" && c.ArgsUsage != cmdline.OwnArguments {
			paths[strings.Join(path, " ")] = true
		}
	})
	for name := range flagValueWords {
		if !used[name] {
			t.Errorf("completion knows --%s, which no command has", name)
		}
	}
	for path := range paths {
		if argumentWords[path] == nil {
			t.Errorf("completion does not know the arguments of %s", path)
		}
	}
	for path := range argumentWords {
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
