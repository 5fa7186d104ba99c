// Package commands is otrpipe's command line, with one file per command. It turns flags into
// calls of other packages, and their results into text and exit codes. It holds no protocol, no
// cryptography and no file formats.
package commands

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/closed"
	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/terminal"
)

const programName = "otrpipe"

// lastMessages is how long the program waits, before it exits, for its messages to be read.
const lastMessages = 2 * time.Second

// Run runs the program and returns its exit code. args[0] is the program's name. In closedStreams,
// bit n is set if descriptor n was closed when the program started, as package atstart tells: the
// first two fail again, where the Go runtime has them opened.
func Run(args []string, closedStreams uint, stdin, stdout, stderr *os.File) int {
	s := terminal.NewIO(programName, stdin, stdout, stderr)
	defer s.Messages.Flush(lastMessages)
	if err := closed.Restore(closedStreams); err != nil {
		return finish(s, exit.Failed(err))
	}
	if err := process.ForbidDumps(); err != nil {
		s.Warn("the memory of this process can be dumped: %v", err)
	}
	app := newApp(s, commandsFor(args))
	takeSecretEnvironment(app)
	defer wipeSecrets(app)
	ordered, err := cmdline.Order(app, args)
	if err == nil {
		err = app.Run(ordered)
	}
	// A command that adds nothing to an error of its output may return the error as it came.
	if unwritten := app.Writer.(*answerWriter).err; unwritten != nil && (err == nil || err == unwritten) {
		err = files.OutputError(unwritten)
	}
	return finish(s, err)
}

