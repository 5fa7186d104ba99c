package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
)

// The names of the flags that stream commands share.
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

// Bounds with their reasons.
const (
	// maxPad keeps a padded message small beside the bound on a line.
	maxPad = 1 << 16
	// maxQuestion is the longest SMP question, in bytes: package otr sends no
	// longer one, for it is shown to a person.
	maxQuestion = 4096
	// minLine is the shortest bound on a line that leaves room for a piece of a
	// message beside a fragment's header, and maxLine the longest line there is.
	minLine, maxLine = 64, 1 << 20
)

// streamFlags are the flags of encrypt-stream, decrypt-stream, connect and
// serve. Values are read by streamFlagValues, so that what is refused is
// refused in one voice.
func streamFlags() []cli.Flag {
	peer := []cli.Flag{
		&cli.StringFlag{Name: flagContact, Usage: "`NAME` should be at the other end"},
		&cli.StringFlag{Name: flagTrust, Usage: "with --contact, `HOW` far its key must be trusted: new, known or verified", DefaultText: trustNew},
		&cli.StringSliceFlag{Name: flagExpect, Usage: "only the key with this `FINGERPRINT`; may repeat"},
	}
	peer = append(peer, secretFlags(flagSMPSecret, "the shared secret of SMP, run before any payload,")...)
	peer = append(peer,
		&cli.StringFlag{Name: flagSMPQuestion, Usage: "ask the peer `Q` with SMP"},
		&cli.StringFlag{Name: flagAccount, Usage: "our account's `NAME` on a network that has them (version 4)"},
		&cli.StringFlag{Name: flagPeerAccount, Usage: "the peer's account `NAME`"},
	)
	return slices.Concat(
		cmdline.In(groupPeer, peer...),
		cmdline.In(groupSession,
			&cli.StringFlag{Name: flagSession, Aliases: []string{"s"}, Usage: "the session's `NAME`; one live end a name"},
			&cli.StringFlag{Name: flagOTR, Usage: "`VERSIONS` of OTR to speak, of 2, 3 and 4", DefaultText: options.DefaultVersions()},
			&cli.StringFlag{Name: flagTimeout, Usage: "for the partner half, the handshake and SMP together, `D` such as 90s or 5m", DefaultText: "60s"},
			&cli.StringFlag{Name: flagHeartbeat, Usage: "keep an idle session alive every `D`", DefaultText: "1m"},
			&cli.StringFlag{Name: flagExpire, Usage: "end a session whose keys have not changed for `D`", DefaultText: "2h"},
			&cli.StringFlag{Name: flagDead, Usage: "how long, `D`, a peer may be silent before it counts as gone; 0: for ever", DefaultText: "5m; mode lines: 0"},
		),
		cmdline.In(groupStream,
			&cli.StringFlag{Name: flagMode, Usage: "`MODE` stream: exact bytes between two otrpipes; lines: one message a line with any OTR client", DefaultText: modeStream},
			&cli.StringFlag{Name: flagMaxSize, Usage: "no transport line longer than `N` bytes: fragment", DefaultText: cmdline.NoDefault},
			&cli.StringFlag{Name: flagPad, Usage: "pad plaintexts to multiples of `N` bytes", DefaultText: cmdline.NoDefault},
			&cli.BoolFlag{Name: flagStay, Usage: "mode lines: when the peer ends, wait for a new session", DisableDefaultText: true},
			&cli.StringFlag{Name: flagLinger, Usage: "mode lines: `D` after our input's end and the last text the session is ended", DefaultText: "1s"},
			&cli.BoolFlag{Name: flagRaw, Usage: "mode lines: received text as it came, newlines included", DisableDefaultText: true},
			&cli.StringFlag{Name: flagHTML, Usage: "mode lines: other clients' HTML `HOW`: raw, or as text, both ways", DefaultText: htmlRaw},
			&cli.BoolFlag{Name: flagProgress, Usage: "show progress even when it would be guessed off", DisableDefaultText: true},
			&cli.StringFlag{Name: flagEvents, Usage: "write what happens as JSON to `FILE` or fd:N"},
		),
	)
}

