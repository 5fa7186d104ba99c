// Package cmdline adds to the flag library: flags in any position, suggestions for misspelled
// names, and the layout of help.
package cmdline

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
	"github.com/xrash/smetrics"

	"otrpipe/commands/internal/exit"
)

// OwnArguments is the ArgsUsage of a command whose arguments are another program's command line.
// None of our flags can follow the first argument.
const OwnArguments = "-- COMMAND..."

// ThenCommand ends the ArgsUsage of a command that has arguments of its own, optionally followed
// by another program's command line. If that is given, the command's arguments contain "--"
// before it.
const ThenCommand = " [" + OwnArguments + "]"

// Order rearranges a command line as the flag library expects it: flags of the program, the
// command, its flags, "--", its arguments. So a flag works in any position, and errors name the
// unknown command, the unknown flag, or the flag that lacks its value. If a flag is repeated,
// the last value counts, so that the user can override a shell alias; a list flag keeps all its
// values.
func Order(app *cli.App, args []string) ([]string, error) {
	o := ordering{
		path:     app.Name,
		commands: app.Commands,
		global:   GlobalFlags(app),
	}
	if len(args) > 0 {
		if err := o.read(args[1:]); err != nil {
			return nil, err
		}
	}
	if app.Metadata != nil {
		app.Metadata[dashesKey] = o.dashes
	}
	ordered := append([]string{app.Name}, o.globalArgs...)
	if o.version {
		return append(ordered, "--version"), nil
	}
	ordered = append(ordered, o.words...)
	if o.help {
		return append(ordered, "--help"), nil
	}
	ordered = append(ordered, o.localArgs...)
	if len(o.rest) > 0 {
		ordered = append(append(ordered, "--"), o.rest...)
	}
	return ordered, nil
}

// dashesKey is the key in the program's metadata that records whether the command line had "--".
const dashesKey = "dashes"

// HasDashes reports whether the user's command line had "--". What follows it is COMMAND, even
// if it looks like something else.
func HasDashes(app *cli.App) bool {
	dashes, _ := app.Metadata[dashesKey].(bool)
	return dashes
}

// An ordering is the state of reading a command line.
type ordering struct {
	path     string         // the command so far, as the user wrote it
	command  *cli.Command   // nil until a command has been named
	commands []*cli.Command // the commands that may be named next
	global   []cli.Flag

	globalArgs []string // each flag with its value, by its first name
	words      []string // the command and its subcommands
	localArgs  []string // as globalArgs
	rest       []string // arguments
	dashes     bool     // "--" stood before some of them
	version    bool
	help       bool
}

func (o *ordering) read(args []string) error {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			return o.readAfterDashes(args)
		case len(arg) > 1 && arg[0] == '-':
			if len(o.rest) > 0 && o.command != nil && o.command.ArgsUsage == OwnArguments {
				return exit.Errorf(exit.Usage, "%s after %s could be meant for either: put -- before COMMAND", flagName(arg), o.rest[0]).
					WithHint("%s [flags] -- %s", o.path, strings.Join(slices.Concat(o.rest, []string{arg}, args), " "))
			}
			used, err := o.readFlag(arg, args)
			if err != nil {
				return err
			}
			args = args[used:]
		case arg == "help" && len(o.commands) > 0 && len(o.rest) == 0:
			o.help = true
		case len(o.commands) > 0 && len(o.rest) == 0:
			if err := o.readCommand(arg); err != nil {
				return err
			}
		default:
			o.rest = append(o.rest, arg)
		}
	}
	return nil
}

// readAfterDashes takes everything after "--" as arguments.
func (o *ordering) readAfterDashes(args []string) error {
	o.dashes = true
	if len(o.commands) > 0 && len(args) > 0 {
		return exit.Errorf(exit.Usage, "-- before a command of %s", o.path)
	}
	if o.command != nil && strings.HasSuffix(o.command.ArgsUsage, ThenCommand) {
		o.rest = append(o.rest, "--")
	}
	o.rest = append(o.rest, args...)
	return nil
}

