package commands

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
)

// order puts a command line in order as Run does.
func order(t *testing.T, args ...string) ([]string, error) {
	t.Helper()
	app := newApp(terminal.NewIO(programName, os.Stdin, os.Stdout, os.Stderr), commandList())
	got, err := cmdline.Order(app, append([]string{programName}, args...))
	if err != nil {
		return nil, err
	}
	return got[1:], nil
}

func TestAFlagWorksWhereverItStands(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"status", "status"},
		{"status --json", "status --json"},
		{"status --home x --json", "--home=x status --json"},
		{"--quiet status -s work", "--quiet status --session=work"},
		{"contacts add bob 0123 --home x", "--home=x contacts add -- bob 0123"},
		{"contacts --home=x add bob -- -odd", "--home=x contacts add -- bob -odd"},
		{"connect --contact bob -- nc -N host 1", "connect --contact=bob -- nc -N host 1"},
		{"connect nc host 1", "connect -- nc host 1"},
		{"connect --expect a --expect b -- cat", "connect --expect=a --expect=b -- cat"},
		{"connect --events fd:3 -- cat --help", "connect --events=fd:3 -- cat --help"},
		{"keys export -o - --format otrpipe", "keys export --output=- --format=otrpipe"},
		{"help connect", "connect --help"},
		{"help", "--help"},
		{"connect -h", "connect --help"},
		{"status --version", "--version"},
	} {
		got, err := order(t, strings.Fields(test.line)...)
		if err != nil {
			t.Errorf("%s: %v", test.line, err)
			continue
		}
		if line := strings.Join(got, " "); line != test.want {
			t.Errorf("%s: in order %q, want %q", test.line, line, test.want)
		}
	}
}

func TestWhatIsRefusedIsRefusedByName(t *testing.T) {
	for _, test := range []struct{ line, text, hint string }{
		{"conect", `no command "conect"`, "otrpipe connect?"},
		{"contacts lsit", `otrpipe contacts has no command "lsit"`, "otrpipe contacts list?"},
		{"zzz", `no command "zzz"`, "otrpipe --help"},
		{"connect --contcat bob -- cat", "no flag --contcat", "--contact?"},
		{"status --jsn", "no flag --jsn", "--json?"},
		{"status --zzz", "no flag --zzz", "otrpipe status --help"},
		{"-i bob keygen", "no flag -i", "after its name"},
		{"status -s", "-s needs a value", ""},
		{"status --session --json", "--session needs a value", ""},
		{"connect nc -N host 1", "-N after nc", "-- nc -N host 1"},
		{"connect nc host 1 --contact bob", "--contact after nc", "--"},
		{"-- status", "-- before a command", ""},
	} {
		_, err := order(t, strings.Fields(test.line)...)
		var e *exit.Error
		if !errors.As(err, &e) || e.Code != exit.Usage {
			t.Errorf("%s: %v, want a usage error", test.line, err)
			continue
		}
		if !strings.Contains(e.Error(), test.text) || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%s: %q with hint %q; want %q with %q", test.line, e.Error(), e.Hint, test.text, test.hint)
		}
	}
}

func TestEveryCommandHasHelpAndNoNameTwice(t *testing.T) {
	app := newApp(terminal.NewIO(programName, os.Stdin, os.Stdout, os.Stderr), commandList())
	var check func(path string, c *cli.Command, outer []string)
	check = func(path string, c *cli.Command, outer []string) {
		path += " " + c.Name
		if c.Usage == "" {
			t.Errorf("%s has no line of help", path)
		}
		names := slices.Clone(outer)
		for _, f := range c.Flags {
			if d, ok := f.(cli.DocGenerationFlag); !ok || d.GetUsage() == "" {
				t.Errorf("%s: flag %s has no help", path, f.Names()[0])
			}
			names = append(names, f.Names()...)
		}
		slices.Sort(names)
		if twice := len(names) - len(slices.Compact(slices.Clone(names))); twice > 0 {
			t.Errorf("%s: %d flags have a name that another has", path, twice)
		}
		for _, sub := range c.Subcommands {
			check(path, sub, outer)
		}
	}
	var global []string
	for _, f := range append(slices.Clone(app.Flags), cli.HelpFlag, cli.VersionFlag) {
		global = append(global, f.Names()...)
	}
	for _, c := range app.Commands {
		check(programName, c, global)
	}
}