// streamFlagValues reads the stream flags of a command, but the session's
// name, the SMP secret and the events, which are not compared as text.
func streamFlagValues(c *cli.Context) (options.Values, error) {
	given := options.Values{}
	for name, canonical := range streamFlagForms {
		if !c.IsSet(name) {
			continue
		}
		var values []string
		switch name {
		case flagExpect:
			// The command fingerprint prints a line a key.
			for _, text := range c.StringSlice(name) {
				values = append(values, fingerprintLines(text)...)
			}
		case flagStay, flagRaw, flagProgress:
			if !c.Bool(name) {
				continue // --raw=false
			}
			values = []string{"true"}
		default:
			values = []string{c.String(name)}
		}
		for i, v := range values {
			v, err := canonical(v)
			if err != nil {
				return nil, exit.Errorf(exit.Usage, "--%s: %w", name, err)
			}
			values[i] = v
		}
		slices.Sort(values)
		given[name] = slices.Compact(values)
	}
	return given, nil
}

// streamFlagForms turns the value of a flag into its canonical form, or
// refuses it.
var streamFlagForms = map[string]func(string) (string, error){
	flagContact:     contactName,
	flagTrust:       oneOf(trustNew, trustKnown, trustVerified),
	flagExpect:      fingerprint,
	flagSMPQuestion: question,
	flagOTR:         versions,
	flagMode:        oneOf(modeStream, modeLines),
	flagStay:        asIs,
	flagAccount:     accountName,
	flagPeerAccount: accountName,
	flagMaxSize:     number(minLine, maxLine),
	flagPad:         number(0, maxPad),
	flagTimeout:     duration,
	flagHeartbeat:   duration,
	flagExpire:      duration,
	flagDead:        duration,
	flagLinger:      duration,
	flagRaw:         asIs,
	flagHTML:        oneOf(htmlRaw, htmlText),
	flagProgress:    asIs,
}

func asIs(v string) (string, error) { return v, nil }

func oneOf(values ...string) func(string) (string, error) {
	return func(v string) (string, error) {
		if !slices.Contains(values, v) {
			return "", fmt.Errorf("%q is not one of %s", v, strings.Join(values, ", "))
		}
		return v, nil
	}
}

func number(least, most int) func(string) (string, error) {
	return func(v string) (string, error) {
		n, err := strconv.Atoi(v)
		if err != nil {
			return "", fmt.Errorf("%q is not a number", v)
		}
		if n < least || n > most {
			return "", fmt.Errorf("%d is not between %d and %d", n, least, most)
		}
		return strconv.Itoa(n), nil
	}
}

func duration(v string) (string, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return "", fmt.Errorf("%q is not a duration such as 90s or 5m", v)
	}
	if d < 0 {
		return "", fmt.Errorf("%s is less than nothing", v)
	}
	return d.String(), nil
}

func fingerprint(v string) (string, error) {
	f, err := readFingerprint(v)
	if err != nil {
		return "", err
	}
	return f.Hex(), nil
}

func contactName(v string) (string, error) {
	if v == "" {
		return "", fmt.Errorf("a contact needs a name")
	}
	return v, nil
}

func accountName(v string) (string, error) {
	if v == "" {
		return "", fmt.Errorf("an account needs a name")
	}
	return v, nil
}

func question(v string) (string, error) {
	switch {
	case v == "":
		return "", fmt.Errorf("the question is empty")
	case len(v) > maxQuestion:
		return "", fmt.Errorf("the question has %d bytes; at most %d can be asked", len(v), maxQuestion)
	case strings.IndexByte(v, 0) >= 0:
		return "", fmt.Errorf("a question cannot hold a NUL")
	}
	return v, nil
}

// versions reads the value of --otr: digits in any order.
func versions(v string) (string, error) {
	if v == "" {
		return "", fmt.Errorf("no version is named")
	}
	canonical := ""
	for _, s := range options.Spoken {
		if strings.IndexByte(v, s.Digit) >= 0 {
			canonical += string(s.Digit)
		}
	}
	for i := range len(v) {
		if strings.IndexByte(canonical, v[i]) < 0 {
			return "", fmt.Errorf("%q names a version that is not options.Spoken here; %s are", v, spokenList())
		}
	}
	return canonical, nil
}

func spokenList() string {
	var digits []string
	for _, s := range options.Spoken {
		digits = append(digits, string(s.Digit))
	}
	last := len(digits) - 1
	return strings.Join(digits[:last], ", ") + " and " + digits[last]
}

// sessionName reads -s.
func sessionName(c *cli.Context) (string, error) {
	name := c.String(flagSession)
	if c.IsSet(flagSession) {
		if err := control.CheckName(name); err != nil {
			return "", exit.Errorf(exit.Usage, "--session: %q cannot be a name: 1 to 128 printable characters", name)
		}
	}
	return name, nil
}
