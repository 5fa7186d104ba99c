package cmdline

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

const (
	groupMain   = "Main"
	groupGlobal = "Global"
)

// tool is a command line with everything that Order and Text tell apart.
func tool() *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", Category: groupGlobal}
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", Category: groupGlobal}
	return &cli.App{
		Name: "tool", Usage: "do things", UsageText: "tool COMMAND",
		Flags: In(groupGlobal, &cli.StringFlag{Name: "home", Usage: "files are in `DIR`"}),
		Commands: InCategory("Commands",
			&cli.Command{Name: "run", HelpName: "tool run", Usage: "run COMMAND", UsageText: "tool run [flags] NAME", ArgsUsage: OwnArguments,
				Flags: In(groupMain,
					&cli.StringFlag{Name: "name", Aliases: []string{"n"}, Usage: "its `NAME`", Value: "me"},
					&cli.StringSliceFlag{Name: "key", Aliases: []string{"lock"}, Usage: "a `KEY`"},
					&cli.BoolFlag{Name: "fast", Usage: strings.Repeat("as fast as that is possible here ", 5)},
				)},
			&cli.Command{Name: "list", HelpName: "tool list", Usage: "list all", Subcommands: []*cli.Command{{Name: "all", HelpName: "tool list all"}}},
			&cli.Command{Name: "hidden", Hidden: true},
		),
	}
}

func TestFlagsAreOrderedForTheFlagLibrary(t *testing.T) {
	for line, want := range map[string]string{
		"run --name x -- ls -l":         "run --name=x -- ls -l",
		"run -n x ls":                   "run --name=x -- ls",
		"run --home y --fast -- ls":     "--home=y run --fast -- ls",
		"run --key a --key=b -- ls":     "run --key=a --key=b -- ls",
		"help run":                      "run --help",
		"list -h":                       "list --help",
		"list all x":                    "list all -- x",
		"run -- --version":              "run -- --version",
		"--version run --name x -- y z": "--version",
	} {
		got, err := Order(tool(), append([]string{"tool"}, strings.Fields(line)...))
		if err != nil || strings.Join(got[1:], " ") != want {
			t.Errorf("%s: %q, %v; want %s", line, got, err, want)
		}
	}
}

func TestAFlagGivenAgainTakesTheLastValueAndAListKeepsAll(t *testing.T) {
	for line, want := range map[string]string{
		"run --fast --fast -- ls":               "run --fast -- ls",
		"run --fast --fast=false -- ls":         "run --fast=false -- ls",
		"run --name x -n y --name=z -- ls":      "run --name=z -- ls",
		"--home x run --home y --home=z -- ls":  "--home=z run -- ls",
		"run --key a --name x --key b --name y": "run --key=a --key=b --name=y",
		"run -n --home -- ls":                   "", // a value cannot be a flag, first or last
	} {
		got, err := Order(tool(), append([]string{"tool"}, strings.Fields(line)...))
		if want == "" {
			if err == nil {
				t.Errorf("%s: %q", line, got)
			}
			continue
		}
		if err != nil || strings.Join(got[1:], " ") != want {
			t.Errorf("%s: %q, %v; want %s", line, got, err, want)
		}
	}
}

func TestMisspelledNamesAreRefusedWithASuggestion(t *testing.T) {
	for _, test := range []struct{ line, text, hint string }{
		{"lsit", `no command "lsit"`, "tool list?"},
		{"hiden", `no command "hiden"`, "tool --help"},
		{"run --nmae x", "no flag --nmae", "--name?"},
		{"run --name", "--name needs a value", "tool run --help"},
		{"run ls -l", "-l after ls", "-- ls -l"},
		{"-- run", "-- before a command", ""},
		{"--fast run", "no flag --fast", "after its name"},
	} {
		_, err := Order(tool(), append([]string{"tool"}, strings.Fields(test.line)...))
		var e *exit.Error
		if !errors.As(err, &e) || e.Code != exit.Usage || !strings.Contains(e.Error(), test.text) || !strings.Contains(e.Hint, test.hint) {
			t.Errorf("%s: %v; want %q with the hint %q", test.line, err, test.text, test.hint)
		}
	}
}

func TestHelpShowsItsGroupsInOrderAndFitsATerminal(t *testing.T) {
	layout := Layout{
		FlagGroups:    []string{groupMain, groupGlobal},
		CommandGroups: []string{"Commands"},
		GlobalGroup:   groupGlobal,
		Footer:        "The end.",
		CommandFooter: func(words []string) string { return "More of " + strings.Join(words, " ") + "." },
	}
	app := tool()
	page := layout.Text(app, nil)
	for _, want := range []string{"tool: do things\n", "\nCommands:\n  run             run COMMAND\n", "\nGlobal:\n", "\nThe end.\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page of the program:\n%s", want, page)
		}
	}
	if strings.Contains(page, "hidden") || strings.Contains(page, "--name") {
		t.Errorf("the page of the program shows too much:\n%s", page)
	}
	page = layout.Text(app, app.Commands[0])
	for _, want := range []string{"\nUsage:\n  tool run [flags] NAME\n  tool run [flags] -- COMMAND...\n", "\n      --key, --lock KEY       a KEY\n"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page of run:\n%s", want, page)
		}
	}
	main, global := strings.Index(page, "\nMain:\n"), strings.Index(page, "\nGlobal:\n")
	if main < 0 || global < main || !strings.Contains(page, `  -n, --name NAME             its NAME (default: "me")`) || !strings.HasSuffix(page, "\nMore of run.\n") {
		t.Errorf("the page of run:\n%s", page)
	}
	for _, line := range strings.Split(page, "\n") {
		if utf8.RuneCountInString(line) > Width || strings.TrimRight(line, " ") != line {
			t.Errorf("a line of %d columns: %q", utf8.RuneCountInString(line), line)
		}
	}
}
