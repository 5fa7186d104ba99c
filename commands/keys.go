package commands

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

const (
	flagRemove       = "remove"
	flagFormat       = "format"
	flagOutput       = "output"
	flagForce        = "force"
	flagYes          = "yes"
	flagInstanceTags = "instance-tags"

	// defaultProtocol is what Pidgin calls XMPP, the network where most of
	// libotr's files come from.
	defaultProtocol = "prpl-jabber"
)

func keysCommand() *cli.Command {
	return &cli.Command{
		Name:  "keys",
		Usage: "manage identities",
		Description: "An identity is a name and its private keys. otrpipe keygen makes one.\n\n" +
			"  otrpipe keys list\n" +
			"  otrpipe keys passphrase -i work",
		Subcommands: []*cli.Command{
			keysListCommand(),
			keysPassphraseCommand(),
			keysUpgradeCommand(),
			keysRemoveCommand(),
			keysExportCommand(),
			keysImportCommand(),
		},
	}
}

func keysListCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list all identities",
		Description: "No passphrase is needed.\n\n" +
			"  otrpipe keys list\n" +
			"  otrpipe keys list --json",
		Flags: []cli.Flag{jsonFlag()},
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return keysList(c)
		},
	}
}

// keysList shows what can be shown, then says what cannot.
func keysList(c *cli.Context) error {
	list, wrong := openHome(c).Publics()
	if c.Bool(flagJSON) {
		answer := []identityAnswer{}
		for _, public := range list {
			one := answerIdentity(public, public.Keys)
			one.Protected = &public.Protected
			answer = append(answer, one)
		}
		if err := printJSON(c, answer); err != nil {
			return err
		}
		return eachKeyError(c, wrong)
	}
	for _, public := range list {
		note := ""
		if public.Protected {
			note = " (protected)"
		}
		if _, err := fmt.Fprintf(output(c), "%s%s\n", public.Name, note); err != nil {
			return err
		}
		for _, fp := range public.Keys {
			if _, err := fmt.Fprint(output(c), "  "); err != nil {
				return err
			}
			if err := printFingerprint(c, fp); err != nil {
				return err
			}
		}
	}
	return eachKeyError(c, wrong)
}

// eachKeyError prints all errors that were joined but the last, and returns that.
func eachKeyError(c *cli.Context, err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return exit.Key(err)
	}
	all := joined.Unwrap()
	for _, one := range all[:len(all)-1] {
		ioOf(c).Messages.Error(exit.Plain(one).Error())
	}
	return exit.Key(all[len(all)-1])
}

func keysPassphraseCommand() *cli.Command {
	flags := append([]cli.Flag{identityFlag()}, passphraseFlags()...)
	flags = append(flags, cmdline.In(groupKeys, secretFlags(flagNewPassphrase, "the new passphrase")...)...)
	return &cli.Command{
		Name:  "passphrase",
		Usage: "set, change or remove an identity's passphrase",
		Description: "The passphrase that is asked for everywhere opens the identity. The new one comes\n" +
			"from --new-passphrase-file, --new-passphrase-fd, " + envNewPassphrase + " or the\n" +
			"terminal. An identity that has no passphrase yet takes the one that would open it.\n\n" +
			"  otrpipe keys passphrase\n" +
			"  otrpipe keys passphrase -i work --remove",
		Flags: append(flags,
			&cli.BoolFlag{Name: flagRemove, Category: groupKeys, Usage: "take the passphrase away", DisableDefaultText: true}),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return keysPassphrase(c)
		},
	}
}

func keysPassphrase(c *cli.Context) error {
	source, newOne := passphraseOf(c), secretSource(c, flagNewPassphrase)
	if c.Bool(flagRemove) && newOne.FromFlags() {
		return exit.Errorf(exit.Usage, "--remove and a new passphrase contradict each other")
	}
	id, err := openIdentityWith(c, source.opening)
	if err != nil {
		return err
	}
	defer id.Wipe()
	if c.Bool(flagRemove) {
		return removePassphrase(c, id)
	}
	passphrase, err := source.changing(id, newOne)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	if len(passphrase) == 0 {
		return exit.Errorf(exit.KeyFile, "the new passphrase is empty").WithHint("take it away with --remove")
	}
	if err := openHome(c).SetPassphrase(id, passphrase); err != nil {
		return exit.Key(err)
	}
	ioOf(c).Note("identity %q has a new passphrase", id.Name)
	return nil
}