// readCommand takes a command's name.
func (o *ordering) readCommand(name string) error {
	for _, c := range o.commands {
		if c.HasName(name) {
			o.command = c
			o.commands = c.Subcommands
			o.path += " " + c.Name
			o.words = append(o.words, c.Name)
			return nil
		}
	}
	return UnknownCommand(o.path, name, o.commands)
}

// readFlag reads a flag and its value from args, and returns how many of args it used.
func (o *ordering) readFlag(arg string, args []string) (int, error) {
	name := flagName(arg)
	value, hasValue := "", false
	if i := strings.IndexByte(arg, '='); i >= 0 {
		value, hasValue = arg[i+1:], true
	}
	flag, local := o.find(strings.TrimLeft(name, "-"))
	if flag == nil {
		return 0, o.unknownFlag(name)
	}
	switch flag {
	case cli.HelpFlag:
		o.help = true
		return 0, nil
	case cli.VersionFlag:
		o.version = true
		return 0, nil
	}
	first := flag.Names()[0]

	used := 0
	if TakesValue(flag) && !hasValue {
		if len(args) == 0 || len(args[0]) > 1 && args[0][0] == '-' {
			return 0, exit.Errorf(exit.Usage, "%s needs a value", name).WithHint("%s --help", o.path)
		}
		value, hasValue, used = args[0], true, 1
	}
	token := Dashed(first)
	if hasValue {
		token += "=" + value
	}
	given := &o.globalArgs
	if local {
		given = &o.localArgs
	}
	if !Repeats(flag) {
		*given = slices.DeleteFunc(*given, func(before string) bool { return flagName(before) == Dashed(first) })
	}
	*given = append(*given, token)
	return used, nil
}

// find looks a flag up by name, the command's own first.
func (o *ordering) find(name string) (flag cli.Flag, local bool) {
	if o.command != nil {
		for _, f := range o.command.Flags {
			if slices.Contains(f.Names(), name) {
				return f, true
			}
		}
	}
	for _, f := range o.global {
		if slices.Contains(f.Names(), name) {
			return f, false
		}
	}
	return nil, false
}

func (o *ordering) unknownFlag(name string) error {
	flags := slices.Clone(o.global)
	if o.command != nil {
		flags = append(flags, o.command.Flags...)
	}
	var names []string
	for _, f := range flags {
		for _, n := range f.Names() {
			if len(n) > 1 {
				names = append(names, n)
			}
		}
	}
	err := exit.Errorf(exit.Usage, "%s has no flag %s", o.path, name)
	if near := Nearest(strings.TrimLeft(name, "-"), names); near != "" {
		return err.WithHint("did you mean %s?", Dashed(near))
	}
	if o.command == nil {
		return err.WithHint("a command's flags come after its name")
	}
	return err.WithHint("%s --help", o.path)
}

// UnknownCommand returns the error for a name that is not a command of path.
func UnknownCommand(path, name string, commands []*cli.Command) error {
	err := exit.Errorf(exit.Usage, "%s has no command %q", path, name)
	if near := Nearest(name, append(CommandNames(commands), "help")); near != "" {
		return err.WithHint("did you mean %s %s?", path, near)
	}
	return err.WithHint("%s --help", path)
}

// CommandNames returns the names that help shows.
func CommandNames(commands []*cli.Command) []string {
	var names []string
	for _, c := range commands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

// likeness is the similarity, from 0 to 1, from which one name is taken for a misspelling of
// another. A dropped, doubled or swapped letter passes; another word does not.
const likeness = 0.84

// Nearest returns the entry of names that was probably meant by name, or "".
func Nearest(name string, names []string) string {
	best, nearest := likeness, ""
	for _, n := range names {
		if d := smetrics.JaroWinkler(name, n, 0.7, 4); d >= best {
			best, nearest = d, n
		}
	}
	return nearest
}

// flagName returns the name in a flag as typed, without its value.
func flagName(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}

// Dashed returns a flag's name as the user types it.
func Dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return fmt.Sprintf("--%s", name)
}

// TakesValue reports whether a flag is followed by a value.
func TakesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}

// Repeats reports whether a flag may be given more than once.
func Repeats(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationSliceFlag)
	return ok && d.IsSliceFlag()
}
