package commands

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/offline"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
)

// The flags of encrypt-stream and decrypt-stream for somebody who is away.
const (
	flagTo         = "to"
	flagToInstance = "instance"
	flagReplyTo    = "reply-to"
	flagLast       = "last"
	flagOffline    = "offline"
)

func encryptOfflineFlags() []cli.Flag {
	return cmdline.In(groupOffline,
		&cli.StringFlag{Name: flagTo, Usage: "encrypt to one of the ensembles in `FILE`, with no answer needed"},
		&cli.StringFlag{Name: flagToInstance, Usage: "with --to, the instance `TAG` of the recipient, where FILE has several"},
		&cli.StringFlag{Name: flagReplyTo, Usage: "encrypt in the kept `SESSION`, named by its id or contact"},
		&cli.BoolFlag{Name: flagLast, Usage: "end the session with this message: no reply is possible", DisableDefaultText: true},
	)
}

func decryptOfflineFlags() []cli.Flag {
	return cmdline.In(groupOffline,
		&cli.BoolFlag{Name: flagOffline, Usage: "read a message made with --to or --reply-to; a regular file is recognized without it", DisableDefaultText: true},
	)
}

// runsOffline are the stream flags that mean something without a live session.
var runsOffline = map[string]bool{
	flagContact: true, flagTrust: true, flagExpect: true, flagAccount: true, flagPeerAccount: true,
	flagMode: true, flagMaxSize: true, flagRaw: true, flagTimeout: true, flagEvents: true,
}

// encryptStream is encrypt-stream, for somebody who is away or as a half.
func encryptStream(c *cli.Context) error {
	if !c.IsSet(flagTo) && !c.IsSet(flagReplyTo) {
		for _, name := range []string{flagToInstance, flagLast} {
			if c.IsSet(name) {
				return exit.Errorf(exit.Usage, "--%s needs --to or --reply-to", name)
			}
		}
		return runHalf(c, halves.Encrypt)
	}
	if err := noArguments(c); err != nil {
		return err
	}
	if c.IsSet(flagTo) && c.IsSet(flagReplyTo) {
		return exit.Errorf(exit.Usage, "--to and --reply-to contradict each other")
	}
	instance, err := toInstance(c)
	if err != nil {
		return err
	}
	if c.IsSet(flagReplyTo) {
		if instance != 0 {
			return exit.Errorf(exit.Usage, "--instance needs --to")
		}
		config, err := offlineConfig(c)
		if err != nil {
			return err
		}
		defer config.Identity.Wipe()
		defer config.Log.Close()
		return config.Reply(c.String(flagReplyTo))
	}
	path := c.String(flagTo)
	file, _, err := readArgument(c, path, offline.MaxEnsembleFile)
	if err != nil {
		return err
	}
	config, err := offlineConfig(c)
	if err != nil {
		return err
	}
	defer config.Identity.Wipe()
	defer config.Log.Close()
	return config.Send(file, path, instance)
}

// toInstance reads an instance tag as it is printed: eight hexadecimal digits.
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

// decryptStream is decrypt-stream, of a message that was written to somebody who was away or
// as a half.
func decryptStream(c *cli.Context) error {
	if !c.Bool(flagOffline) && !offline.IsMessage(ioOf(c).In) {
		return runHalf(c, halves.Decrypt)
	}
	if err := noArguments(c); err != nil {
		return err
	}
	config, err := offlineConfig(c)
	if err != nil {
		return err
	}
	defer config.Identity.Wipe()
	defer config.Log.Close()
	return config.Receive()
}

// offlineConfig is what the flags say to those who run offline. The caller wipes the
// identity and closes the log.
func offlineConfig(c *cli.Context) (*offline.Config, error) {
	given, err := options.Read(c)
	if err != nil {
		return nil, err
	}
	for _, f := range streamFlags(options.Halves) {
		if name := f.Names()[0]; c.IsSet(name) && !runsOffline[name] {
			return nil, exit.Errorf(exit.Usage, "--%s needs a live session, and nobody answers offline", name)
		}
	}
	o, err := given.Options(nil)
	if err != nil {
		return nil, err
	}
	id, err := offlineIdentity(c)
	if err != nil {
		return nil, err
	}
	config := &offline.Config{
		IO: ioOf(c), Home: openHome(c), Identity: id,
		Account: o.Account, PeerAccount: o.PeerAccount,
		Texts: o.Mode == options.ModeLines, MaxSize: o.MaxSize, Raw: o.Raw, Timeout: o.Timeout,
		Last: c.Bool(flagLast),
	}
	config.Trust = trust.Config{Home: config.Home, Contact: o.Contact, Level: trust.Level(o.Trust), Expect: o.Expect, Speaks4: true}
	if c.IsSet(flagEvents) {
		file, err := events.Open(c.String(flagEvents))
		if err != nil {
			id.Wipe()
			return nil, err
		}
		config.Log = events.NewLog(file, flagOffline, ioOf(c).Report)
	}
	return config, nil
}

// offlineIdentity opens the identity that prekeys and sessions are kept with.
func offlineIdentity(c *cli.Context) (*keyfile.Identity, error) {
	if c.IsSet(flagIdentityFile) {
		return nil, exit.Errorf(exit.Usage, "--identity-file: what is kept of offline messages belongs to an identity of the home").
			WithHint("otrpipe keys import %s, then use that identity with -i", exit.ShellWord(c.String(flagIdentityFile)))
	}
	id, err := openIdentity(c)
	if err != nil {
		return nil, err
	}
	if id.Ed448 == nil {
		name := id.Name
		id.Wipe()
		return nil, noVersion(c, name, 4)
	}
	return id, nil
}
