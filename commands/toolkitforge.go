package commands

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/wire"
)

const (
	flagAs       = "as"
	flagProfile  = "profile"
	flagPeerFrom = "peer-begins"
	flagAway     = "away"

	// awayName is the name of the peer in a forged log where the script does not name it.
	awayName = "the peer"

	// maxScript bounds the script of a forged conversation.
	maxScript = 64 << 20
)

func toolkitForgeCommand() *cli.Command {
	return &cli.Command{
		Name:      "forge",
		Usage:     "make a conversation that never happened",
		ArgsUsage: "[SCRIPT]",
		Description: "SCRIPT, a file or standard input, has lines of the form NAME: TEXT, of two people. What is\n" +
			"printed is a whole transcript: key exchange, messages, revealed MAC keys, end. In version 4 it\n" +
			"passes every check, and nobody can tell which of the two made it. In version 3 the peer's\n" +
			"signature in the key exchange cannot be forged; only someone who has a secret of the exchange\n" +
			"can see that.\n\n" +
			"  otrpipe toolkit forge --as alice --profile log script > forged\n" +
			"  otrpipe toolkit forge --as alice --otr 3 script > forged",
		Flags: append(cmdline.In(groupAnswer,
			&cli.StringFlag{Name: flagAs, Usage: "we are `NAME` in the script"},
			&cli.StringFlag{Name: flagProfile, Usage: "take the peer's client profile from a message in `FILE`, a log (version 4)"},
			&cli.BoolFlag{Name: flagPeerFrom, Usage: "let the peer begin the key exchange", DisableDefaultText: true},
			&cli.BoolFlag{Name: flagAway, Usage: "forge messages to somebody who is away: to the peer of whom --profile has a prekey ensemble, or, if the peer speaks first, to us", DisableDefaultText: true},
			&cli.IntFlag{Name: flagOTR, Usage: "forge a conversation of `VERSION` 3 or 4", DefaultText: "4"},
		), identityFlags()...),
		Action: forgeConversation,
	}
}

func forgeConversation(c *cli.Context) error {
	version := 4
	if c.IsSet(flagOTR) {
		version = c.Int(flagOTR)
	}
	switch {
	case c.NArg() > 1:
		return exit.Errorf(exit.Usage, "%s takes one SCRIPT", c.Command.HelpName)
	case c.String(flagAs) == "":
		return exit.Errorf(exit.Usage, "%s needs --%s NAME: who we are in the script", c.Command.HelpName, flagAs)
	case version != 3 && version != 4:
		return exit.Errorf(exit.Usage, "--otr: conversations of versions 3 and 4 can be forged, not of %d", version)
	case version == 4 && c.String(flagProfile) == "":
		return exit.Errorf(exit.Usage, "%s needs --%s FILE: a log with a message of the peer's key exchange", c.Command.HelpName, flagProfile)
	case version == 3 && c.Bool(flagAway):
		return exit.Errorf(exit.Usage, "--%s is for version 4: version 3 has no messages to people who are away", flagAway)
	case c.Bool(flagAway) && c.Bool(flagPeerFrom):
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other: the script's first text says who writes", flagAway, flagPeerFrom)
	case version == 3 && c.IsSet(flagProfile):
		return exit.Errorf(exit.Usage, "--%s is for version 4: nothing of the peer's is needed in version 3", flagProfile)
	}
	script, err := readScript(c)
	if err != nil {
		return err
	}
	id, err := identityOf(c).Open()
	if err != nil {
		return err
	}
	defer id.Wipe()
	f := &toolkit.Forger{
		InstanceTag: id.InstanceTag, Identity: id.Ed448, Forging: id.Forging, DSA: id.DSA,
		Rand: rand.Reader, Now: time.Now, Begin: !c.Bool(flagPeerFrom),
	}
	var sent []toolkit.SentMessage
	if version == 4 {
		sent, err = forge4(c, f, id, script)
	} else {
		sent, err = forge3(f, id, script)
	}
	if err != nil {
		return err
	}
	out := bufio.NewWriter(output(c))
	for _, m := range sent {
		name := script.Them
		if m.Ours {
			name = script.Us
		}
		fmt.Fprintf(out, "%s: %s\n", name, m.Line)
	}
	if err := out.Flush(); err != nil {
		return err
	}
	tellForged(c, version, script)
	return nil
}

