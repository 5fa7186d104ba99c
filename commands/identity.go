package commands

import (
	"os"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/identities"
	"otrpipe/keyfile"
)

// The names of the flags that choose an identity and open its key file.
const (
	flagHome         = "home"
	flagIdentity     = "identity"
	flagIdentityFile = "identity-file"
	flagProtocol     = "protocol"
	flagProtect      = "protect"
	flagKeepForging  = "keep-forging-key"
)

// envIdentity is the environment variable that can name the identity. We read it ourselves,
// because the flag library treats an empty variable as a flag that was given.
const envIdentity = "OTRPIPE_IDENTITY"

// identityFlags are the flags of every command that opens an identity.
func identityFlags() []cli.Flag {
	return append(cmdline.In(groupKeys,
		identityFlag(),
		&cli.StringFlag{Name: flagIdentityFile, Usage: "use the identity in `FILE`, of otrpipe or libotr"},
	), passphraseFlags()...)
}

// homeIdentityFlags are the flags of every command that works only on identities in the home.
func homeIdentityFlags() []cli.Flag { return append([]cli.Flag{identityFlag()}, passphraseFlags()...) }

func identityFlag() cli.Flag { return identityNamed("the identity's", identities.Default) }

// identityNamed is the flag for an identity's name. whose begins its help, and otherwise is the
// name if neither the flag nor the environment gives one.
func identityNamed(whose, otherwise string) cli.Flag {
	return &cli.StringFlag{
		Name: flagIdentity, Aliases: []string{"i"}, Category: groupKeys,
		Usage: whose + " `NAME`; else $" + envIdentity, DefaultText: otherwise,
	}
}

func passphraseFlags() []cli.Flag {
	return cmdline.In(groupKeys, secretFlags(flagPassphrase, "the identity's passphrase")...)
}

func protectFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagProtect, Aliases: []string{"p"}, Category: groupKeys, Usage: "protect it by a passphrase", DisableDefaultText: true}
}

// keepForgingFlag is the flag of every command that makes keys of version 4.
func keepForgingFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagKeepForging, Category: groupKeys, DisableDefaultText: true,
		Usage: "keep the private half of version 4's forging key too; the protocol never needs it, and otherwise nobody has it"}
}

// accountFlags are the flags that choose an account in one of libotr's files.
func accountFlags() []cli.Flag {
	return cmdline.In(groupFile,
		&cli.StringFlag{Name: flagAccount, Usage: "the account's `NAME` in libotr's file"},
		&cli.StringFlag{Name: flagProtocol, Usage: "the account's protocol in libotr's file, under the client's `NAME` for it"},
	)
}

func accountOf(c *cli.Context) keyfile.Account {
	return keyfile.Account{Name: c.String(flagAccount), Protocol: c.String(flagProtocol)}
}

// openHome returns the folder of identities and contacts that the flags name.
func openHome(c *cli.Context) *keyfile.Home {
	if home, ok := c.App.Metadata[flagHome].(*keyfile.Home); ok {
		return home
	}
	var home *keyfile.Home
	if folder := c.String(flagHome); folder != "" {
		home = keyfile.Open(folder)
	} else {
		home = keyfile.OpenDefault(programName)
	}
	home.Warn = func(text string) { ioOf(c).Warn("%s", text) }
	c.App.Metadata[flagHome] = home
	return home
}

// identityOf returns the identity that the flags choose.
func identityOf(c *cli.Context) identities.Choice {
	return identities.Choice{
		IO:      ioOf(c),
		Home:    openHome(c),
		Flag:    valueOf(c, flagIdentity),
		Env:     os.Getenv(envIdentity),
		File:    valueOf(c, flagIdentityFile),
		Account: accountOf(c),
		Passphrase: identities.Passphrase{
			Source:  secretSource(c, flagPassphrase),
			Protect: c.Bool(flagProtect),
		},
	}
}

// answerIdentity prints an identity that a command has changed. done says how. The change stays even
// if nobody can read about it, because keys are not made to be thrown away, so the error tells the
// user what was done and how to see the keys.
func answerIdentity(c *cli.Context, d identities.Document, done string) error {
	defer descriptor.PipeErrors()()
	err := answer(c, d)
	if err == nil {
		return nil
	}
	e := files.OutputError(err)
	return exit.Errorf(e.Code, "%w; identity %q %s all the same", e, d.Identity, done).
		WithHint("%s shows its keys", identities.FingerprintCommand(d.Identity))
}
