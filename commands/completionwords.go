package commands

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
)

// What a shell is to offer besides words; see completeCommand.
const (
	actionWords   = "words"
	actionFiles   = "files"
	actionFolders = "folders"
	actionCommand = "command"
)

// A completion is what can come next.
type completion struct {
	action  string
	command int // index of the word that begins a command line of its own; -1: none
	words   []completionWord
}

type completionWord struct{ text, means string }

// complete reads all words but the last and returns what the last can become.
func complete(c *cli.Context, words []string) completion {
	t := typed{c: c, app: c.App, commands: c.App.Commands, nested: -1, given: map[string]bool{}}
	last := words[len(words)-1]
	for i, word := range words[:len(words)-1] {
		if !t.read(i, word) {
			return completion{action: actionWords, command: -1}
		}
	}
	found := t.next(len(words)-1, last)
	found.words = slices.DeleteFunc(found.words, func(w completionWord) bool { return !strings.HasPrefix(w.text, last) })
	return found
}

// typed is a command line as far as it has been typed. Like an ordering it
// takes flags wherever they stand, but it refuses nothing.
type typed struct {
	c        *cli.Context
	app      *cli.App
	path     []string
	command  *cli.Command
	commands []*cli.Command

	given   map[string]bool // flags by first name
	home    string
	waits   cli.Flag // it has no value yet
	dashes  bool     // no flag comes any more
	help    bool
	rest    []string // arguments
	nested  int      // where COMMAND begins; -1: nowhere yet
	contact string
}

// read takes word i; false: it means nothing here.
func (t *typed) read(i int, word string) bool {
	switch {
	case t.nested >= 0:
	case t.waits != nil:
		t.value(t.waits, word)
		t.waits = nil
	case t.dashes:
		t.rest = append(t.rest, word)
	case word == "--":
		t.dashes = true
		if t.takesCommand() {
			t.nested = i + 1
		}
	case len(word) > 1 && word[0] == '-':
		name, value, hasValue := strings.Cut(word, "=")
		f := t.flag(strings.TrimLeft(name, "-"))
		if f == nil {
			return false
		}
		t.given[f.Names()[0]] = true
		if cmdline.TakesValue(f) && hasValue {
			t.value(f, value)
		} else if cmdline.TakesValue(f) {
			t.waits = f
		}
	case word == "help" && t.namesCommand():
		t.help = true
	case t.namesCommand():
		return t.name(word)
	case t.takesCommand():
		t.nested = i
	default:
		t.rest = append(t.rest, word)
	}
	return true
}

func (t *typed) takesCommand() bool {
	return t.command != nil && t.command.ArgsUsage == cmdline.OwnArguments
}

func (t *typed) namesCommand() bool { return len(t.commands) > 0 && len(t.rest) == 0 }

// name takes the name of a command.
func (t *typed) name(name string) bool {
	for _, c := range t.commands {
		if c.HasName(name) {
			t.command, t.commands = c, c.Subcommands
			t.path = append(t.path, c.Name)
			return true
		}
	}
	return false
}

// value notes what other completions depend on.
func (t *typed) value(f cli.Flag, value string) {
	if f.Names()[0] == flagHome {
		t.home = value
	}
}

func (t *typed) flags() []cli.Flag {
	flags := cmdline.GlobalFlags(t.app)
	if t.command != nil {
		flags = append(slices.Clone(t.command.Flags), flags...)
	}
	return flags
}

func (t *typed) flag(name string) cli.Flag {
	for _, f := range t.flags() {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// next is what word i can become.
func (t *typed) next(i int, last string) completion {
	nothing := completion{action: actionWords, command: -1}
	switch {
	case t.nested >= 0:
		return completion{action: fmt.Sprintf("%s %d", actionCommand, t.nested), command: t.nested}
	case t.waits != nil:
		return t.valueOf(t.waits, "")
	case t.dashes:
		found, _ := t.argument()
		return found
	case strings.HasPrefix(last, "-") && strings.Contains(last, "="):
		name, _, _ := strings.Cut(last, "=")
		if f := t.flag(strings.TrimLeft(name, "-")); f != nil && cmdline.TakesValue(f) {
			return t.valueOf(f, name+"=")
		}
		return nothing
	case strings.HasPrefix(last, "-"):
		nothing.words = t.flagWords()
		return nothing
	case t.namesCommand():
		nothing.words = commandWords(t.commands)
		if !t.help {
			nothing.words = append(nothing.words, completionWord{"help", "explain a command"})
		}
		return nothing
	case t.help:
		return nothing
	case t.takesCommand() && last != "":
		return completion{action: fmt.Sprintf("%s %d", actionCommand, i), command: i}
	}
	found, known := t.argument()
	if !known && last == "" {
		found.words = t.flagWords()
	}
	return found
}

func commandWords(commands []*cli.Command) []completionWord {
	var words []completionWord
	for _, c := range commands {
		if !c.Hidden {
			words = append(words, completionWord{c.Name, c.Usage})
		}
	}
	return words
}

// flagWords are the flags that can still be given, by their long names.
func (t *typed) flagWords() []completionWord {
	var words []completionWord
	for _, f := range t.flags() {
		if !cmdline.Visible(f) || t.given[f.Names()[0]] && !cmdline.Repeats(f) {
			continue
		}
		_, usage := cmdline.Placeholder(f.(cli.DocGenerationFlag).GetUsage())
		for _, name := range f.Names() {
			if len(name) > 1 {
				words = append(words, completionWord{cmdline.Dashed(name), usage})
			}
		}
	}
	if t.takesCommand() {
		words = append(words, completionWord{"--", "COMMAND follows"})
	}
	return words
}