// tellForged says what has been made.
func tellForged(c *cli.Context, version int, s *toolkit.Script) {
	io := ioOf(c)
	io.Warn("this conversation never happened: both sides were made here")
	if version == 4 {
		io.Advise("every check passes, and nobody can tell whether %s or %s made it", s.Us, s.Them)
		return
	}
	io.Advise("the signature of %s in the key exchange is by a key that was thrown away; it is encrypted, so only someone with a secret of the exchange can see that", s.Them)
}

func readScript(c *cli.Context) (*toolkit.Script, error) {
	in := c.App.Reader
	if name := c.Args().First(); name != "" && name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, exit.Errorf(exit.Failure, "%w", err)
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxScript+1))
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "reading the script: %w", err)
	}
	if len(b) > maxScript {
		return nil, exit.Errorf(exit.Failure, "the script is longer than %d bytes", maxScript)
	}
	s, err := toolkit.ParseScript(string(b), c.String(flagAs))
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err)).
			WithHint("a script has lines such as %s: hello", exit.ShellWord(c.String(flagAs)))
	}
	if c.Bool(flagAway) && s.Them == "" {
		s.Them = awayName
	}
	return s, nil
}

func forge4(c *cli.Context, f *toolkit.Forger, id *keyfile.Identity, s *toolkit.Script) ([]toolkit.SentMessage, error) {
	if id.Ed448 == nil {
		return nil, exit.Errorf(exit.KeyFile, "the identity has no key for OTR version 4")
	}
	var err error
	if c.Bool(flagAway) {
		f.DSA = nil // messages to people who are away have a profile of version 4 alone
	} else if f.Profile, err = shownProfile(c, id); err != nil {
		return nil, err
	}
	name := c.String(flagProfile)
	log, err := os.Open(name)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "--%s: %w", flagProfile, err)
	}
	defer log.Close()
	if c.Bool(flagAway) && s.Lines[0].Ours {
		peer, err := toolkit.FindEnsemble(log, id.Ed448.Public())
		if err != nil {
			return nil, exit.Errorf(exit.Failure, "%s: %w", name, exit.Plain(err)).
				WithHint("it needs a prekey ensemble of the peer, and of nobody else but us")
		}
		sent, err := f.ForgeToEnsemble(s, peer)
		if err != nil {
			return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err))
		}
		return sent, nil
	}
	peer, err := toolkit.FindProfile(log, id.Ed448.Public())
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%s: %w", name, exit.Plain(err)).
			WithHint("it needs an Identity or Auth-R message of the peer, and of nobody else but us")
	}
	forge := f.Forge4
	if c.Bool(flagAway) {
		forge = f.ForgeFromProfile
	}
	sent, err := forge(s, peer)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	return sent, nil
}

// shownProfile returns the client profile that our sessions show. A forgery with one of its
// own would tell who made it.
func shownProfile(c *cli.Context, id *keyfile.Identity) ([]byte, error) {
	if c.IsSet(flagIdentityFile) {
		return nil, nil // no home keeps one
	}
	profile, err := openHome(c).ClientProfile(id, wire.MakeVersions(3, 4), func(kept []byte) ([]byte, error) {
		return otr.ClientProfile(otr.Config{
			DSA: id.DSA, Ed448: id.Ed448, Forging: id.Forging, InstanceTag: id.InstanceTag,
			Policy: otr.AllowV3 | otr.AllowV4, Rand: rand.Reader, Now: time.Now, ClientProfile: kept,
		})
	})
	if err != nil {
		return nil, exit.Key(err)
	}
	return profile, nil
}

func forge3(f *toolkit.Forger, id *keyfile.Identity, s *toolkit.Script) ([]toolkit.SentMessage, error) {
	if id.DSA == nil {
		return nil, exit.Errorf(exit.KeyFile, "the identity has no key for OTR version 3")
	}
	tag, err := keyfile.NewInstanceTag(rand.Reader)
	if err != nil {
		return nil, err
	}
	sent, err := f.Forge3(s, tag)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err))
	}
	return sent, nil
}
