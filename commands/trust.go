package commands

import (
	"slices"
	"time"

	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// What is known of a peer's key when it is met: the trust of the event secure.
const (
	peerNew        = "new"        // the contact's first key
	peerKnown      = "known"      // on file for the contact
	peerVerified   = "verified"   // by hand, by SMP, or named with --expect
	peerUnverified = "unverified" // no contact was named: it may be anyone
	peerChanged    = "changed"    // the contact has other keys on file
)

// A judge decides whether a peer's key is let in, by --contact, --trust,
// --expect and SMP.
type judge struct {
	home    *keyfile.Home
	contact string // "": any
	level   string // trustNew, trustKnown or trustVerified
	expect  []keys.Fingerprint
	smp     bool // SMP will prove who it is before any payload
}

// trust says what is known of a key.
func (j *judge) trust(f keys.Fingerprint) (string, error) {
	if j.contact == "" {
		if slices.Contains(j.expect, f) {
			return peerVerified, nil
		}
		return peerUnverified, nil
	}
	contact, _, err := j.home.Contact(j.contact)
	if err != nil {
		return "", keyError(err)
	}
	key, known := contact.Key(f)
	switch {
	case known && key.Trust != keyfile.Seen:
		return peerVerified, nil
	case known:
		return peerKnown, nil
	case len(contact.Keys) > 0:
		return peerChanged, nil
	}
	return peerNew, nil
}

// judge lets a key in, or refuses it with exit code 3.
func (j *judge) judge(f keys.Fingerprint) error {
	trust, err := j.trust(f)
	if err != nil {
		return err
	}
	if len(j.expect) > 0 && !slices.Contains(j.expect, f) {
		return fail(exitRefused, "the peer's key is not the expected one: it is %v", f).
			hint("somebody else may be at the other end; ask the peer for the output of otrpipe fingerprint, on another way")
	}
	switch {
	case trust == peerChanged:
		return fail(exitRefused, "the key of %s has changed: it is now %v", j.contact, f).
			hint("somebody may be in between; if %s confirms the new key on another way: otrpipe contacts add %s %s",
				j.contact, shellWord(j.contact), f.Hex())
	case trust == peerNew && j.level == trustKnown,
		trust == peerNew && j.level == trustVerified && !j.smp:
		return fail(exitRefused, "no key of %s is on file; the peer's is %v", j.contact, f).
			hint("if %s confirms it on another way: otrpipe contacts add %s %s", j.contact, shellWord(j.contact), f.Hex())
	case trust == peerKnown && j.level == trustVerified && !j.smp:
		return fail(exitRefused, "the key of %s is not verified: %v", j.contact, f).
			hint("compare it with %s on another way, then: otrpipe contacts trust %s %s", j.contact, shellWord(j.contact), f.Hex())
	}
	return nil
}

// remember puts the key of a contact on file, after all checks.
func (j *judge) remember(f keys.Fingerprint, t keyfile.Trust, now time.Time) error {
	if j.contact == "" {
		return nil
	}
	return j.home.RememberKey(j.contact, f, t, now)
}
