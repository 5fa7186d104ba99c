// Package complete finds the possible next words of an unfinished command line, for bash, zsh
// and fish. The caller passes in tables of the possible values of flags and arguments.
package complete

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
)

// What a shell can offer besides words.
const (
	Words   = "words"
	Files   = "files"
	Folders = "folders"
	Command = "command"
)

// A Completion describes what can come next.
type Completion struct {
	Action  string // Words, Files or Folders, followed by a blank and a prefix if there is one
	Words   []Word
	command int // index of the word that begins a command line of its own; -1: none
}

// A Word is a possible next word with its description.
type Word struct{ Text, Means string }

// A Completer returns the possible values of a flag or an argument.
type Completer func(*Typed) Completion

// These offers words without descriptions.
func These(texts ...string) Completer {
	return func(*Typed) Completion {
		completion := nothing()
		for _, text := range texts {
			completion.Words = append(completion.Words, Word{text, ""})
		}
		return completion
	}
}

// Listed offers the words of a list.
func Listed(list func(*Typed) []Word) Completer {
	return func(t *Typed) Completion {
		completion := nothing()
		completion.Words = list(t)
		return completion
	}
}

// AFile offers files.
func AFile(*Typed) Completion { return Completion{Action: Files, command: -1} }

// AFolder offers folders.
func AFolder(*Typed) Completion { return Completion{Action: Folders, command: -1} }

func nothing() Completion { return Completion{Action: Words, command: -1} }

// Tables holds the completers of flags and arguments.
type Tables struct {
	Values    map[string]Completer   // of flags, by first name; nil: any value is possible
	Arguments map[string][]Completer // of commands, by their words without the program's name
}

// next reads all words but the last and returns the completions of the last.
func (tables Tables) next(c *cli.Context, words []string) Completion {
	t := Typed{Values: map[string]string{}, tables: tables, Context: c, app: c.App, commands: c.App.Commands, nested: -1, given: map[string]bool{}}
	last := words[len(words)-1]
	for i, word := range words[:len(words)-1] {
		if !t.read(i, word) {
			return nothing()
		}
	}
	completion := t.next(len(words)-1, last)
	completion.Words = slices.DeleteFunc(completion.Words, func(w Word) bool { return !strings.HasPrefix(w.Text, last) })
	return completion
}

// A Typed is an unfinished command line. It accepts flags in any position and refuses nothing.
type Typed struct {
	Path      []string          // the command's words, without the program's name
	Command   *cli.Command      // nil until there is one
	Arguments []string          // before the one to complete
	Values    map[string]string // of flags, by first name

	// Context belongs to the command that answers the shell.
	Context *cli.Context

	tables   Tables
	app      *cli.App
	commands []*cli.Command  // the commands that may be named next
	given    map[string]bool // by the flag's first name
	waits    cli.Flag        // a flag whose value comes next
	dashes   bool            // no more flags can follow
	help     bool
	nested   int // the index at which COMMAND begins; -1: not seen yet
}

// read reads word i; it returns false if the word makes no sense there.
func (t *Typed) read(i int, word string) bool {
	switch {
	case t.nested >= 0:
	case t.waits != nil:
		t.Values[t.waits.Names()[0]] = word
		t.waits = nil
	case t.dashes:
		t.Arguments = append(t.Arguments, word)
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
			t.Values[f.Names()[0]] = value
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
		t.Arguments = append(t.Arguments, word)
	}
	return true
}

func (t *Typed) takesCommand() bool {
	return t.Command != nil && t.Command.ArgsUsage == cmdline.OwnArguments
}

func (t *Typed) namesCommand() bool { return len(t.commands) > 0 && len(t.Arguments) == 0 }

// name reads the name of a command.
func (t *Typed) name(name string) bool {
	for _, c := range t.commands {
		if c.HasName(name) {
			t.Command, t.commands = c, c.Subcommands
			t.Path = append(t.Path, c.Name)
			return true
		}
	}
	return false
}

func (t *Typed) flags() []cli.Flag {
	flags := cmdline.GlobalFlags(t.app)
	if t.Command != nil {
		flags = append(slices.Clone(t.Command.Flags), flags...)
	}
	return flags
}

func (t *Typed) flag(name string) cli.Flag {
	for _, f := range t.flags() {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

// next returns the completions of word i.
func (t *Typed) next(i int, last string) Completion {
	none := nothing()
	switch {
	case t.nested >= 0:
		return Completion{Action: fmt.Sprintf("%s %d", Command, t.nested), command: t.nested}
	case t.waits != nil:
		return t.valueOf(t.waits, "")
	case t.dashes:
		completion, _ := t.argument()
		return completion
	case strings.HasPrefix(last, "-") && strings.Contains(last, "="):
		name, _, _ := strings.Cut(last, "=")
		if f := t.flag(strings.TrimLeft(name, "-")); f != nil && cmdline.TakesValue(f) {
			return t.valueOf(f, name+"=")
		}
		return none
	case strings.HasPrefix(last, "-"):
		none.Words = t.flagWords()
		return none
	case t.namesCommand():
		none.Words = commandWords(t.commands)
		if !t.help {
			none.Words = append(none.Words, Word{"help", "explain a command"})
		}
		return none
	case t.help:
		return none
	case t.takesCommand() && last != "":
		if completion, known := t.argument(); known && slices.ContainsFunc(completion.Words, func(w Word) bool { return strings.HasPrefix(w.Text, last) }) {
			return completion
		}
		return Completion{Action: fmt.Sprintf("%s %d", Command, i), command: i}
	}
	completion, known := t.argument()
	if (!known || t.takesCommand()) && last == "" {
		completion.Words = append(completion.Words, t.flagWords()...)
	}
	return completion
}

func commandWords(commands []*cli.Command) []Word {
	var words []Word
	for _, c := range commands {
		if !c.Hidden {
			words = append(words, Word{c.Name, c.Usage})
		}
	}
	return words
}

// flagWords lists the flags that can still be given, by their long names.
func (t *Typed) flagWords() []Word {
	var words []Word
	for _, f := range t.flags() {
		if !cmdline.Visible(f) || t.given[f.Names()[0]] && !cmdline.Repeats(f) {
			continue
		}
		_, usage := cmdline.Placeholder(f.(cli.DocGenerationFlag).GetUsage())
		for _, name := range f.Names() {
			if len(name) > 1 {
				words = append(words, Word{cmdline.Dashed(name), usage})
			}
		}
	}
	if t.takesCommand() {
		words = append(words, Word{"--", "COMMAND follows"})
	}
	return words
}

// valueOf returns the possible values of f. prefix is the part of the same word before the
// value.
func (t *Typed) valueOf(f cli.Flag, prefix string) Completion {
	what := t.tables.Values[f.Names()[0]]
	if what == nil {
		return nothing()
	}
	completion := what(t)
	for i := range completion.Words {
		completion.Words[i].Text = prefix + completion.Words[i].Text
	}
	if completion.Action != Words && prefix != "" {
		completion.Action += " " + prefix
	}
	return completion
}

// argument returns the possible values of the next argument; false: none are known.
func (t *Typed) argument() (Completion, bool) {
	list := t.tables.Arguments[strings.Join(t.Path, " ")]
	if len(t.Arguments) >= len(list) {
		return nothing(), false
	}
	return list[len(t.Arguments)](t), true
}
