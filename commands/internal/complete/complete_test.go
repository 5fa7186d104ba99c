package complete

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
)

// answer asks about a line in a shell, for a small command line of its own.
func answer(t *testing.T, args ...string) string {
	t.Helper()
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Usage: "show help"}
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version"}
	app := &cli.App{
		Name:  "tool",
		Flags: []cli.Flag{&cli.StringFlag{Name: "home", Usage: "files are in `DIR`"}},
		Commands: []*cli.Command{
			{Name: "run", Usage: "run a program", ArgsUsage: cmdline.OwnArguments, Flags: []cli.Flag{
				&cli.StringFlag{Name: "friend", Usage: "with `NAME`"}, &cli.BoolFlag{Name: "fast", Usage: "faster"},
			}},
			{Name: "forget", Usage: "forget a friend"},
			{Name: "secret", Hidden: true},
		},
	}
	friends := Listed(func(t *Typed) []Word {
		if t.Values["home"] == "empty" {
			return nil
		}
		return []Word{{"bob", "a friend"}, {"my friend", "another"}}
	})
	tables := Tables{
		Values:    map[string]Completer{"home": AFolder, "friend": friends},
		Arguments: map[string][]Completer{"forget": {friends, AFile}},
	}
	return string(tables.Answer(cli.NewContext(app, nil, nil), args))
}

func TestTheWordsThatCanComeNextAreFromTheTables(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"", "words\nrun\trun a program\nforget\tforget a friend\nhelp\texplain a command\n"},
		{"f", "words\nforget\tforget a friend\n"},
		{"run --f", "words\n--friend\twith NAME\n--fast\tfaster\n"},
		{"run --fast --f", "words\n--friend\twith NAME\n"},
		{"run --friend ", "words\nbob\ta friend\nmy friend\tanother\n"},
		{"run --friend=b", "words\n--friend=bob\ta friend\n"},
		{"--home empty run --friend ", "words\n"},
		{"--home ", "folders\n"},
		{"--home=a", "folders --home=\n"},
		{"run ls", "command 1\n"},
		{"run -- ls -", "command 2\n"},
		{"forget m", "words\nmy friend\tanother\n"},
		{"forget bob ", "files\n"},
		{"nonsense ", "words\n"},
	} {
		if got := answer(t, append([]string{Zsh}, strings.Split(test.line, " ")...)...); got != test.want {
			t.Errorf("%q: %q, want %q", test.line, got, test.want)
		}
	}
}

func TestEachShellGetsItsOwnFormOfAnswer(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{Bash, "my", "tool forget my"}, "words\nmy\\ friend\n"},
		{[]string{Bash, "'my", "tool forget 'my"}, "words\nmy friend\n"},
		{[]string{Bash, "x", "tool forget my"}, ""},
		{[]string{Fish, "tool run --fast ls -l"}, "command ls -l\n"},
		{[]string{Fish, "tool forget b"}, "words\nbob\ta friend\n"},
		{[]string{Zsh}, ""},
		{[]string{"tcsh", "forget"}, ""},
	} {
		if got := answer(t, test.args...); got != test.want {
			t.Errorf("%q: %q, want %q", test.args, got, test.want)
		}
	}
}
