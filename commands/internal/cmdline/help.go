package cmdline

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// A Layout gives the order of the help pages' parts.
type Layout struct {
	FlagGroups    []string // the categories of flags
	CommandGroups []string // the categories of commands
	GlobalGroup   string   // the one of FlagGroups with the program's own flags
	Footer        string   // ends the page of the program
	// CommandFooter returns the end of a command's page. Its argument is the command's words,
	// without the program's name.
	CommandFooter func(words []string) string
}

// Help is laid out for terminals of 80 columns. The descriptions of flags and commands begin at
// a fixed column.
const (
	Width          = 80
	flagsColumn    = 30
	commandsColumn = 18
)

// In puts flags into a group.
func In(group string, flags ...cli.Flag) []cli.Flag {
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

// InCategory puts commands into a group.
func InCategory(group string, commands ...*cli.Command) []*cli.Command {
	for _, c := range commands {
		c.Category = group
	}
	return commands
}

// Text returns the help of the program, or of the command that ran. A description consists of
// prose, which is wrapped here, and of examples, which are the lines that begin with two blanks.
func (l Layout) Text(app *cli.App, c *cli.Command) string {
	h := &help{Layout: l}
	footer := l.Footer
	if c == nil {
		h.program(app)
	} else {
		h.command(c)
		footer = l.CommandFooter(strings.Fields(c.HelpName)[1:])
	}
	h.flags(l.GlobalGroup, GlobalFlags(app))
	h.paragraph(footer)
	return h.b.String()
}

// GlobalFlags are the flags that work with every command. The flag library adds
// its own two only once the program runs.
func GlobalFlags(app *cli.App) []cli.Flag {
	flags := slices.DeleteFunc(slices.Clone(app.Flags), func(f cli.Flag) bool { return f == cli.HelpFlag || f == cli.VersionFlag })
	return append(flags, cli.HelpFlag, cli.VersionFlag)
}

// Printer is the flag library's way to Text.
func (l Layout) Printer(app *cli.App) func(w io.Writer, template string, data any) {
	return func(w io.Writer, _ string, data any) {
		c, _ := data.(*cli.Command) // nil: the program
		_, _ = io.WriteString(w, l.Text(app, c))
	}
}

// A help is a help page being written.
type help struct {
	Layout
	b strings.Builder
}

func (h *help) program(app *cli.App) {
	fmt.Fprintf(&h.b, "%s: %s\n", app.Name, app.Usage)
	h.heading("Usage")
	fmt.Fprintf(&h.b, "  %s\n", app.UsageText)
	h.description(app.Description)
	for _, group := range h.CommandGroups {
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
	if slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return FlagGroup(f) != h.GlobalGroup }) {
		usage += " [flags]"
	}
	if c.ArgsUsage != "" {
		usage += " " + c.ArgsUsage
	}
	if c.UsageText != "" {
		fmt.Fprintf(&h.b, "  %s\n", strings.ReplaceAll(c.UsageText, "\n", "\n  "))
	}
	fmt.Fprintf(&h.b, "  %s\n", usage)
	h.description(c.Description)
	h.commands("", c.Subcommands)
	for _, group := range h.FlagGroups {
		if group != h.GlobalGroup {
			h.flags(group, c.Flags)
		}
	}
}

// description writes a description's prose, then its examples.
func (h *help) description(text string) {
	prose, list := Examples(text)
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

// Examples splits a description into prose and examples.
func Examples(description string) (prose string, list []string) {
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

// commands lists the commands of a group; "": all.
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

// flags lists the flags of a group.
func (h *help) flags(group string, all []cli.Flag) {
	begun := false
	for _, f := range all {
		if FlagGroup(f) != group || !Visible(f) {
			continue
		}
		if !begun {
			begun = true
			h.heading(group)
		}
		d := f.(cli.DocGenerationFlag)
		value, usage := Placeholder(d.GetUsage())
		if vars := d.GetEnvVars(); len(vars) > 0 {
			usage += "; else $" + strings.Join(vars, ", $")
		}
		// Defaults that mean "not set" are left out.
		if text := d.GetDefaultText(); d.TakesValue() && text != "" && text != `""` && text != NoDefault {
			usage += " (default: " + text + ")"
		}
		h.entry("  "+FlagHead(f, value), usage, flagsColumn)
	}
}

// NoDefault hides the zero value of a flag, which would look like a default.
const NoDefault = "none"

// FlagHead returns a flag as it is typed: its short name, its long names, its value.
func FlagHead(f cli.Flag, value string) string {
	head := "    " // the place of a short name
	for _, name := range f.Names() {
		if len(name) == 1 {
			head = "-" + name + ", "
		}
	}
	var long []string
	for _, name := range f.Names() {
		if len(name) > 1 {
			long = append(long, "--"+name)
		}
	}
	head += strings.Join(long, ", ")
	if value != "" {
		head += " " + value
	}
	return head
}

// FlagGroup returns the group of a flag.
func FlagGroup(f cli.Flag) string {
	if c, ok := f.(cli.CategorizableFlag); ok {
		return c.GetCategory()
	}
	return ""
}

// Visible reports whether help shows a flag.
func Visible(f cli.Flag) bool {
	v, ok := f.(cli.VisibleFlag)
	return !ok || v.IsVisible()
}

// Placeholder extracts the name of a flag's value, which is in back quotes, from the flag's
// usage.
func Placeholder(usage string) (value, text string) {
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

// entry writes a name and, at the fixed column, its description.
func (h *help) entry(name, text string, column int) {
	if utf8.RuneCountInString(name) > column-2 {
		h.b.WriteString(name + "\n")
		name = ""
	}
	h.wrap(name+strings.Repeat(" ", column-utf8.RuneCountInString(name)), text)
}

// wrap writes text after head and indents the further lines to the same column.
func (h *help) wrap(head, text string) {
	indent := strings.Repeat(" ", utf8.RuneCountInString(head))
	line, words := head, 0
	for _, word := range strings.Fields(text) {
		if words > 0 && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > Width {
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
