package commands

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
)

// walkCommands calls do for every command that is not hidden, with the words
// that name it.
func walkCommands(app *cli.App, do func(path []string, c *cli.Command)) {
	var walk func(path []string, commands []*cli.Command)
	walk = func(path []string, commands []*cli.Command) {
		for _, c := range commands {
			if !c.Hidden {
				path := append(slices.Clone(path), c.Name)
				do(path, c)
				walk(path, c.Subcommands)
			}
		}
	}
	walk(nil, app.Commands)
}

func testApp() *cli.App {
	return newApp(terminal.NewIO(programName, os.Stdin, os.Stdout, os.Stderr), commandList())
}

// run runs the program in this process and returns its code and what it wrote.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	code = Run(append([]string{programName}, args...), 0, null, files[0], files[1])
	var texts [2]string
	for i, f := range files {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(b)
	}
	return code, texts[0], texts[1]
}

func TestHelpOfEveryCommandIsAPageThatFitsATerminal(t *testing.T) {
	pages := [][]string{nil}
	walkCommands(testApp(), func(path []string, _ *cli.Command) { pages = append(pages, path) })
	for _, path := range pages {
		name := strings.Join(append([]string{programName}, path...), " ")
		code, page, errors := run(t, append(slices.Clone(path), "--help")...)
		if code != exit.OK || errors != "" {
			t.Errorf("%s --help: exit code %d, and on standard error %q", name, code, errors)
		}
		if _, again, _ := run(t, append([]string{"help"}, path...)...); again != page {
			t.Errorf("otrpipe help %s is another page than %s --help", strings.Join(path, " "), name)
		}
		if first, _, _ := strings.Cut(page, "\n"); !strings.HasPrefix(first, name+": ") || strings.Count(page[:len(first)+2], "\n") != 2 {
			t.Errorf("%s: the first line does not say what it is for, in one line: %q", name, first)
		}
		for _, line := range strings.Split(page, "\n") {
			if n := utf8.RuneCountInString(line); n > cmdline.Width {
				t.Errorf("%s: %d columns: %s", name, n, line)
			}
			if strings.TrimRight(line, " ") != line || strings.ContainsAny(line, "`\t") {
				t.Errorf("%s: blanks, a tab or a back quote in %q", name, line)
			}
		}
	}
}

func TestHelpShowsEveryFlagInAGroup(t *testing.T) {
	app := testApp()
	walkCommands(app, func(path []string, c *cli.Command) {
		name := strings.Join(path, " ")
		_, page, _ := run(t, append(path, "--help")...)
		for _, f := range append(slices.Clone(c.Flags), cmdline.GlobalFlags(app)...) {
			if !cmdline.Visible(f) {
				continue
			}
			if group := cmdline.FlagGroup(f); !slices.Contains(flagGroups, group) {
				t.Errorf("%s: flag %s is in no group, but %q", name, f.Names()[0], group)
			}
			head := "\n  " + cmdline.FlagHead(f, "") // which may begin that of another flag
			if n := strings.Count(page, head+" ") + strings.Count(page, head+"\n"); n != 1 {
				t.Errorf("%s: help shows flag %s %d times", name, f.Names()[0], n)
			}
		}
	})
	for _, c := range app.Commands {
		if !c.Hidden && !slices.Contains(commandGroups, c.Category) {
			t.Errorf("command %s is in no group, but %q", c.Name, c.Category)
		}
	}
}

// TestExamplesOfHelpAreCommandLines reads each as the program would. That they
// do what they say, the manual pages' examples show.
func TestExamplesOfHelpAreCommandLines(t *testing.T) {
	app := testApp()
	walkCommands(app, func(path []string, c *cli.Command) {
		_, list := cmdline.Examples(c.Description)
		own := 0
		for _, example := range list {
			lines := commandLines(example)
			if len(lines) == 0 {
				t.Errorf("%s: no command line in %q", c.Name, example)
			}
			for _, line := range lines {
				if _, err := cmdline.Order(app, line); err != nil {
					t.Errorf("%s: %q: %v", c.Name, line, err)
				}
				if len(line) > len(path) && slices.Equal(line[1:1+len(path)], path) {
					own++
				}
			}
		}
		if own < 2 {
			t.Errorf("%s has %d examples of its own, not two", strings.Join(path, " "), own)
		}
	})
}

