package options

import (
	"slices"
	"strconv"
	"sync"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/commands/internal/secret"
	"otrpipe/commands/internal/transport"
)

// The groups of stream flags: their categories in help.
const (
	TransportGroup = "The transport"
	PeerGroup      = "The other end"
	SessionGroup   = "The session"
	StreamGroup    = "The stream"
)

// NoDefault marks a flag whose zero value would look like a default, so that help does not show
// it.
const NoDefault = "none"

// A Kind is a flag's syntax.
type Kind int

// The kinds of flags.
const (
	Text   Kind = iota // --NAME VALUE
	List               // --NAME VALUE, again and again
	Switch             // --NAME, or --NAME=false
	Secret             // --NAME-file FILE or --NAME-fd N
)

// A Completion is the kind of a flag's values.
type Completion int

// The completions. A free value can be anything.
const (
	Free Completion = iota
	Fixed
	Files
	Contacts
	Fingerprints
	Sessions
	Versions
	Modes
)

// Ends is a set of kinds of ends, each of which has its own command.
type Ends int

// The kinds of ends.
const (
	Halves Ends = 1 << iota // encrypt-stream and decrypt-stream
	Connect
	Serve
	Chat
	Transfer // send and receive
)

// talks are the ends whose plaintext people and programs read and write themselves.
const talks = Halves | Connect | Serve | Chat

// A Flag is a row of the table of stream flags.
type Flag struct {
	Name    string
	Short   string // "": none
	Kind    Kind
	Group   string
	Usage   string // the value's name in back quotes
	Default string // shown in help; "": none
	// Form returns the canonical form of a value, in which two halves compare it, or an error
	// for an invalid value. A flag without Form concerns one half only and is not in Values.
	Form       func(value string) (canonical string, err error)
	Completion Completion
	Values     []string // where Completion is Fixed
	LinesOnly  bool     // it needs --mode lines
	Only       Ends     // the ends that have the flag; 0: all
	Offline    bool     // it also applies to messages to someone who is away

	// The texts that the help of chat shows instead of Usage and Default.
	ChatUsage, ChatDefault string
	// The default that the help of send and receive shows instead of Default.
	TransferDefault string
}

// Table returns all stream flags, in the order in which help shows them. The caller must not
// change them. They are made when they are needed, because most commands have none of them.
func Table() []Flag { return table() }

