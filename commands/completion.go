package commands

import (
	_ "embed"
	"io"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/exit"
)

// The scripts ask the program itself what can come next. They contain no names of commands,
// flags or contacts.
var (
	//go:embed completion.bash
	completionBash string
	//go:embed completion.zsh
	completionZsh string
	//go:embed completion.fish
	completionFish string
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print a shell completion script",
		ArgsUsage: "bash|zsh|fish",
		Description: "With it the Tab key completes commands, flags and their values, and the\n" +
			"names of identities, contacts and live sessions.\n\n" +
			"  source <(otrpipe completion bash)              # in ~/.bashrc\n" +
			"  source <(otrpipe completion zsh)               # in ~/.zshrc\n" +
			"  otrpipe completion fish > ~/.config/fish/completions/otrpipe.fish",
		Action: func(c *cli.Context) error {
			script, ok := map[string]string{
				complete.Bash: completionBash,
				complete.Zsh:  completionZsh,
				complete.Fish: completionFish,
			}[c.Args().First()]
			if c.NArg() != 1 || !ok {
				return exit.Errorf(exit.Usage, "%s takes the name of a shell: bash, zsh or fish", c.Command.HelpName)
			}
			_, err := io.WriteString(output(c), script)
			return err
		},
	}
}

// completeCommand is what the scripts run; complete.Tables describes its arguments and its
// output. It never prompts and never reports errors: words that cannot be looked up are left
// out.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name:      "__complete",
		Usage:     "what can come next on a command line, for completion",
		ArgsUsage: "-- SHELL TEXT...",
		Hidden:    true,
		Action: func(c *cli.Context) error {
			tables := complete.Tables{Values: flagValueWords(), Arguments: argumentWords()}
			_, err := output(c).Write(tables.Answer(c, c.Args().Slice()))
			return err
		},
	}
}
