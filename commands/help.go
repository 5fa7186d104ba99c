package commands

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// The groups of flags, in the order that help shows them. A flag's group is its
// category.
const (
	groupPeer       = "The other end"
	groupSession    = "The session"
	groupStream     = "The stream"
	groupSMP        = "The comparison"
	groupExtraKey   = "The extra key"
	groupKeys       = "Our keys"
	groupFile       = "The file"
	groupAnswer     = "The answer"
	groupEverywhere = "Everywhere"
)

var flagGroups = []string{
	groupPeer, groupSession, groupStream, groupSMP, groupExtraKey, groupKeys, groupFile, groupAnswer, groupEverywhere,
}

// The groups of commands, in the order that help shows them. A command's group
// is its category.
const (
	groupCommandsKeys    = "Keys and contacts"
	groupCommandsStreams = "Streams"
	groupCommandsLive    = "Live sessions"
	groupCommandsOther   = "Besides"
)

var commandGroups = []string{groupCommandsKeys, groupCommandsStreams, groupCommandsLive, groupCommandsOther}

// Help is made for terminals of 80 columns. What flags and commands mean begins
// at a column of its own.
const (
	helpWidth      = 80
	flagsColumn    = 30
	commandsColumn = 18
)

// in puts flags into a group.
func in(group string, flags ...cli.Flag) []cli.Flag {
	for _, f := range flags {
		switch f := f.(type) {
		case *cli.StringFlag:
			f.Category = group
		case *cli.StringSliceFlag:
			f.Category = group
		case *cli.IntFlag:
			f.Category = group
		case *cli.BoolFlag:
			f.Category = group
		}
	}
	return flags
}

// grouped puts commands into a group.
func grouped(group string, commands ...*cli.Command) []*cli.Command {
	for _, c := range commands {
		c.Category = group
	}
	return commands
}

// helpText is the help of the program, or of a command that has been run. A
// description is prose, which is wrapped here, and examples, which are the lines
// that begin with two blanks.
func helpText(app *cli.App, c *cli.Command) string {
	h := &help{}
	if c == nil {
		h.program(app)
	} else {
		h.command(c)
	}
	h.flags(groupEverywhere, globalFlags(app))
	h.paragraph(pageOf(c))
	return h.b.String()
}

// globalFlags are the flags that work with every command. The flag library adds
// its own two only once the program runs.
func globalFlags(app *cli.App) []cli.Flag {
	flags := slices.DeleteFunc(slices.Clone(app.Flags), func(f cli.Flag) bool { return f == cli.HelpFlag || f == cli.VersionFlag })
	return append(flags, cli.HelpFlag, cli.VersionFlag)
}

// pageOf is where more is said.
func pageOf(c *cli.Command) string {
	if c == nil {
		return "otrpipe help COMMAND says more of one, and man otrpipe of all."
	}
	words := strings.Fields(c.HelpName)
	return "man " + strings.Join(words[:min(len(words), 2)], "-") + " says more."
}

// printHelp is the flag library's way to helpText.
func printHelp(app *cli.App) func(w io.Writer, template string, data any) {
	return func(w io.Writer, _ string, data any) {
		c, _ := data.(*cli.Command) // nil: the program
		_, _ = io.WriteString(w, helpText(app, c))
	}
}

// shortHelp is for who has said nothing: what to say.
const shortHelp = `
  otrpipe keygen                          make your keys, once
  otrpipe fingerprint                     read this to the other end
  otrpipe connect -- nc host 9000         talk with it, whatever carries the lines
  otrpipe serve -- cat                    let a program talk with it

otrpipe --help lists all commands; otrpipe help COMMAND explains one.
`

// A help is a page of help while it is written.
type help struct{ b strings.Builder }

func (h *help) program(app *cli.App) {
	fmt.Fprintf(&h.b, "%s: %s\n", app.Name, app.Usage)
	h.heading("Usage")
	fmt.Fprintf(&h.b, "  %s\n", app.UsageText)
	h.description(app.Description)
	for _, group := range commandGroups {
		h.commands(group, app.Commands)
	}
}

func (h *help) command(c *cli.Command) {
	h.wrap("", c.HelpName+": "+c.Usage)
	h.heading("Usage")
	usage := c.HelpName
	if len(c.Subcommands) > 0 {
		usage += " COMMAND"
	}
	if slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return flagGroup(f) != groupEverywhere }) {
		usage += " [flags]"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	fmt.Fprintf(&h.b, "  %s\n", usage)
	h.description(c.Description)
	h.commands("", c.Subcommands)
	for _, group := range flagGroups {
		if group != groupEverywhere {
			h.flags(group, c.Flags)
		}
	}
}