// newApp describes the command line with these commands.
func newApp(s *terminal.IO, commands []*cli.Command) *cli.App {
	cli.VersionFlag = &cli.BoolFlag{Category: groupEverywhere, Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.HelpFlag = &cli.BoolFlag{Category: groupEverywhere, Name: "help", Aliases: []string{"h"}, Usage: "show help", DisableDefaultText: true}
	cli.VersionPrinter = func(c *cli.Context) {
		_, _ = fmt.Fprintf(c.App.Writer, "%s version %s\n", c.App.Name, version())
	}
	app := &cli.App{
		Name:      programName,
		HelpName:  programName,
		Usage:     "Off-the-Record messaging for pipes",
		UsageText: "otrpipe [flags] COMMAND [flags] [arguments]",
		Description: "Plaintext goes in on standard input, lines of OTR come out on standard output,\n" +
			"and anything that carries lines of text can carry them.\n\n" +
			"  otrpipe keygen && otrpipe fingerprint\n" +
			"  otrpipe connect --listen 9000 < /dev/null > file    # here\n" +
			"  otrpipe connect --tcp host:9000 < file              # there",
		// Any text switches --version on. What it prints is left to VersionPrinter, because
		// reading the build's description would delay the start of every command.
		Version: "printed by VersionPrinter",
		Flags: cmdline.In(groupEverywhere,
			&cli.StringFlag{
				Name:    "home",
				Usage:   "keep identities and contacts in `DIR`",
				EnvVars: []string{"OTRPIPE_HOME"},
				// openHome sets the default, which depends on the environment.
				DefaultText: "$XDG_DATA_HOME/otrpipe",
			},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print errors only", DisableDefaultText: true},
			&cli.BoolFlag{Name: "verbose", Aliases: []string{"v"}, Usage: "print more about what happens", DisableDefaultText: true},
		),
		Commands:                  commands,
		DisableSliceFlagSeparator: true,
		HideHelpCommand:           true,
		Reader:                    descriptor.Stream{File: s.In},
		Writer:                    &answerWriter{w: terminal.Text(s.Out)},
		ErrWriter:                 s.Messages.File(),
		Metadata:                  map[string]any{ioKey: s},
		Before:                    func(c *cli.Context) error { return readGlobalFlags(s, c) },
		Action:                    noCommand,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run's caller exits
		OnUsageError:              usageError,
	}
	for _, c := range app.Commands {
		prepare(c)
	}
	cli.HelpPrinter = helpLayout.Printer(app)
	return app
}

// prepare gives c and its subcommands the settings that all commands share.
func prepare(c *cli.Command) {
	c.HideHelpCommand = true
	c.OnUsageError = usageError
	c.Before = openSecrets
	if len(c.Subcommands) > 0 && c.Action == nil {
		c.Action = noCommand
	}
	for _, sub := range c.Subcommands {
		prepare(sub)
	}
}

// noCommand returns the error for a command line that names no command or an unknown one.
func noCommand(c *cli.Context) error {
	path, commands := commandPath(c)
	if c.Args().Present() {
		return cmdline.UnknownCommand(path, c.Args().First(), commands)
	}
	if path == programName {
		s := ioOf(c)
		s.Messages.Error(path + " needs a command")
		_, _ = io.WriteString(s.Messages.File(), shortHelp)
		return exit.Silently(exit.Usage)
	}
	return exit.Errorf(exit.Usage, "%s needs a command: %s", path, strings.Join(cmdline.CommandNames(commands), ", ")).
		WithHint("%s --help", path)
}

// commandPath returns the path of the command that c runs, and its subcommands.
func commandPath(c *cli.Context) (string, []*cli.Command) {
	if c.Command.Name == programName || c.Command.Name == "" {
		return programName, c.App.Commands
	}
	return c.Command.HelpName, c.Command.Subcommands
}

// usageError gives an error of the flag library our wording and exit code.
func usageError(_ *cli.Context, err error, _ bool) error {
	// The flag library's errors about values do not show a flag as the user types it.
	invalid := regexp.MustCompile(`^invalid (boolean )?value (".*") for (?:flag )?-([^ :]+): `).FindStringSubmatch(err.Error())
	switch {
	case invalid == nil:
		return exit.Errorf(exit.Usage, "%s", lowerFirst(err.Error()))
	case invalid[1] != "":
		return exit.Errorf(exit.Usage, "%s: %s is neither true nor false", cmdline.Dashed(invalid[3]), invalid[2])
	}
	return exit.Errorf(exit.Usage, "%s: %s is not a number", cmdline.Dashed(invalid[3]), invalid[2])
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// version describes the build: the version, the commit, and Go's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return describeBuild(info)
}

func describeBuild(info *debug.BuildInfo) string {
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version := strings.Trim(strings.TrimPrefix(info.Main.Version, "v"), "()")
	if version == "" {
		version = "unknown"
	}
	if commit := settings["vcs.revision"]; commit != "" {
		version += ", commit " + commit[:min(len(commit), 12)]
		if settings["vcs.modified"] == "true" {
			version += " with changes"
		}
	}
	return version + ", " + info.GoVersion
}

// ioKey is the key under which a command's context holds the standard streams.
const ioKey = "io"

// ioOf returns the standard streams that belong to c.
func ioOf(c *cli.Context) *terminal.IO {
	return c.App.Metadata[ioKey].(*terminal.IO)
}

// readGlobalFlags reads the flags that every command has.
func readGlobalFlags(s *terminal.IO, c *cli.Context) error {
	s.Quiet, s.Verbose = c.Bool("quiet"), c.Bool("verbose")
	if s.Quiet && s.Verbose {
		return exit.Errorf(exit.Usage, "--quiet and --verbose contradict each other")
	}
	return nil
}

// finish prints err, unless it is nil, and returns its exit code.
func finish(s *terminal.IO, err error) int {
	if err == nil {
		return exit.OK
	}
	e := exit.As(err)
	if e.Silent {
		return e.Code
	}
	s.Messages.Error(err.Error())
	if e.Hint == "" && errors.Is(err, closed.ErrInput) {
		e.Hint = "standard input was closed when otrpipe started: end the command with < /dev/null if there is nothing to send"
	}
	if e.Hint != "" {
		s.Messages.Hint(e.Hint)
	}
	return e.Code
}
