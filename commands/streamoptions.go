package commands

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// streamOptions is what the flags of a stream come to.
type streamOptions struct {
	contact  string
	trust    string
	expect   []keys.Fingerprint
	smp      []byte // the shared secret; nil: SMP is not run
	question string
	policy   otr.Policy
	named    string // the versions given with --otr; empty: none were
	account  string // ours and the peer's; both empty, or neither
	peerName string
	mode     string
	stay     bool
	maxSize  int
	pad      int

	timeout   time.Duration // 0: none
	heartbeat time.Duration
	expire    time.Duration
	dead      time.Duration
	linger    time.Duration

	raw      bool
	html     string
	progress bool
}

// options puts the values together. It refuses flags that contradict each
// other, with exit code 2.
func (v flagValues) options(secret []byte) (*streamOptions, error) {
	o := &streamOptions{
		contact:   v.one(flagContact, ""),
		trust:     v.one(flagTrust, trustNew),
		smp:       secret,
		question:  v.one(flagSMPQuestion, ""),
		mode:      v.one(flagMode, modeStream),
		stay:      v.has(flagStay),
		maxSize:   v.number(flagMaxSize),
		pad:       v.number(flagPad),
		timeout:   v.duration(flagTimeout, defaultTimeout),
		heartbeat: v.duration(flagHeartbeat, defaultHeartbeat),
		expire:    v.duration(flagExpire, defaultExpire),
		linger:    v.duration(flagLinger, defaultLinger),
		raw:       v.has(flagRaw),
		html:      v.one(flagHTML, htmlRaw),
		progress:  v.has(flagProgress),
		named:     v.one(flagOTR, ""),
		account:   v.one(flagAccount, ""),
		peerName:  v.one(flagPeerAccount, ""),
	}
	o.dead = v.duration(flagDead, defaultDead)
	if o.mode == modeLines && !v.has(flagDead) {
		o.dead = 0 // a quiet friend's client may send no heartbeats
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	if o.mode == modeStream {
		for _, name := range []string{flagStay, flagLinger, flagRaw} {
			if v.has(name) {
				return nil, exit.Errorf(exit.Usage, "--%s needs --mode lines", name)
			}
		}
		if o.html == htmlText {
			return nil, exit.Errorf(exit.Usage, "--html text needs --mode lines")
		}
	}
	var err error
	o.expect, o.policy, err = v.expected()
	return o, err
}

// check refuses flags that already the half they were given to cannot take.
func (v flagValues) check() error {
	if v.has(flagTrust) && !v.has(flagContact) {
		return exit.Errorf(exit.Usage, "--trust needs --contact: whose key should be trusted").
			WithHint("without a contact, --expect FINGERPRINT takes one key only")
	}
	if v.has(flagAccount) != v.has(flagPeerAccount) {
		return exit.Errorf(exit.Usage, "--account and --peer-account need each other")
	}
	_, _, err := v.expected()
	return err
}

// expected is which keys are let in, and which versions are allowed: those
// that --otr names and, if keys are expected, that have such a key.
func (v flagValues) expected() ([]keys.Fingerprint, otr.Policy, error) {
	var expect []keys.Fingerprint
	for _, hex := range v[flagExpect] {
		f, err := keys.ParseFingerprint(hex)
		if err != nil {
			return nil, 0, exit.Errorf(exit.Usage, "--expect: %w", err)
		}
		expect = append(expect, f)
	}
	named := v.one(flagOTR, defaultVersions())
	policy := otr.RequireEncryption
	speaks := false
	for _, s := range spoken {
		if strings.IndexByte(named, s.digit) >= 0 && (expect == nil || slices.ContainsFunc(expect, keyOf(s.digit))) {
			policy |= s.allow
			speaks = true
		}
	}
	if !speaks {
		return nil, 0, exit.Errorf(exit.Usage, "no key given with --expect can be met in OTR version %s", named).
			WithHint("40 digits are a key of versions 2 and 3, 112 of version 4")
	}
	return expect, policy, nil
}

// keyOf says whether a fingerprint is of a key that a version uses.
func keyOf(version byte) func(keys.Fingerprint) bool {
	return func(f keys.Fingerprint) bool {
		return (f.OTR() == 4) == (version == '4')
	}
}

// merge takes from what the other half was given. It fails with the name of a
// flag that both were given with different values.
func (v flagValues) merge(other flagValues) (contradiction string) {
	for name, theirs := range other {
		if ours, ok := v[name]; ok && !slices.Equal(ours, theirs) {
			return name
		}
	}
	for name, theirs := range other {
		v[name] = theirs
	}
	return ""
}

func (v flagValues) has(name string) bool { return len(v[name]) > 0 }

func (v flagValues) one(name, otherwise string) string {
	if v.has(name) {
		return v[name][0]
	}
	return otherwise
}

func (v flagValues) number(name string) int {
	n, _ := strconv.Atoi(v.one(name, "0")) // canonical
	return n
}

func (v flagValues) duration(name string, otherwise time.Duration) time.Duration {
	if !v.has(name) {
		return otherwise
	}
	d, _ := time.ParseDuration(v[name][0]) // canonical
	return d
}
