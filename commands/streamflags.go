package commands

import (
	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
)

// The names of the flags that the stream commands share.
const (
	flagSession     = options.SessionFlag
	flagContact     = options.ContactFlag
	flagTrust       = options.TrustFlag
	flagExpect      = options.ExpectFlag
	flagSMPSecret   = options.SMPSecretFlag
	flagSMPQuestion = options.SMPQuestionFlag
	flagOTR         = options.OTRFlag
	flagMode        = options.ModeFlag
	flagStay        = options.StayFlag
	flagAccount     = options.AccountFlag
	flagPeerAccount = options.PeerAccountFlag
	flagMaxSize     = options.MaxSizeFlag
	flagPad         = options.PadFlag
	flagTimeout     = options.TimeoutFlag
	flagHeartbeat   = options.HeartbeatFlag
	flagExpire      = options.ExpireFlag
	flagDead        = options.DeadFlag
	flagLinger      = options.LingerFlag
	flagRaw         = options.RawFlag
	flagHTML        = options.HTMLFlag
	flagProgress    = options.ProgressFlag
	flagEvents      = options.EventsFlag
	flagTCP         = options.TCPFlag
	flagListen      = options.ListenFlag
)

const (
	modeStream    = options.ModeStream
	modeLines     = options.ModeLines
	htmlRaw       = options.HTMLRaw
	htmlText      = options.HTMLText
	trustNew      = options.TrustNew
	trustKnown    = options.TrustKnown
	trustVerified = options.TrustVerified
)

// streamFlags returns the flags of an end of a stream.
func streamFlags(end options.Ends) []cli.Flag { return options.Flags(end, secretFlags) }

// sessionName reads the session name of -s; it is nil if no name is given.
func sessionName(c *cli.Context) (*string, error) {
	name := valueOf(c, flagSession)
	if name != nil && control.CheckName(*name) != nil {
		return nil, exit.Errorf(exit.Usage, "--session: %q cannot be a name: 1 to 128 printable characters", *name)
	}
	return name, nil
}
