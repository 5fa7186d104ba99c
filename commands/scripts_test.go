package commands

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/options"
)

//go:generate go test -run TestTheHelperScriptsHaveTheFlags -update .

var update = flag.Bool("update", false, "write the flags into scripts/helpers.sh")

// TestTheHelperScriptsHaveTheFlags compares the flags in scripts/helpers.sh with those of
// connect, apart from its transports: a script brings one of its own.
func TestTheHelperScriptsHaveTheFlags(t *testing.T) {
	const (
		file  = "../scripts/helpers.sh"
		begin = "# writes them.\n"
		end   = "# End of the flags.\n"
	)
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(script), begin)
	written, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no list of flags", file)
	}
	want := scriptFlags()
	if written == want {
		return
	}
	if !*update {
		t.Fatalf("%s has\n%snot\n%s: go generate ./commands", file, written, want)
	}
	if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// scriptFlags is the flags of connect as arrays of bash.
func scriptFlags() string {
	app := testApp()
	connect := app.Commands[slices.IndexFunc(app.Commands, func(c *cli.Command) bool { return c.Name == commandConnect })]
	var switches, valued []string
	for _, f := range slices.Concat(cmdline.GlobalFlags(app), connect.Flags) {
		if f == cli.HelpFlag || f == cli.VersionFlag || cmdline.FlagGroup(f) == options.TransportGroup {
			continue
		}
		for _, name := range f.Names() {
			if cmdline.TakesValue(f) {
				valued = append(valued, cmdline.Dashed(name))
			} else {
				switches = append(switches, cmdline.Dashed(name))
			}
		}
	}
	return "switches=(" + filled(switches) + ")\nvalued=(" + filled(valued) + ")\n"
}

// filled joins words to indented lines of at most 80 columns.
func filled(words []string) string {
	var b strings.Builder
	column := 80
	for _, word := range words {
		if column+1+len(word) > 80 {
			b.WriteString("\n ")
			column = 1
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	return b.String() + "\n"
}
