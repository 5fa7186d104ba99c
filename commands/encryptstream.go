package commands

import (
	"slices"
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/files"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/options"
)

const (
	flagTo         = "to"
	flagToInstance = "instance"
	flagReplyTo    = "reply-to"
	flagLast       = "last"
)

func encryptStreamCommand() *cli.Command {
	return &cli.Command{
		Name:  halves.Encrypt,
		Usage: "plaintext in, OTR lines out: one half of an end",
		Description: "Reads plaintext on standard input and writes lines of OTR on standard output. OTR\n" +
			"needs both directions: otrpipe decrypt-stream is the other half of the same end.\n" +
			"They find each other by the session's name, and may start in either order.\n\n" +
			"  otrpipe encrypt-stream | nc -N -l 9000 | otrpipe decrypt-stream\n" +
			"  otrpipe encrypt-stream -s work --contact bob < file > there\n\n" +
			"With --to, the message is for somebody who is away and reads it later; no answer is\n" +
			"needed.\n\n" +
			"  otrpipe encrypt-stream --to ensembles --contact bob < file > message",
		Flags: slices.Concat(identityFlags(), cmdline.In(groupOffline,
			&cli.StringFlag{Name: flagTo, Usage: "encrypt to one of the ensembles in `FILE`, with no answer needed"},
			&cli.StringFlag{Name: flagToInstance, Usage: "with --to, the instance `TAG` of the recipient, where FILE has several"},
			&cli.StringFlag{Name: flagReplyTo, Usage: "encrypt in the kept `SESSION`, named by its id or contact"},
			&cli.BoolFlag{Name: flagLast, Usage: "end the session with this message: no reply is possible", DisableDefaultText: true},
		), streamFlags(options.Halves)),
		Action: encryptStream,
	}
}

// encryptStream encrypts for a contact who is away, or runs as a half.
func encryptStream(c *cli.Context) error {
	switch {
	case c.IsSet(flagTo) || c.IsSet(flagReplyTo):
		return encryptOffline(c)
	case c.IsSet(flagToInstance):
		return exit.Errorf(exit.Usage, "--%s needs --to or --reply-to", flagToInstance)
	case c.IsSet(flagLast):
		return exit.Errorf(exit.Usage, "--%s needs --to or --reply-to", flagLast)
	}
	return runHalf(c, halves.Encrypt)
}

func encryptOffline(c *cli.Context) error {
	if err := noArguments(c, "<"); err != nil {
		return err
	}
	if c.IsSet(flagTo) && c.IsSet(flagReplyTo) {
		return exit.Errorf(exit.Usage, "--to and --reply-to contradict each other")
	}
	instance, err := toInstance(c)
	if err != nil {
		return err
	}
	if c.IsSet(flagReplyTo) && instance != 0 {
		return exit.Errorf(exit.Usage, "--instance needs --to")
	}
	if c.String(flagTo) == "-" {
		return exit.Errorf(exit.Usage, "--to -: standard input is the plaintext, so it cannot be the ensembles too").
			WithHint("put the ensembles into a file")
	}
	var ensembles []byte
	if c.IsSet(flagTo) {
		if ensembles, _, err = files.Read(c.String(flagTo), offline.MaxEnsembleFile); err != nil {
			return err
		}
	}
	config, err := offlineConfig(c)
	if err != nil {
		return err
	}
	defer config.Close()
	config.Last = c.Bool(flagLast)
	if c.IsSet(flagReplyTo) {
		return config.Reply(c.String(flagReplyTo))
	}
	return config.Send(ensembles, c.String(flagTo), instance)
}

// toInstance reads an instance tag in its printed form, eight hexadecimal digits. It returns 0
// if none is given.
func toInstance(c *cli.Context) (uint32, error) {
	if !c.IsSet(flagToInstance) {
		return 0, nil
	}
	tag, err := strconv.ParseUint(c.String(flagToInstance), 16, 32)
	if err != nil || tag < 0x100 {
		return 0, exit.Errorf(exit.Usage, "--instance: %q is not an instance tag", c.String(flagToInstance))
	}
	return uint32(tag), nil
}
