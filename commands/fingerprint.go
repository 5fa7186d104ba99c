package commands

import (
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/contacts"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/commands/internal/identities"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

const flagQR = "qr"

func fingerprintCommand() *cli.Command {
	return &cli.Command{
		Name:  "fingerprint",
		Usage: "print an identity's or a contact's fingerprints",
		Description: "Read them to the other end, in person or on the telephone. A passphrase is needed only for a protected identity in --identity-file.\n\n" +
			"  otrpipe fingerprint\n" +
			"  otrpipe fingerprint --contact bob --otr 4 --qr",
		Flags: slices.Concat(identityFlags(), cmdline.In(groupPeer,
			&cli.StringFlag{Name: flagContact, Usage: "the fingerprints of contact `NAME`, not ours"},
		), cmdline.In(groupAnswer,
			&cli.IntFlag{Name: flagOTR, Usage: "only the key for `VERSION` 3 or 4 of OTR, without a label", DefaultText: "both"},
			jsonFlag(),
			&cli.BoolFlag{Name: flagQR, Usage: "draw a QR code too", DisableDefaultText: true},
		)),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "--contact"); err != nil {
				return err
			}
			if c.Bool(flagJSON) && c.Bool(flagQR) {
				return exit.Errorf(exit.Usage, "--json and --qr contradict each other")
			}
			if v := c.Int(flagOTR); c.IsSet(flagOTR) && v != 3 && v != 4 {
				return exit.Errorf(exit.Usage, "--otr: a key is for version 3 or 4, not %d", v)
			}
			if c.IsSet(flagContact) {
				return contactFingerprints(c)
			}
			return ownFingerprints(c)
		},
	}
}

func ownFingerprints(c *cli.Context) error {
	choice := identityOf(c)
	public, err := choice.Public()
	if err != nil {
		return err
	}
	public.Keys = slices.DeleteFunc(public.Keys, otherVersion(c))
	if len(public.Keys) == 0 {
		return choice.NoVersion(public.Name, c.Int(flagOTR))
	}
	return answerFingerprints(c, identities.Describe(public), public.Keys)
}

func contactFingerprints(c *cli.Context) error {
	contact, err := contactsOf(c).Find(c.String(flagContact))
	if err != nil {
		return err
	}
	other := otherVersion(c)
	contact.Keys = slices.DeleteFunc(contact.Keys, func(key keyfile.ContactKey) bool { return other(key.Fingerprint) })
	if len(contact.Keys) == 0 {
		return exit.Errorf(exit.KeyFile, "contact %q has no key for OTR version %d", contact.Name, c.Int(flagOTR)).
			WithHint("without --%s every key of a contact is shown", flagOTR)
	}
	var fps []keys.Fingerprint
	for _, key := range contact.Keys {
		fps = append(fps, key.Fingerprint)
	}
	return answerFingerprints(c, contacts.Describe(contact), fps)
}

// otherVersion reports whether a key is for a different version than --otr asks for.
func otherVersion(c *cli.Context) func(keys.Fingerprint) bool {
	return func(fp keys.Fingerprint) bool { return c.IsSet(flagOTR) && fp.OTR() != c.Int(flagOTR) }
}

// answerFingerprints prints the fingerprints of keys, which the document describes too.
func answerFingerprints(c *cli.Context, d document, fps []keys.Fingerprint) error {
	if c.Bool(flagJSON) {
		return answer(c, d)
	}
	for _, fp := range fps {
		text := fingerprint.Line(fp) + "\n"
		switch atTerminal := terminal.Is(ioOf(c).Out); {
		case c.IsSet(flagOTR) && atTerminal:
			text = strings.Join(fingerprint.Rows(fp), "\n") + "\n"
		case c.IsSet(flagOTR):
			text = fp.String() + "\n"
		case atTerminal:
			text = fingerprint.Block(fp, "", "")
		}
		if _, err := io.WriteString(output(c), text); err != nil {
			return err
		}
		if c.Bool(flagQR) {
			if _, err := output(c).Write(fingerprint.QR(fp, terminal.Colour(ioOf(c).Out), terminal.HasBlocks(ioOf(c).Out))); err != nil {
				return err
			}
		}
	}
	return nil
}
