// Package options is what the flags of a stream come to.
package options

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// Values holds the given stream flags. Each value is in canonical form, so that two halves can
// compare them.
type Values map[string][]string

// Options is what the flags of a stream come to.
type Options struct {
	Contact     string
	Trust       string
	Expect      []keys.Fingerprint
	SMP         []byte // the shared secret; nil: run no SMP
	Question    string
	Policy      otr.Policy
	Named       wire.Versions // the versions given with --otr; empty: none were given
	Account     string        // our account and the peer's; both are empty, or neither is
	PeerAccount string
	Mode        string
	Stay        bool
	MaxSize     int
	Pad         int

	Timeout   time.Duration  // 0: none
	Wait      *time.Duration // how long to wait for the other end's first byte, before Timeout begins; nil: not given
	Heartbeat time.Duration
	Expire    time.Duration
	Dead      time.Duration
	Linger    time.Duration
	Drain     time.Duration // 0: for ever

	SendOnly    bool // ignore the peer's payload
	ReceiveOnly bool // do not read our input; excludes SendOnly

	Raw      bool
	HTML     string
	Progress bool
	KeyLog   string // the file for the session's keys; "": write none

	TCP    string // the address to dial; "": none
	Listen string // the address to listen on; "": none
	// TransportStatus makes a program whose stream ended well exit with the status of COMMAND,
	// the transport.
	TransportStatus bool
	// MaxSessions is the maximum number of callers that a server serves at once.
	MaxSessions int
}

// Options interprets the values. It refuses flags that contradict each other with exit code 2.
func (v Values) Options(secret []byte) (*Options, error) {
	o := &Options{
		Contact:     v.one(ContactFlag, ""),
		Trust:       v.one(TrustFlag, TrustNew),
		SMP:         secret,
		Question:    v.one(SMPQuestionFlag, ""),
		Mode:        v.one(ModeFlag, ModeStream),
		Stay:        v.has(StayFlag),
		MaxSize:     v.number(MaxSizeFlag),
		Pad:         v.number(PadFlag),
		Timeout:     v.duration(TimeoutFlag, DefaultTimeout),
		Heartbeat:   v.duration(HeartbeatFlag, DefaultHeartbeat),
		Expire:      v.duration(ExpireFlag, DefaultExpire),
		Linger:      v.duration(LingerFlag, DefaultLinger),
		Drain:       v.duration(DrainFlag, DefaultDrain),
		Raw:         v.has(RawFlag),
		HTML:        v.one(HTMLFlag, HTMLRaw),
		Progress:    v.has(ProgressFlag),
		KeyLog:      v.one(KeyLogFlag, ""),
		TCP:         v.one(TCPFlag, ""),
		Listen:      v.one(ListenFlag, ""),
		Named:       v.versions(0),
		Account:     v.one(AccountFlag, ""),
		PeerAccount: v.one(PeerAccountFlag, ""),
	}
	o.TransportStatus = v.has(TransportStatusFlag)
	o.SendOnly, o.ReceiveOnly = v.has(SendOnlyFlag), v.has(ReceiveOnlyFlag)
	if v.has(WaitFlag) {
		wait := v.duration(WaitFlag, 0)
		o.Wait = &wait
	}
	o.MaxSessions = DefaultMaxSessions
	if v.has(MaxSessionsFlag) {
		o.MaxSessions = v.number(MaxSessionsFlag)
	}
	o.Dead = v.duration(DeadFlag, DefaultDead)
	if o.Mode == ModeLines && !v.has(DeadFlag) {
		o.Dead = 0 // a friend's client may send no heartbeats while the friend is silent
	}
	if err := v.Check(); err != nil {
		return nil, err
	}
	if o.Mode == ModeStream {
		for _, f := range Table() {
			if f.LinesOnly && v.has(f.Name) {
				return nil, exit.Errorf(exit.Usage, "--%s needs --mode lines", f.Name)
			}
		}
		if o.HTML == HTMLText {
			return nil, exit.Errorf(exit.Usage, "--html text needs --mode lines")
		}
	}
	if o.Mode == ModeLines {
		for _, name := range []string{SendOnlyFlag, ReceiveOnlyFlag} {
			if v.has(name) {
				return nil, exit.Errorf(exit.Usage, "--%s needs --mode stream", name)
			}
		}
	}
	var err error
	o.Expect, o.Policy, err = v.expected()
	return o, err
}

// KeepsToVersion3 reports whether the session is limited to version 3 only because all keys of
// --expect are of that version, and not by --otr.
func (v Values) KeepsToVersion3() bool {
	isOld := func(hex string) bool {
		f, err := keys.ParseFingerprint(hex)
		return err == nil && f.OTR() == 3
	}
	return v.has(ExpectFlag) && !v.has(OTRFlag) && !slices.ContainsFunc(v[ExpectFlag], func(hex string) bool { return !isOld(hex) })
}

