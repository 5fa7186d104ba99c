package commands

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/terminal"
)

// The flags of commands that print or write something.
const (
	flagJSON   = "json"
	flagOutput = "output"
	flagForce  = "force"
)

// jsonFlag is the flag of every command that can answer in JSON.
func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagJSON, Category: groupAnswer, Usage: "answer with one JSON document", DisableDefaultText: true}
}

// A document is what a command prints: text for people, or JSON for programs.
type document interface {
	Text() string
}

// A forTerminal is a document with a second layout for a terminal, which splits fingerprints
// into rows that are easy to read; Text prints each on one line.
type forTerminal interface {
	TerminalText() string
}

// answer prints a document as text or as JSON, as the flags ask.
func answer(c *cli.Context, d document) error {
	if c.Bool(flagJSON) {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(d); err != nil {
			return err
		}
		_, err := output(c).Write(terminal.SafeJSON(b.Bytes()))
		return err
	}
	text := d.Text()
	if laidOut, ok := d.(forTerminal); ok && terminal.Is(ioOf(c).Out) {
		text = laidOut.TerminalText()
	}
	_, err := io.WriteString(output(c), text)
	return err
}

// output returns the writer to which a command prints its result.
func output(c *cli.Context) io.Writer { return c.App.Writer }

// An answerWriter remembers the first write error. The flag library ignores errors when it
// prints help or the version, but output that cannot be written must make the program fail.
type answerWriter struct {
	w   io.Writer
	err error
}

func (a *answerWriter) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	if err != nil && a.err == nil {
		a.err = err
	}
	return n, err
}

// outputFlag is the output flag that all commands share that write one file.
func outputFlag() cli.Flag {
	return &cli.StringFlag{Name: flagOutput, Aliases: []string{"o"}, Category: groupFile, Usage: "write to `FILE`", DefaultText: "standard output"}
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagForce, Category: groupFile, Usage: "replace an existing file", DisableDefaultText: true}
}

// outputFiles writes to the files that the flags name.
func outputFiles(c *cli.Context) files.Writer {
	return files.Writer{Standard: output(c), Replace: c.Bool(flagForce)}
}

// valueOf returns the value of a flag, or nil if it was not given.
func valueOf(c *cli.Context, flag string) *string {
	if !c.IsSet(flag) {
		return nil
	}
	value := c.String(flag)
	return &value
}

// noArguments refuses arguments to a command that takes none. instead is what an argument was
// probably meant for: the flag whose value it should be, or "<" for a file to read; "": unknown.
func noArguments(c *cli.Context, instead string) error {
	if !c.Args().Present() {
		return nil
	}
	err := exit.Errorf(exit.Usage, "%s takes no argument, not %q", c.Command.HelpName, c.Args().First())
	if instead != "" && c.NArg() == 1 {
		return err.WithHint("did you mean %s %s %s?", c.Command.HelpName, instead, exit.ShellWord(c.Args().First()))
	}
	return err
}

// noSecret is noArguments for a command that reads a secret. The argument may be that secret, so
// the error does not repeat it. flag begins the names of the flags that say where the secret is.
func noSecret(c *cli.Context, flag string) error {
	if !c.Args().Present() {
		return nil
	}
	return exit.Errorf(exit.Usage, "%s takes no argument", c.Command.HelpName).
		WithHint("a secret is never an argument: it is asked for at the terminal, or given with --%s%s or --%s%s",
			flag, secret.FileFlag, flag, secret.FDFlag)
}

// oneFile returns the only argument of a command that takes a file.
func oneFile(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", exit.Errorf(exit.Usage, "%s takes one file", c.Command.HelpName)
	}
	return c.Args().First(), nil
}