func removePassphrase(c *cli.Context, id *keyfile.Identity) error {
	if !id.Protected {
		ioOf(c).Note("identity %q has no passphrase", id.Name)
		return nil
	}
	if err := openHome(c).SetPassphrase(id, nil); err != nil {
		return exit.Key(err)
	}
	ioOf(c).Note("identity %q has no passphrase any more", id.Name)
	return nil
}

func keysUpgradeCommand() *cli.Command {
	return &cli.Command{
		Name:  "upgrade",
		Usage: "make the version 4 keys of an identity that has none",
		Description: "All else stays as it is: the key of versions 2 and 3, the instance tag, the\n" +
			"passphrase. Keys of version 4 that are there already stay too.\n\n" +
			"  otrpipe keys upgrade\n" +
			"  otrpipe keys upgrade -i work --json",
		Flags: append([]cli.Flag{identityFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			return keysUpgrade(c)
		},
	}
}

func keysUpgrade(c *cli.Context) error {
	name, err := identityName(c)
	if err != nil {
		return err
	}
	source := passphraseOf(c)
	home := openHome(c)
	public, err := home.Public(name)
	if err != nil {
		return identityError(err, name)
	}
	done := slices.ContainsFunc(public.Keys, func(fp keys.Fingerprint) bool { return fp.OTR() == 4 })
	if done && !c.Bool(flagKeepForging) {
		ioOf(c).Note("identity %q has keys of version 4", name)
		return answerMade(c, public)
	}
	if err := home.Upgrade(name, rand.Reader, c.Bool(flagKeepForging), source.opening); err != nil {
		return identityError(err, name)
	}
	if public, err = home.Public(name); err != nil {
		return identityError(err, name)
	}
	return answerMade(c, public)
}

func keysRemoveCommand() *cli.Command {
	return &cli.Command{
		Name:      "remove",
		Usage:     "remove an identity for good",
		ArgsUsage: "NAME",
		Description: "Nothing brings the keys back, so at a terminal you are asked whether you are sure.\n\n" +
			"  otrpipe keys remove work\n" +
			"  otrpipe keys remove --yes -- -odd",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: flagYes, Aliases: []string{"y"}, Category: groupKeys, Usage: "do not ask", DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return exit.Errorf(exit.Usage, "%s takes the name of one identity", c.Command.HelpName)
			}
			name := c.Args().First()
			home := openHome(c)
			_, err := home.Public(name)
			there := !errors.Is(err, keyfile.ErrNotFound) // damaged ones can be removed too
			if there && !c.Bool(flagYes) && !ioOf(c).Confirm(fmt.Sprintf("remove the keys of identity %q for good?", name)) {
				return exit.Errorf(exit.Failure, "identity %q stays", name)
			}
			if err := home.Remove(name); err != nil {
				return exit.Key(err)
			}
			ioOf(c).Note("identity %q is removed", name)
			return nil
		},
	}
}

func keysExportCommand() *cli.Command {
	flags := append(identityFlags(), accountFlags()...)
	return &cli.Command{
		Name:  "export",
		Usage: "write an identity's private keys to a file",
		Description: "For another program or another machine. In format otrpipe the file has all keys, and a protected identity stays protected.\n" +
			"Libotr knows only the key of versions 2 and 3, and has no protection: with\n" +
			"--format libotr whoever reads the file has the key.\n\n" +
			"  otrpipe keys export --format otrpipe -o copy\n" +
			"  otrpipe keys export --format libotr --account me -o otr.private_key",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.StringFlag{Name: flagFormat, Usage: "`FORMAT` libotr or otrpipe"},
			&cli.StringFlag{Name: flagOutput, Aliases: []string{"o"}, Usage: "write to `FILE`", DefaultText: "standard output"},
			&cli.StringFlag{Name: flagInstanceTags, Usage: "with --format libotr, write the instance tag to `FILE`"},
			forceFlag(),
		)...),
		Action: func(c *cli.Context) error {
			if err := noArguments(c); err != nil {
				return err
			}
			if c.String(flagOutput) == "" && terminal.Is(ioOf(c).Out) {
				return exit.Errorf(exit.Usage, "private keys are not shown on a terminal").
					WithHint("-o FILE writes them to a file; -o - shows them all the same")
			}
			switch format := c.String(flagFormat); format {
			case keyfile.FormatLibotr:
				return exportLibotr(c)
			case keyfile.FormatOTRPipe:
				for _, name := range []string{flagAccount, flagProtocol, flagInstanceTags, flagIdentityFile} {
					if c.IsSet(name) {
						return exit.Errorf(exit.Usage, "--%s needs --format libotr", name)
					}
				}
				return exportOTRPipe(c)
			case "":
				return exit.Errorf(exit.Usage, "%s needs --format libotr or --format otrpipe", c.Command.HelpName)
			default:
				return unknownFormat(format)
			}
		},
	}
}

