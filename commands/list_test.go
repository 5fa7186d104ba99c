package commands

import (
	"os"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/terminal"
)

func TestACommandIsTheSameAloneAsAmongAll(t *testing.T) {
	appOf := func(commands []*cli.Command) *cli.App {
		return newApp(terminal.NewIO(programName, os.Stdin, os.Stdout, os.Stderr), commands)
	}
	all := appOf(commandList())
	at := 0
	for _, category := range commandTable() {
		for _, c := range category.commands {
			want := all.Commands[at]
			at++
			if c.name != want.Name {
				t.Errorf("the table calls %s %s", want.Name, c.name)
			}
			alone := appOf(commandsFor([]string{programName, c.name}))
			if c.needsAll {
				if len(alone.Commands) != len(all.Commands) {
					t.Errorf("%s has %d commands to look at, not %d", c.name, len(alone.Commands), len(all.Commands))
				}
				continue
			}
			if len(alone.Commands) != 1 {
				t.Fatalf("%s: %d commands are described", c.name, len(alone.Commands))
			}
			// The library gives a command its full name only once it runs.
			got := alone.Commands[0]
			got.HelpName, want.HelpName = programName+" "+c.name, programName+" "+c.name
			if a, b := helpLayout.Text(alone, got), helpLayout.Text(all, want); a != b {
				t.Errorf("%s alone has the help\n%s\nand among all\n%s", c.name, a, b)
			}
		}
	}
	if at != len(all.Commands) {
		t.Errorf("the table has %d commands, and help %d", at, len(all.Commands))
	}
}

func TestAllCommandsAreKnownWhereNoneComesFirst(t *testing.T) {
	for _, args := range [][]string{nil, {programName}, {programName, "--quiet", "status"}, {programName, "help", "status"}, {programName, "stauts"}} {
		if got := len(commandsFor(args)); got != len(commandList()) {
			t.Errorf("%q: %d commands", args, got)
		}
	}
}
