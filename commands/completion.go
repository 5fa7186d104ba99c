package commands

import (
	_ "embed"
	"fmt"
	"io"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
)

// The scripts ask the program itself what can come next: they hold no names of
// commands or flags, and no name of a contact is ever part of a script.
var (
	//go:embed completion.bash
	completionBash string
	//go:embed completion.zsh
	completionZsh string
	//go:embed completion.fish
	completionFish string
)

// The shells that there are scripts for.
const (
	shellBash = "bash"
	shellZsh  = "zsh"
	shellFish = "fish"
)

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the script by which a shell completes command lines",
		ArgsUsage: "bash|zsh|fish",
		Description: "With it the tabulator key completes commands, flags and their values, and the\n" +
			"names of identities, contacts and live sessions.\n\n" +
			"  source <(otrpipe completion bash)              # in ~/.bashrc\n" +
			"  source <(otrpipe completion zsh)               # in ~/.zshrc\n" +
			"  otrpipe completion fish > ~/.config/fish/completions/otrpipe.fish",
		Action: func(c *cli.Context) error {
			script, ok := map[string]string{
				shellBash: completionBash,
				shellZsh:  completionZsh,
				shellFish: completionFish,
			}[c.Args().First()]
			if c.NArg() != 1 || !ok {
				return exit.Errorf(exit.Usage, "%s takes the name of a shell: bash, zsh or fish", c.Command.HelpName)
			}
			_, err := io.WriteString(output(c), script)
			return err
		},
	}
}

// completeCommand is what the scripts run. Its arguments are the shell's name
// and what has been typed: in bash the text that completion is to replace and the
// line up to the cursor, in fish that line, in zsh the words after the program's
// name, the last of them as far as it goes. It answers with one line for the
// shell,
//
//	words            nothing but what follows
//	files PREFIX     a file, behind the prefix
//	folders PREFIX   a folder, behind the prefix
//	command N        a command line of its own, from word N (0 is the first);
//	                 in fish, that line in place of N
//
// and with the words that can come, one a line, a tabulator and its meaning
// behind it except for bash. It asks nothing and complains of nothing: what
// cannot be found out is left out.
func completeCommand() *cli.Command {
	return &cli.Command{
		Name:      "__complete",
		Usage:     "what can come next on a command line, for completion",
		ArgsUsage: "-- SHELL TEXT...",
		Hidden:    true,
		Action: func(c *cli.Context) error {
			args := c.Args().Slice()
			if len(args) < 2 {
				return nil
			}
			var answer []byte
			switch args[0] {
			case shellBash:
				answer = completeBash(c, args[1], strings.Join(args[2:], " "))
			case shellZsh:
				answer = complete(c, args[1:]).withMeanings()
			case shellFish:
				answer = completeFish(c, args[1])
			}
			_, err := output(c).Write(answer)
			return err
		},
	}
}

// completeFish answers fish, which quotes words itself.
func completeFish(c *cli.Context, line string) []byte {
	words, last := splitCommand(line)
	if len(words) == 0 {
		return nil
	}
	found := complete(c, append(texts(words[1:]), last.text))
	if found.command >= 0 {
		at := len(line) - len(last.raw)
		if i := found.command + 1; i < len(words) {
			at = words[i].at
		}
		found.action = actionCommand + " " + line[at:]
	}
	return found.withMeanings()
}

func texts(words []lineWord) []string {
	var list []string
	for _, w := range words {
		list = append(list, w.text)
	}
	return list
}

// withMeanings is the answer for shells that show what a word means.
func (found completion) withMeanings() []byte {
	answer := fmt.Appendf(nil, "%s\n", found.action)
	for _, w := range found.words {
		answer = append(answer, w.text...)
		if w.means != "" {
			answer = append(append(answer, '\t'), w.means...)
		}
		answer = append(answer, '\n')
	}
	return answer
}

// completeBash answers bash, which gives the line as it was typed, and wants
// words as they are to stand there in place of its last part.
func completeBash(c *cli.Context, part, line string) []byte {
	words, last := splitCommand(line)
	if len(words) == 0 || !strings.HasSuffix(last.raw, part) {
		return nil
	}
	found := complete(c, append(texts(words[1:]), last.text))
	if found.command >= 0 && found.command == len(words)-1 && !strings.Contains(last.text, "/") {
		found.words = programsIn(last.text)
	}
	answer := fmt.Appendf(nil, "%s\n", found.action)
	before := unquoted(last.raw[:len(last.raw)-len(part)])
	for _, w := range found.words {
		rest, ok := strings.CutPrefix(w.text, before)
		if !ok {
			continue
		}
		if rest, ok = quotedAs(last.quote, rest); ok {
			answer = append(append(answer, rest...), '\n')
		}
	}
	return answer
}