func unknownFormat(format string) error {
	return exit.Errorf(exit.Usage, "--format: %q is neither libotr nor otrpipe", format)
}

func forceFlag() cli.Flag {
	return &cli.BoolFlag{Name: flagForce, Category: groupFile, Usage: "replace a file that is there already", DisableDefaultText: true}
}

// exportOTRPipe copies the private key file, which needs no passphrase.
func exportOTRPipe(c *cli.Context) error {
	name, err := identityName(c)
	if err != nil {
		return err
	}
	file, err := openHome(c).PrivateFile(name)
	if err != nil {
		return identityError(err, name)
	}
	defer clear(file)
	return writeOutput(c, c.String(flagOutput), file)
}

func exportLibotr(c *cli.Context) error {
	id, err := openIdentity(c)
	if err != nil {
		return err
	}
	defer id.Wipe()
	account := exportAccount(c, id.Name)
	text := keyfile.AppendLibotrKeys(nil, keyfile.LibotrKey{Account: account, Key: id.DSA})
	defer clear(text)
	if tagsFile := c.String(flagInstanceTags); tagsFile != "" {
		if id.InstanceTag == 0 {
			return exit.Errorf(exit.KeyFile, "%s has no instance tag", c.String(flagIdentityFile))
		}
		tags, err := keyfile.AppendLibotrTags(nil, keyfile.LibotrTag{Account: account, Tag: id.InstanceTag})
		if err != nil {
			return exit.Key(err)
		}
		if err := writeOutput(c, tagsFile, tags); err != nil {
			return err
		}
	}
	if err := writeOutput(c, c.String(flagOutput), text); err != nil {
		return err
	}
	if id.Ed448 != nil {
		ioOf(c).Note("left out the keys of version 4, which libotr does not know")
	}
	ioOf(c).Warn("the exported key is not protected: libotr's files have no passphrase")
	return nil
}

// exportAccount is the account that a file for libotr is about; other is its
// name where no flag says it. What was not said is told.
func exportAccount(c *cli.Context, other string) keyfile.Account {
	account := accountOf(c)
	if account.Name == "" {
		account.Name = other
	}
	if account.Protocol == "" {
		account.Protocol = defaultProtocol
	}
	if account != accountOf(c) {
		ioOf(c).Note("exported for account %v; others with --account and --protocol", account)
	}
	return account
}

// writeOutput writes a file that the user has named, or standard output.
func writeOutput(c *cli.Context, path string, data []byte) error {
	if path == "" || path == "-" {
		_, err := output(c).Write(data)
		return err
	}
	err := keyfile.WriteFile(path, data, c.Bool(flagForce))
	if errors.Is(err, keyfile.ErrExists) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("replace it with --force")
	}
	return exit.Key(err)
}

func keysImportCommand() *cli.Command {
	flags := append([]cli.Flag{identityFlag(), protectFlag(), keepForgingFlag(), jsonFlag()}, passphraseFlags()...)
	flags = append(flags, accountFlags()...)
	return &cli.Command{
		Name:      "import",
		Usage:     "take over an identity from a file of libotr's or our own",
		ArgsUsage: "FILE",
		Description: "Libotr's is otr.private_key in Pidgin, otr.key in irssi. The\n" +
			"identity is called by -i, else by the account's name. One that is protected\n" +
			"stays so; --protect or a passphrase flag protects one of libotr's, which gets new\n" +
			"keys of version 4 too.\n\n" +
			"  otrpipe keys import copy\n" +
			"  otrpipe keys import ~/.purple/otr.private_key --account me@example.org -i me",
		Flags: append(flags, cmdline.In(groupFile,
			&cli.StringFlag{Name: flagFormat, Usage: "refuse a FILE of another `FORMAT` than this: libotr or otrpipe", DefaultText: "either"},
			&cli.StringFlag{Name: flagInstanceTags, Usage: "take the account's instance tag from libotr's `FILE`"},
		)...),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return exit.Errorf(exit.Usage, "%s takes one file", c.Command.HelpName)
			}
			switch format := c.String(flagFormat); format {
			case "", keyfile.FormatLibotr, keyfile.FormatOTRPipe:
			default:
				return unknownFormat(format)
			}
			return keysImport(c, c.Args().First())
		},
	}
}

