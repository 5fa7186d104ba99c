package commands

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/mdp/qrterminal/v3"
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

const flagQR = "qr"

func fingerprintCommand() *cli.Command {
	return &cli.Command{
		Name:  "fingerprint",
		Usage: "print an identity's or a contact's fingerprints",
		Description: "Read them to the other end, in person or on the telephone. No passphrase is needed.\n\n" +
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
			if err := noArguments(c); err != nil {
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
	public, err := publicIdentity(c)
	if err != nil {
		return err
	}
	fps := ofVersion(c, public.Keys)
	if len(fps) == 0 {
		return noVersion(c, public.Name, c.Int(flagOTR))
	}
	if c.Bool(flagJSON) {
		return printJSON(c, answerIdentity(public, fps))
	}
	return printFingerprints(c, fps)
}

func contactFingerprints(c *cli.Context) error {
	contact, err := contactNamed(c, c.String(flagContact))
	if err != nil {
		return err
	}
	var fps []keys.Fingerprint
	for _, key := range contact.Keys {
		fps = append(fps, key.Fingerprint)
	}
	fps = ofVersion(c, fps)
	if len(fps) == 0 {
		return exit.Errorf(exit.KeyFile, "contact %q has no key for OTR version %d", contact.Name, c.Int(flagOTR))
	}
	if c.Bool(flagJSON) {
		contact.Keys = slices.DeleteFunc(contact.Keys, func(key keyfile.ContactKey) bool {
			return !slices.Contains(fps, key.Fingerprint)
		})
		return printJSON(c, answerContact(contact))
	}
	return printFingerprints(c, fps)
}

// ofVersion keeps the keys that --otr asks for.
func ofVersion(c *cli.Context, fps []keys.Fingerprint) []keys.Fingerprint {
	if !c.IsSet(flagOTR) {
		return fps
	}
	return slices.DeleteFunc(slices.Clone(fps), func(fp keys.Fingerprint) bool { return fp.OTR() != c.Int(flagOTR) })
}

func printFingerprints(c *cli.Context, fps []keys.Fingerprint) error {
	for _, fp := range fps {
		var err error
		if c.IsSet(flagOTR) {
			_, err = fmt.Fprintln(output(c), fp)
		} else {
			err = printFingerprint(c, fp)
		}
		if err == nil && c.Bool(flagQR) {
			_, err = output(c).Write(qrCode(qrText(fp), terminal.Colour(ioOf(c).Out)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// qrText is what a fingerprint's QR code says; see options.QRPrefix.
func qrText(fp keys.Fingerprint) string {
	return fmt.Sprintf("%s%d:%s", options.QRPrefix, fp.OTR(), fp.Hex())
}

// qrCode draws a QR code with half blocks, two rows a line. Without colour it is
// made for light text on a dark ground; with colour it brings its own.
func qrCode(text string, colour bool) []byte {
	var drawn bytes.Buffer
	qrterminal.GenerateWithConfig(text, qrterminal.Config{
		Level:      qrterminal.M,
		Writer:     &drawn,
		HalfBlocks: true,
		QuietZone:  qrterminal.QUIET_ZONE,
	})
	if !colour {
		return drawn.Bytes()
	}
	const whiteOnBlack, normal = "\x1b[97;40m", "\x1b[0m"
	var b []byte
	for line := range bytes.Lines(drawn.Bytes()) {
		b = append(b, whiteOnBlack...)
		b = append(b, bytes.TrimSuffix(line, []byte("\n"))...)
		b = append(b, normal+"\n"...)
	}
	return b
}
