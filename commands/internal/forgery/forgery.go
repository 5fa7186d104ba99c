// Package forgery makes a whole conversation that never took place, from a script and the keys
// of one of the two people.
package forgery

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/toolkit"
	"otrpipe/otr/wire"
)

const (
	// awayName is the peer's name in the log if the script does not name them.
	awayName = "the peer"
	// maxScript bounds a script, in bytes.
	maxScript = 64 << 20
)

// A Config describes the conversation to forge.
type Config struct {
	IO         *terminal.IO
	Version    int       // 3 or 4
	Script     io.Reader // lines of the form NAME: TEXT
	As         string    // our name in the script
	PeerBegins bool      // the peer begins the key exchange
	// Away, in version 4, forges messages to someone who is away: the peer or, if the peer
	// speaks first, us.
	Away bool
	// Log, in version 4, is the name of a log that contains the peer's client profile or prekey
	// ensemble.
	Log string
	// Open opens our identity, once the script has been read.
	Open func() (*keyfile.Identity, error)
	// Home keeps our client profile; nil: the profile is not kept.
	Home *keyfile.Home
}

// Forge writes the conversation to w.
func Forge(cfg Config, w io.Writer) error {
	script, err := cfg.readScript()
	if err != nil {
		return err
	}
	id, err := cfg.Open()
	if err != nil {
		return err
	}
	defer id.Wipe()
	f := &toolkit.Forger{
		InstanceTag: id.InstanceTag, Identity: id.Ed448, Forging: id.Forging, DSA: id.DSA,
		Rand: rand.Reader, Now: time.Now, Begin: !cfg.PeerBegins,
	}
	forge := cfg.forge3
	if cfg.Version == 4 {
		forge = cfg.forge4
	}
	sent, err := forge(f, id, script)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(w)
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
	cfg.tell(script)
	return nil
}

// tell explains how the forgery might be distinguished from a real conversation.
func (cfg Config) tell(s *toolkit.Script) {
	cfg.IO.Warn("this conversation never happened: both sides were made here")
	if cfg.Version == 4 {
		cfg.IO.Advise("every check passes, and nobody can tell whether %s or %s made it", s.Us, s.Them)
		return
	}
	cfg.IO.Advise("the signature of %s in the key exchange is by a key that was thrown away; it is encrypted, so only someone with a secret of the exchange can see that", s.Them)
}

func (cfg Config) readScript() (*toolkit.Script, error) {
	b, err := io.ReadAll(io.LimitReader(cfg.Script, maxScript+1))
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "reading the script: %w", err)
	}
	if len(b) > maxScript {
		return nil, exit.Errorf(exit.Failure, "the script is longer than %d bytes", maxScript)
	}
	s, err := toolkit.ParseScript(string(b), cfg.As)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "%w", exit.Plain(err)).
			WithHint("a script has lines such as %s: hello", exit.ShellWord(cfg.As))
	}
	if cfg.Away && s.Them == "" {
		s.Them = awayName
	}
	return s, nil
}

func (cfg Config) forge3(f *toolkit.Forger, id *keyfile.Identity, s *toolkit.Script) ([]toolkit.SentMessage, error) {
	if id.DSA == nil {
		return nil, exit.Errorf(exit.KeyFile, "the identity has no key for OTR version 3")
	}
	tag, err := keyfile.NewInstanceTag(rand.Reader)
	if err != nil {
		return nil, err
	}
	sent, err := f.Forge3(s, tag)
	return sent, exit.Failed(err)
}

func (cfg Config) forge4(f *toolkit.Forger, id *keyfile.Identity, s *toolkit.Script) ([]toolkit.SentMessage, error) {
	if id.Ed448 == nil {
		return nil, exit.Errorf(exit.KeyFile, "the identity has no key for OTR version 4").
			WithHint("--otr 3 forges a conversation of version 3; otrpipe keys upgrade makes keys of version 4")
	}
	if cfg.Away {
		f.DSA = nil // messages to people who are away use profiles of version 4 only
	}
	log, err := os.Open(cfg.Log)
	if err != nil {
		return nil, exit.Errorf(exit.Failure, "--profile: %w", exit.Plain(err))
	}
	defer log.Close()
	if cfg.Away && s.Lines[0].Ours {
		peer, err := toolkit.FindEnsemble(log, id.Ed448.Public())
		if err != nil {
			return nil, cfg.notFound(err, "it needs a prekey ensemble of the peer, and of nobody else but us")
		}
		sent, err := f.ForgeToEnsemble(s, peer)
		return sent, exit.Failed(err)
	}
	peer, ours, err := toolkit.FindProfiles(log, id.Ed448.Public())
	if err != nil {
		return nil, cfg.notFound(err, "it needs an Identity or Auth-R message of the peer, and of nobody else but us")
	}
	if cfg.Away {
		sent, err := f.ForgeFromProfile(s, peer)
		return sent, exit.Failed(err)
	}
	if ours != nil {
		f.Profile = ours.Append(nil)
	} else if f.Profile, err = cfg.shownProfile(id); err != nil {
		return nil, err
	}
	sent, err := f.Forge4(s, peer)
	return sent, exit.Failed(err)
}

// notFound returns the error for a log that lacks a required part.
func (cfg Config) notFound(err error, needs string) error {
	return exit.Errorf(exit.Failure, "%s: %w", cfg.Log, exit.Plain(err)).WithHint("%s", needs)
}

// shownProfile returns the client profile that our sessions show now. A forgery with a profile
// that nobody has seen would reveal who made it.
func (cfg Config) shownProfile(id *keyfile.Identity) ([]byte, error) {
	if cfg.Home == nil {
		return nil, nil
	}
	profile, err := cfg.Home.ClientProfile(id, 1, wire.MakeVersions(3, 4), func(kept []byte) ([]byte, error) {
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