var table = sync.OnceValue(func() []Flag {
	return []Flag{
		{Name: TCPFlag, Group: TransportGroup, Usage: "dial `HOST:PORT` until the other end is there, instead of running COMMAND",
			Form: transport.DialAddress, Only: Connect | Chat | Transfer},
		{Name: ListenFlag, Group: TransportGroup, Usage: "wait for callers at `[HOST:]PORT`; without HOST, at every address of this machine",
			Form: transport.ListenAddress, Only: Connect | Chat | Serve | Transfer},
		{Name: TransportStatusFlag, Group: TransportGroup, Kind: Switch, Usage: "leave with the exit status of COMMAND, the transport, if the stream ended well",
			Form: asIs, Only: Connect},
		{Name: RetryFlag, Group: TransportGroup, Kind: Switch, Usage: "when a connection is lost, connect again without asking", Only: Chat},
		{Name: MaxSessionsFlag, Group: TransportGroup, Usage: "with --listen, serve at most `N` callers at once", Default: strconv.Itoa(DefaultMaxSessions),
			Form: number(1, mostSessions), Only: Serve},

		{Name: ContactFlag, Group: PeerGroup, Usage: "require the key of contact `NAME`",
			Form: named("a contact"), Completion: Contacts, Offline: true},
		{Name: TrustFlag, Group: PeerGroup, Usage: "with --contact, `HOW` far its key must be trusted: new, known or verified", Default: TrustNew,
			Form: oneOf(trustLevels...), Completion: Fixed, Values: trustLevels, Offline: true,
			TransferDefault: TrustKnown + "; " + TrustNew + " with --expect or a secret"},
		{Name: ExpectFlag, Group: PeerGroup, Kind: List, Usage: "accept only the key with this `FINGERPRINT`; may be repeated",
			Form: expectedKey, Completion: Fingerprints, Offline: true},
		{Name: SMPSecretFlag, Group: PeerGroup, Kind: Secret, Usage: "the secret, compared with the peer's before any payload moves,", Completion: Files},
		{Name: SMPQuestionFlag, Group: PeerGroup, Usage: "ask the peer `Q`, which the secret answers", Form: Question},
		{Name: AccountFlag, Group: PeerGroup, Usage: "our account's `NAME` on a network that has them (version 4)", Form: named("an account"), Offline: true},
		{Name: PeerAccountFlag, Group: PeerGroup, Usage: "the peer's account `NAME`", Form: named("an account"), Offline: true},

		{Name: SessionFlag, Short: "s", Group: SessionGroup, Usage: "the session's `NAME`; must be unique among live sessions", Completion: Sessions},
		{Name: EphemeralFlag, Group: SessionGroup, Kind: Switch, Usage: "use new keys that live in memory for this run only; not with --contact", Form: asIs},
		{Name: OTRFlag, Group: SessionGroup, Usage: "`VERSIONS` of OTR to speak, of 2, 3 and 4", Default: DefaultVersions.Digits(),
			Form: versions, Completion: Versions},
		{Name: TimeoutFlag, Group: SessionGroup, Usage: "limit for the partner half, the handshake and each message of SMP, `D` such as 90s or 5m", Default: "60s", Form: Duration, Offline: true},
		{Name: WaitFlag, Group: SessionGroup, Usage: "wait `D` for the other end's first byte before --timeout begins", Default: "for ever with --listen and at a terminal, else 0",
			Form: Duration, ChatDefault: "for ever",
			TransferDefault: "for ever with --listen and at a terminal, 10m with a code that is made here, else 0"},
		{Name: HeartbeatFlag, Group: SessionGroup, Usage: "keep an idle session alive every `D`", Default: "1m", Form: Duration},
		{Name: ExpireFlag, Group: SessionGroup, Usage: "end a session whose keys have not changed for `D`", Default: "2h", Form: Duration},
		{Name: DeadFlag, Group: SessionGroup, Usage: "treat the peer as gone after `D` of silence; 0: never", Default: "5m; mode lines: 0",
			Form: Duration, ChatDefault: "0", TransferDefault: "5m"},

		{Name: ModeFlag, Group: StreamGroup, Usage: "`MODE` stream: exact bytes between two otrpipes; lines: one message per line with any OTR client", Default: ModeStream,
			Form: oneOf(ModeStream, ModeLines), Completion: Modes,
			ChatUsage: "`MODE` lines: one message per line with any OTR client; a chat has no other", ChatDefault: ModeLines, Offline: true, Only: talks},
		{Name: MaxSizeFlag, Group: StreamGroup, Usage: "split messages into transport lines of at most `N` bytes", Default: NoDefault, Form: number(minLine, maxLine), Offline: true},
		{Name: PadFlag, Group: StreamGroup, Usage: "pad plaintexts to multiples of `N` bytes", Default: NoDefault, Form: number(0, maxPad)},
		{Name: StayFlag, Group: StreamGroup, Kind: Switch, Usage: "mode lines: when the peer ends, wait for a new session",
			Form: asIs, LinesOnly: true, Only: talks,
			ChatUsage: "stay for the next session when the other end leaves (the default); --stay=false: leave too"},
		{Name: LingerFlag, Group: StreamGroup, Usage: "mode lines: end the session `D` after the end of our input and the last text", Default: "1s",
			Form: Duration, LinesOnly: true, Only: Halves | Connect | Serve},
		{Name: DrainFlag, Group: StreamGroup, Usage: "at the end, wait until the transport has taken the rest, or has taken nothing for `D`; 0: for ever", Default: "1m",
			Form: Duration},
		{Name: RawFlag, Group: StreamGroup, Kind: Switch, Usage: "mode lines: write received text unchanged, newlines included",
			Form: asIs, LinesOnly: true, Only: Halves | Connect | Serve, Offline: true},
		{Name: HTMLFlag, Group: StreamGroup, Usage: "mode lines: `HOW` to treat other clients' HTML, both ways: raw or text", Default: HTMLRaw,
			Form: oneOf(HTMLRaw, HTMLText), Completion: Fixed, Values: []string{HTMLRaw, HTMLText}, ChatDefault: HTMLText, Only: talks},
		{Name: BellFlag, Group: StreamGroup, Kind: Switch, Usage: "ring the terminal's bell when a message arrives", Only: Chat},
		{Name: SendOnlyFlag, Group: StreamGroup, Kind: Switch, Usage: "only send; the other end is told to send nothing, and the stream ends with our input", Form: asIs, Only: Connect},
		{Name: ReceiveOnlyFlag, Group: StreamGroup, Kind: Switch, Usage: "only receive; standard input is not read", Form: asIs, Only: Connect},
		{Name: ProgressFlag, Group: StreamGroup, Kind: Switch, Usage: "always show progress", Form: asIs, Only: Halves | Connect | Serve},
		{Name: KeyLogFlag, Group: StreamGroup, Usage: "write the keys of all messages to `FILE`, for otrpipe toolkit", Form: absolutePath, Completion: Files},
		{Name: EventsFlag, Group: StreamGroup, Usage: "write what happens as JSON to `FILE` or fd:N", Completion: Files, Offline: true},
	}
})

