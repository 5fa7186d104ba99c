// Package commands is otrpipe's command line: one file a command. Flags come
// in, calls go out, text and exit codes come back. It holds no protocol, no
// cryptography and no file formats.
package commands

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"otrpipe/commands/internal/exit"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/terminal"
)

const programName = "otrpipe"

// Run runs the program with args, the first of which is its name, and returns
// the exit code.
func Run(args []string, stdin, stdout, stderr *os.File) int {
	p := &program{
		in:       stdin,
		out:      stdout,
		messages: terminal.NewPrinter(stderr, programName),
	}
	app := newApp(p)
	ordered, err := orderArguments(app, args)
	if err == nil {
		err = app.Run(ordered)
	}
	return p.finish(err)
}

// newApp describes the whole command line.
func newApp(p *program) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.HelpFlag = &cli.BoolFlag{Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}
	app := &cli.App{
		Name:      programName,
		HelpName:  programName,
		Usage:     "Off-the-Record messaging for pipes",
		UsageText: "otrpipe [flags] COMMAND [flags] [arguments]",
		Description: "Plaintext goes in on standard input, lines of OTR come out on standard output,\n" +
			"and anything that carries lines of text can carry them.\n\n" +
			"  otrpipe keygen && otrpipe fingerprint\n" +
			"  otrpipe connect -- nc -N -l 9000 < /dev/null > file    # here\n" +
			"  otrpipe connect -- nc -N host 9000 < file              # there",
		Version: version(),
		Flags: in(groupEverywhere,
			&cli.StringFlag{
				Name:    "home",
				Usage:   "identities and contacts are in `DIR`",
				EnvVars: []string{"OTRPIPE_HOME"},
				// The default needs the environment; openHome knows it.
				DefaultText: "$XDG_DATA_HOME/otrpipe",
			},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only", DisableDefaultText: true},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "say more of what happens", DisableDefaultText: true},
		),
		Commands:                  commandList(),
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
		Reader:                    p.in,
		Writer:                    p.out,
		ErrWriter:                 p.messages.File(),
		Metadata:                  map[string]any{programKey: p},
		Before:                    p.begin,
		Action:                    noCommand,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run's caller exits
		OnUsageError:              usageError,
	}
	for _, c := range app.Commands {
		prepare(c)
	}
	cli.HelpPrinter = printHelp(app)
	return app
}

// prepare sets on c and its subcommands what holds for every command.
func prepare(c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = usageError
	if len(c.Subcommands) > 0 && c.Action == nil {
		c.Action = noCommand
	}
	for _, sub := range c.Subcommands {
		prepare(sub)
	}
}

// noCommand answers a call that names no command, or an unknown one.
func noCommand(c *cli.Context) error {
	path, commands := commandPath(c)
	if c.Args().Present() {
		return unknownCommand(path, c.Args().First(), commands)
	}
	if path == programName {
		p := programOf(c)
		p.messages.Error(path + " needs a command")
		_, _ = io.WriteString(p.messages.File(), shortHelp)
		return exit.Silently(exit.Usage)
	}
	return exit.Errorf(exit.Usage, "%s needs a command: %s", path, strings.Join(commandNames(commands), ", ")).
		WithHint("%s --help", path)
}

// commandPath says which command c runs and what its subcommands are.
func commandPath(c *cli.Context) (string, []*cli.Command) {
	if c.Command.Name == programName || c.Command.Name == "" {
		return programName, c.App.Commands
	}
	return c.Command.HelpName, c.Command.Subcommands
}

// usageError gives the errors of the flag library our form and exit code.
func usageError(_ *cli.Context, err error, _ bool) error {
	return exit.Errorf(exit.Usage, "%s", lowerFirst(err.Error()))
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// version is what the build says of itself.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return strings.Trim(strings.TrimPrefix(info.Main.Version, "v"), "()")
}

// programKey is where a command's context keeps the program.
const programKey = "program"

// A program is one run: its streams and how talkative it is.
type program struct {
	in       *os.File
	out      *os.File
	messages *terminal.Printer
	quiet    bool
	verbose  bool
}

// programOf returns the program that runs the command of c.
func programOf(c *cli.Context) *program {
	return c.App.Metadata[programKey].(*program)
}

// begin reads the flags that hold everywhere.
func (p *program) begin(c *cli.Context) error {
	p.quiet, p.verbose = c.Bool("quiet"), c.Bool("verbose")
	if p.quiet && p.verbose {
		return exit.Errorf(exit.Usage, "--quiet and --verbose contradict each other")
	}
	return nil
}

// note prints what happened, unless the user wants quiet.
func (p *program) note(format string, a ...any) {
	if !p.quiet {
		p.messages.Note(fmt.Sprintf(format, a...))
	}
}

// detail prints what only --verbose shows.
func (p *program) detail(format string, a ...any) {
	if p.verbose {
		p.messages.Note(fmt.Sprintf(format, a...))
	}
}

// warn prints what the user should know before relying on the rest, unless
// the user wants quiet.
func (p *program) warn(format string, a ...any) {
	if !p.quiet {
		p.messages.Warning(fmt.Sprintf(format, a...))
	}
}

// advise prints what the user can do next, unless the user wants quiet.
func (p *program) advise(format string, a ...any) {
	if !p.quiet {
		p.messages.Hint(fmt.Sprintf(format, a...))
	}
}

// sure asks a person at a terminal, who has to say yes. Nobody else is asked.
func (p *program) sure(question string) bool {
	if !terminal.Is(p.in) || !terminal.Is(p.messages.File()) {
		return true
	}
	p.messages.Ask(question + " [y/N] ")
	answer, _ := bufio.NewReader(p.in).ReadString('\n')
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// finish prints err, where there is one, and returns its exit code.
func (p *program) finish(err error) int {
	if err == nil {
		return exit.OK
	}
	e := exit.As(err)
	if e.Silent {
		return e.Code
	}
	p.messages.Error(err.Error())
	if e.Hint != "" {
		p.messages.Hint(e.Hint)
	}
	return e.Code
}

// output is where a command prints its answer.
func output(c *cli.Context) io.Writer { return c.App.Writer }