func keysImport(c *cli.Context, path string) error {
	file, public, err := readArgument(c, path, keyfile.MaxKeyFile)
	if err != nil {
		return err
	}
	defer clear(file)
	source := passphraseOf(c)
	// The passphrase that opened the file protects the identity too.
	var passphrase []byte
	defer func() { clear(passphrase) }()
	id, format, err := keyfile.ReadIdentity(file, path, accountOf(c), func(prompt string) ([]byte, error) {
		secret, err := source.opening(prompt)
		passphrase = bytes.Clone(secret)
		return secret, err
	})
	if errors.Is(err, keyfile.ErrFormat) {
		return exit.Errorf(exit.KeyFile, "%w", exit.Plain(err)).WithHint("what can be imported: what otrpipe keys export writes, and libotr's otr.private_key")
	} else if err != nil {
		return exit.Key(err)
	}
	defer id.Wipe()
	if public {
		ioOf(c).Warn("%s can be read by others: whoever has read it has the key", path)
	}
	if want := c.String(flagFormat); want != "" && want != format {
		return exit.Errorf(exit.KeyFile, "%s is a file of %s, not of %s", path, format, want)
	}
	if format != keyfile.FormatLibotr && c.Bool(flagKeepForging) {
		return exit.Errorf(exit.Usage, "--%s: %s is a file of %s, for which no keys are made", flagKeepForging, path, format)
	}
	if err := adoptTag(c, id); err != nil {
		return err
	}
	if name, given := chosenIdentity(c); given {
		id.Name = name
	}
	if err := openHome(c).Vacant(id.Name); errors.Is(err, keyfile.ErrName) {
		return exit.Errorf(exit.Usage, "%w", exit.Plain(err)).WithHint("choose another name with -i")
	} else if err != nil {
		return createError(err)
	}
	if !id.Protected {
		if passphrase, err = source.protecting(fmt.Sprintf("passphrase for identity %q", id.Name)); err != nil {
			return err
		}
	}
	if format == keyfile.FormatLibotr {
		if err := id.AddVersion4(rand.Reader, c.Bool(flagKeepForging)); err != nil {
			return exit.Key(err)
		}
	}
	if err := createIdentity(c, id, passphrase); err != nil {
		return err
	}
	switch {
	case format == keyfile.FormatLibotr:
		ioOf(c).Note("made keys of version 4, of which libotr's file has none")
	case id.Ed448 == nil:
		ioOf(c).Note("identity %q has no keys of version 4", id.Name)
		ioOf(c).Advise("make them: %s", upgradeCommand(id.Name))
	}
	return nil
}

// adoptTag gives an imported identity its instance tag: the one of --instance-tags,
// else its own, else a new one.
func adoptTag(c *cli.Context, id *keyfile.Identity) error {
	if path := c.String(flagInstanceTags); path != "" {
		file, _, err := readArgument(c, path, keyfile.MaxLibotrList)
		if err != nil {
			return err
		}
		want := keyfile.Account{Name: id.Name, Protocol: c.String(flagProtocol)}
		if id.InstanceTag, err = keyfile.ChooseTag(keyfile.ParseLibotrTags(file), path, want); err != nil {
			return exit.Key(err)
		}
	}
	if id.InstanceTag != 0 {
		return nil
	}
	var err error
	id.InstanceTag, err = keyfile.NewInstanceTag(rand.Reader)
	return exit.Key(err)
}

// readArgument reads a file that an argument names; "-" is standard input.
// Public tells whether others can read it.
func readArgument(c *cli.Context, path string, limit int) (b []byte, public bool, err error) {
	if path == "-" {
		path = "/dev/stdin"
	}
	b, public, err = keyfile.ReadOutside(path, limit)
	return b, public, exit.Key(err)
}