var trustLevels = []string{TrustNew, TrustKnown, TrustVerified}

// Flags returns the flags of an end. secretFlags makes the two flags of a secret.
func Flags(end Ends, secretFlags func(name, what string) []cli.Flag) []cli.Flag {
	var flags []cli.Flag
	for _, f := range Table() {
		if f.Only != 0 && f.Only&end == 0 {
			continue
		}
		if end == Chat && f.ChatUsage != "" {
			f.Usage = f.ChatUsage
		}
		if end == Chat && f.ChatDefault != "" {
			f.Default = f.ChatDefault
		}
		if end == Transfer && f.TransferDefault != "" {
			f.Default = f.TransferDefault
		}
		flags = append(flags, f.flags(secretFlags)...)
	}
	return flags
}

// CheckOffline refuses flags that do not apply to messages to someone who is away.
func CheckOffline(c *cli.Context) error {
	for _, f := range Table() {
		if f.Offline {
			continue
		}
		for _, name := range f.names() {
			if c.IsSet(name) {
				return exit.Errorf(exit.Usage, "--%s needs a live session, and nobody answers offline", name)
			}
		}
	}
	return nil
}

// names returns the names of the flag library's flags for a row, without the short one.
func (f *Flag) names() []string {
	if f.Kind == Secret {
		return []string{f.Name + secret.FileFlag, f.Name + secret.FDFlag}
	}
	return []string{f.Name}
}

// flags returns the flag library's flags for a row.
func (f *Flag) flags(secretFlags func(name, what string) []cli.Flag) []cli.Flag {
	var aliases []string
	if f.Short != "" {
		aliases = []string{f.Short}
	}
	switch f.Kind {
	case List:
		return []cli.Flag{&cli.StringSliceFlag{Name: f.Name, Aliases: aliases, Category: f.Group, Usage: f.Usage, DefaultText: f.Default}}
	case Switch:
		return []cli.Flag{&cli.BoolFlag{Name: f.Name, Aliases: aliases, Category: f.Group, Usage: f.Usage, DisableDefaultText: true}}
	case Secret:
		two := secretFlags(f.Name, f.Usage)
		for _, one := range two {
			switch one := one.(type) {
			case *cli.StringFlag:
				one.Category = f.Group
			case *cli.IntFlag:
				one.Category = f.Group
			}
		}
		return two
	}
	return []cli.Flag{&cli.StringFlag{Name: f.Name, Aliases: aliases, Category: f.Group, Usage: f.Usage, DefaultText: f.Default}}
}

// Read reads those flags of a command line that halves compare, in canonical form. Its errors
// have exit code 2.
func Read(c *cli.Context) (Values, error) {
	given := Values{}
	for _, f := range Table() {
		if f.Form == nil || !c.IsSet(f.Name) {
			continue
		}
		values := []string{c.String(f.Name)}
		switch f.Kind {
		case List:
			values = nil
			for _, text := range c.StringSlice(f.Name) {
				values = append(values, fingerprint.Lines(text)...)
			}
		case Switch:
			if !c.Bool(f.Name) {
				continue // --raw=false
			}
			values = []string{"true"}
		}
		for i, value := range values {
			canonical, err := f.Form(value)
			if err != nil {
				return nil, exit.Errorf(exit.Usage, "--%s: %w", f.Name, err)
			}
			values[i] = canonical
		}
		slices.Sort(values)
		given[f.Name] = slices.Compact(values)
	}
	return given, nil
}
