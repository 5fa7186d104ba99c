package commands

import (
	"io/fs"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/secret"
)

// The names of secrets. The flags that give a secret's source are named NAME-file and NAME-fd.
const (
	flagPassphrase    = "passphrase"
	flagNewPassphrase = "new-passphrase"
	flagSecret        = "secret"
)

// secretVariables are the environment variables that can hold a secret.
var secretVariables = []struct{ name, variable string }{
	{flagPassphrase, identities.EnvPassphrase},
	{flagNewPassphrase, identities.EnvNewPassphrase},
}

// sharedSecrets are the secrets with which anybody who reads them can pass SMP, so their files
// must be as private as a key file. A passphrase is useless without its key file, which is
// private already.
var sharedSecrets = []string{flagSMPSecret, flagSecret}

// secretFlags returns the two flags that can give a secret. what describes the secret in their
// help.
func secretFlags(name, what string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: name + secret.FileFlag, Usage: what + " is in `FILE`"},
		&cli.IntFlag{Name: name + secret.FDFlag, Usage: what + " comes from file descriptor `N`", DefaultText: cmdline.NoDefault},
	}
}

// The keys under which a command's context holds the secrets from the environment, by name, and
// the sources that its flags name.
const (
	secretEnvKey     = "secret environment"
	secretSourcesKey = "secret sources"
)

// takeSecretEnvironment removes all secrets from the environment, whether or not
// the command needs them, so that no program started later inherits them.
func takeSecretEnvironment(app *cli.App) {
	taken := map[string][]byte{}
	for _, s := range secretVariables {
		taken[s.name] = secret.TakeEnv(s.variable)
	}
	app.Metadata[secretEnvKey] = taken
}

// wipeSecrets overwrites the secrets that were taken from the environment.
func wipeSecrets(app *cli.App) {
	taken, _ := app.Metadata[secretEnvKey].(map[string][]byte)
	for _, value := range taken {
		clear(value)
	}
	sources, _ := app.Metadata[secretSourcesKey].([]*secret.Source)
	for _, source := range sources {
		source.Wipe()
	}
}

// openSecrets checks the file descriptors that a command's flags name and takes
// the secrets from them. It runs before the command does anything else.
func openSecrets(c *cli.Context) error {
	var all []secret.Flags
	taken, _ := c.App.Metadata[secretEnvKey].(map[string][]byte)
	for _, f := range c.Command.Flags {
		fdName := f.Names()[0]
		if fdName == flagEvents && c.IsSet(flagEvents) {
			if err := events.Check(c.String(flagEvents)); err != nil {
				return err
			}
		}
		name, ok := strings.CutSuffix(fdName, secret.FDFlag)
		if !ok {
			continue
		}
		flags := secret.Flags{
			Name:    name,
			File:    c.String(name + secret.FileFlag),
			HasFile: c.IsSet(name + secret.FileFlag),
			FD:      c.Int(fdName),
			HasFD:   c.IsSet(fdName),
			Env:     taken[name],
		}
		if slices.Contains(sharedSecrets, name) {
			flags.CheckFile = func(path string, info fs.FileInfo) error {
				return exit.Key(openHome(c).CheckSecretFile(path, info))
			}
		}
		all = append(all, flags)
	}
	if len(c.Command.Subcommands) == 0 {
		for name, value := range taken {
			if !slices.ContainsFunc(all, func(f secret.Flags) bool { return f.Name == name }) {
				clear(value) // the command does not use it
			}
		}
	}
	sources, err := secret.Open(all, ioOf(c).In)
	c.App.Metadata[secretSourcesKey] = sources
	return err
}

// secretSource returns the source of the named secret. The command of c must have flags for it.
func secretSource(c *cli.Context, name string) *secret.Source {
	sources, _ := c.App.Metadata[secretSourcesKey].([]*secret.Source)
	for _, source := range sources {
		if source.Name() == name {
			return source
		}
	}
	return new(secret.Source)
}