// commandLines are the command lines of the program in a line of shell. A quoted
// word is one word, unless the program stands in it.
func commandLines(shell string) [][]string {
	var lines [][]string
	var line []string
	quoted := ""                    // what stands in quotes inside of a command line, as far as it is read
	inQuotes, outer := false, false // outer: the program itself is in quotes
	for _, word := range append(strings.Fields(strings.NewReplacer("'", " ' ", "<(", "", ")", " | ").Replace(shell)), "|") {
		switch {
		case inQuotes && word != "'":
			quoted += word
		case inQuotes:
			inQuotes, line, quoted = false, append(line, quoted), ""
		case word == "'" && outer:
			lines, line, outer = append(lines, line), nil, false
		case word == "'":
			inQuotes, outer = line != nil, line == nil
		case word == programName && line == nil:
			line = []string{word}
		case slices.Contains([]string{"|", "<", ">", "&&", "#"}, word):
			if line != nil {
				lines = append(lines, line)
			}
			line = nil
		case line != nil:
			line = append(line, word)
		}
	}
	return lines
}

func TestWhoSaysNothingGetsAShortHelp(t *testing.T) {
	code, out, help := run(t)
	if code != exit.Usage || out != "" || !strings.HasPrefix(help, "otrpipe: otrpipe needs a command\n") || strings.Count(help, "\n") > 10 {
		t.Errorf("exit code %d, output %q, and on standard error:\n%s", code, out, help)
	}
	if send, keygen := strings.Index(help, "\n  otrpipe send "), strings.Index(help, "\n  otrpipe keygen "); send < 0 || keygen < send {
		t.Errorf("what needs no keys does not come first:\n%s", help)
	}
	for _, example := range strings.Split(help, "\n") {
		for _, line := range commandLines(example) {
			if _, err := cmdline.Order(testApp(), line[:2]); strings.HasPrefix(example, "  ") && err != nil {
				t.Errorf("%s: %v", example, err)
			}
		}
	}
}

func TestASimpleErrorIsALineAndAtMostAHint(t *testing.T) {
	for _, line := range []string{"conect", "keys lst", "keys", "connect", "connect --contcat bob -- cat", "status --zzz", "help zzz", "helpp"} {
		code, out, errors := run(t, strings.Fields(line)...)
		if n := strings.Count(errors, "\n"); code != exit.Usage || out != "" || n < 1 || n > 2 {
			t.Errorf("%s: exit code %d, output %q, and on standard error:\n%s", line, code, out, errors)
		}
	}
}

// A live session may belong to any identity, so the commands for it have another default than those
// that open an identity, and an import has the name in its file.
func TestHelpSaysWhichIdentityAndSessionAreMeantByDefault(t *testing.T) {
	const usual = "(default: default)"
	for command, want := range map[string]string{
		"status":       "the session's NAME (default: all)",
		"smp":          "the session's NAME (default: the only one)",
		"refresh":      "only sessions of the identity NAME (default: any)",
		"end":          "only sessions of the identity NAME (default: any)",
		"extra-key":    "only sessions of the identity NAME (default: any)",
		"keys import":  "(default: the name in FILE)",
		"keys upgrade": "the identity's NAME; else $OTRPIPE_IDENTITY " + usual,
	} {
		_, page, _ := run(t, append(strings.Fields(command), "--help")...)
		page = strings.Join(strings.Fields(page), " ")
		if !strings.Contains(page, want) || strings.Contains(page, usual) != strings.Contains(want, usual) {
			t.Errorf("the help of %s is without %q:\n%s", command, want, page)
		}
	}
}