// Check refuses flags that the half they were given to can already see to be wrong.
func (v Values) Check() error {
	if v.has(TrustFlag) && !v.has(ContactFlag) {
		return exit.Errorf(exit.Usage, "--trust needs --contact: whose key should be trusted").
			WithHint("without a contact, --expect FINGERPRINT takes one key only")
	}
	if v.has(SendOnlyFlag) && v.has(ReceiveOnlyFlag) {
		return exit.Errorf(exit.Usage, "--%s and --%s contradict each other", SendOnlyFlag, ReceiveOnlyFlag)
	}
	if v.has(AccountFlag) != v.has(PeerAccountFlag) {
		return exit.Errorf(exit.Usage, "--account and --peer-account need each other")
	}
	_, _, err := v.expected()
	return err
}

// expected returns the keys that are let in and the versions that are allowed: those of --otr,
// limited to versions with an expected key if any keys are expected.
func (v Values) expected() ([]keys.Fingerprint, otr.Policy, error) {
	var expect []keys.Fingerprint
	for _, hex := range v[ExpectFlag] {
		f, err := keys.ParseFingerprint(hex)
		if err != nil {
			return nil, 0, exit.Errorf(exit.Usage, "--expect: %w", err)
		}
		expect = append(expect, f)
	}
	named := v.versions(DefaultVersions)
	policy := otr.RequireEncryption
	speaks := false
	for _, s := range spoken {
		if named.Has(s.version) && (expect == nil || slices.ContainsFunc(expect, keyOf(s.version))) {
			policy |= s.allow
			speaks = true
		}
	}
	if !speaks {
		return nil, 0, exit.Errorf(exit.Usage, "no key given with --expect belongs to OTR version %v", named).
			WithHint("40 digits are a key of versions 2 and 3, 112 of version 4")
	}
	return expect, policy, nil
}

// keyOf reports whether a fingerprint belongs to a kind of key that a version uses.
func keyOf(version int) func(keys.Fingerprint) bool {
	return func(f keys.Fingerprint) bool {
		return (f.OTR() == 4) == (version == 4)
	}
}

// Merge returns the union of v and the other half's values. If both halves have a flag with
// different values, it returns the flag's name. It changes neither v nor other.
func (v Values) Merge(other Values) (together Values, contradiction string) {
	for name, theirs := range other {
		if ours, ok := v[name]; ok && !slices.Equal(ours, theirs) {
			return nil, name
		}
	}
	together = maps.Clone(v)
	if together == nil {
		together = Values{}
	}
	maps.Copy(together, other)
	return together, ""
}

// Timeout returns how long the other half, the handshake and SMP may take; 0: any time.
func (v Values) Timeout() time.Duration { return v.duration(TimeoutFlag, DefaultTimeout) }

// Mode returns the stream's mode.
func (v Values) Mode() string { return v.one(ModeFlag, ModeStream) }

// Contact returns the name of the contact expected as the peer; "": none was named.
func (v Values) Contact() string { return v.one(ContactFlag, "") }

// Ephemeral reports whether the identity is made for one run and stored nowhere.
func (v Values) Ephemeral() bool { return v.has(EphemeralFlag) }

func (v Values) has(name string) bool { return len(v[name]) > 0 }

func (v Values) one(name, otherwise string) string {
	if v.has(name) {
		return v[name][0]
	}
	return otherwise
}

func (v Values) number(name string) int {
	n, _ := strconv.Atoi(v.one(name, "0")) // canonical
	return n
}

func (v Values) duration(name string, otherwise time.Duration) time.Duration {
	if !v.has(name) {
		return otherwise
	}
	d, _ := time.ParseDuration(v[name][0]) // canonical
	return d
}

// spoken are the versions that the program speaks, the oldest first; the policy's flag
// allows each.
var spoken = []struct {
	version int
	allow   otr.Policy
}{
	{2, otr.AllowV2},
	{3, otr.AllowV3},
	{4, otr.AllowV4},
}

// Spoken is the set of versions that the program speaks. DefaultVersions is the same without
// version 2, which has no instance tags and exists for old peers only.
var (
	Spoken          = wire.MakeVersions(2, 3, 4)
	DefaultVersions = wire.MakeVersions(3, 4)
)

// versions returns what was given with --otr.
func (v Values) versions(otherwise wire.Versions) wire.Versions {
	if !v.has(OTRFlag) {
		return otherwise
	}
	set, _ := wire.ParseVersions(v[OTRFlag][0]) // canonical
	return set
}
