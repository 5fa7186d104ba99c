package commands

import (
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
)

const (
	flagProtect     = "protect"
	flagKeepForging = "keep-forging-key"
)

func keygenCommand() *cli.Command {
	return &cli.Command{
		Name:  "keygen",
		Usage: "make an identity: its keys and its instance tag",
		Description: "The identity is protected by a passphrase only with --protect or with a flag that\n" +
			"says where the passphrase is. One that is there already is never overwritten.\n\n" +
			"  otrpipe keygen\n" +
			"  otrpipe keygen -i work --protect",
		Flags: append([]cli.Flag{identityFlag(), protectFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return keygen(c)
		},
	}
}

func protectFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagProtect, Aliases: []string{"p"}, Category: groupKeys, Usage: "protect it by a passphrase", DisableDefaultText: true}
}

// keepForgingFlag is the flag of every command that makes keys of version 4.
func keepForgingFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagKeepForging, Category: groupKeys, DisableDefaultText: true,
		Usage: "keep the private half of version 4's forging key too, which the protocol never needs; else nobody has it"}
}

func keygen(c *cli.Context) error {
	name, err := identityName(c)
	if err != nil {
		return err
	}
	home := openHome(c)
	source := passphraseOf(c)
	// Looked at first, so that nobody thinks up a passphrase in vain.
	if err := home.Vacant(name); err != nil {
		return createError(err)
	}
	passphrase, err := source.protecting(fmt.Sprintf("passphrase for identity %q", name))
	if err != nil {
		return err
	}
	defer clear(passphrase)
	id, err := keyfile.Generate(name, rand.Reader, c.Bool(flagKeepForging))
	if err != nil {
		return exit.Key(err)
	}
	defer id.Wipe()
	return createIdentity(c, id, passphrase)
}

// createIdentity writes a new identity and answers with its fingerprints.
func createIdentity(c *cli.Context, id *keyfile.Identity, passphrase []byte) error {
	if err := openHome(c).Create(id, passphrase); err != nil {
		return createError(err)
	}
	return answerMade(c, id.Public())
}

// answerMade answers with all fingerprints of an identity whose keys were made.
func answerMade(c *cli.Context, public keyfile.Public) error {
	if c.Bool(flagJSON) {
		return printJSON(c, answerIdentity(public, public.Keys))
	}
	for _, fp := range public.Keys {
		if err := printFingerprint(c, fp); err != nil {
			return err
		}
	}
	return nil
}

func createError(err error) error {
	if errors.Is(err, keyfile.ErrExists) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("choose another name with -i, or see otrpipe keys remove")
	}
	return exit.Key(err)
}