// description writes prose and then the examples that are in it.
func (h *help) description(text string) {
	prose, list := examples(text)
	for _, paragraph := range strings.Split(prose, "\n\n") {
		if paragraph = strings.TrimSpace(paragraph); paragraph != "" {
			h.paragraph(paragraph)
		}
	}
	if len(list) == 0 {
		return
	}
	h.heading("Examples")
	for _, example := range list {
		fmt.Fprintf(&h.b, "  %s\n", example)
	}
}

// examples takes a description apart.
func examples(description string) (prose string, list []string) {
	var rest []string
	for _, line := range strings.Split(description, "\n") {
		if example, ok := strings.CutPrefix(line, "  "); ok {
			list = append(list, example)
		} else {
			rest = append(rest, line)
		}
	}
	return strings.Join(rest, "\n"), list
}

// commands lists those of a group; "": all.
func (h *help) commands(group string, all []*cli.Command) {
	begun := false
	for _, c := range all {
		if c.Hidden || group != "" && c.Category != group {
			continue
		}
		if !begun {
			begun = true
			if group == "" {
				group = c.Category
				h.heading("Commands")
			} else {
				h.heading(group)
			}
		}
		h.entry("  "+c.Name, c.Usage, commandsColumn)
	}
}

// flags lists those of a group.
func (h *help) flags(group string, all []cli.Flag) {
	begun := false
	for _, f := range all {
		if flagGroup(f) != group || !visible(f) {
			continue
		}
		if !begun {
			begun = true
			h.heading(group)
		}
		d := f.(cli.DocGenerationFlag)
		value, usage := placeholder(d.GetUsage())
		if vars := d.GetEnvVars(); len(vars) > 0 {
			usage += "; else $" + strings.Join(vars, ", $")
		}
		// What is not there unless it is given goes without saying.
		if text := d.GetDefaultText(); d.TakesValue() && text != "" && text != `""` && text != noDefault {
			usage += " (default: " + text + ")"
		}
		h.entry("  "+flagHead(f, value), usage, flagsColumn)
	}
}

// noDefault is the default of a flag whose zero value would read like one.
const noDefault = "none"

// flagHead is a flag as it is given: the short name, the long one, the value.
func flagHead(f cli.Flag, value string) string {
	head := "    " // where a short name would be
	for _, name := range f.Names() {
		if len(name) == 1 {
			head = "-" + name + ", "
		}
	}
	for _, name := range f.Names() {
		if len(name) > 1 {
			head += "--" + name
		}
	}
	if value != "" {
		head += " " + value
	}
	return head
}

// flagGroup is the group of a flag.
func flagGroup(f cli.Flag) string {
	if f == cli.HelpFlag || f == cli.VersionFlag {
		return groupEverywhere
	}
	if c, ok := f.(cli.CategorizableFlag); ok {
		return c.GetCategory()
	}
	return ""
}

func visible(f cli.Flag) bool {
	v, ok := f.(cli.VisibleFlag)
	return !ok || v.IsVisible()
}

// placeholder takes the name of a flag's value, which stands in back quotes, out
// of its usage.
func placeholder(usage string) (value, text string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "", usage
	}
	value, after, _ := strings.Cut(rest, "`")
	return value, before + value + after
}

func (h *help) heading(text string) { fmt.Fprintf(&h.b, "\n%s:\n", text) }

func (h *help) paragraph(text string) {
	h.b.WriteByte('\n')
	h.wrap("", text)
}

// entry writes a name and, beside it at a column, what it means.
func (h *help) entry(name, text string, column int) {
	if utf8.RuneCountInString(name) > column-2 {
		h.b.WriteString(name + "\n")
		name = ""
	}
	h.wrap(name+strings.Repeat(" ", column-utf8.RuneCountInString(name)), text)
}

// wrap writes text behind head, and its further lines below their beginning.
func (h *help) wrap(head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line, words := head, 0
	for _, word := range strings.Fields(text) {
		if words > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > helpWidth {
			h.b.WriteString(line + "\n")
			line, words = indent, 0
		}
		if words > 0 {
			line += " "
		}
		line += word
		words++
	}
	h.b.WriteString(line + "\n")
}
