package commands

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
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
	smp     bool   // SMP will prove who it is before any payload
	speaks4 bool   // version 4 is allowed here
	named   string // the versions given with --otr; empty: none were

	asked [8]byte // the session whose peer has been asked for the proof of its old key
}

// trust says what is known of a session's key.
func (j *judge) trust(s otr.Session) (string, error) {
	if j.contact == "" {
		if slices.Contains(j.expect, s.Fingerprint) {
			return peerVerified, nil
		}
		return peerUnverified, nil
	}
	contact, _, err := j.home.Contact(j.contact)
	if err != nil {
		return "", exit.Key(err)
	}
	key, known := contact.Key(s.Fingerprint)
	if old, ok := vouching(contact, s); ok && (s.Proven || j.smp) {
		if key, known = old, true; !s.Proven {
			key.Trust = keyfile.Seen
		}
	}
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

// downgraded says whether the peer comes with an older version than the contact
// is known to speak, though both could speak version 4, which is always told.
// Somebody in between may have seen to that: version 3 has nothing by which to
// notice that a query was altered on the way. So a contact that must be verified
// is refused then, unless both ends have said that version 3 will do: the
// contact in its last client profile, and the user with --otr.
//
// That the profile lists version 3 is not enough. All programs that speak both
// versions list both, and two of those never choose the older one, so somebody
// who strips the 4 from every query would have his way with nearly everybody.
// By default, then, a verified contact that has once spoken version 4 is met in
// version 4 or not at all; --otr 34, spelled out, takes version 3 from those
// whose profile says that they speak it, and --otr 3 from all. A profile that
// has expired says nothing, nor does one that was never seen; none can speak
// for version 2.
func (j *judge) downgraded(s otr.Session, now time.Time) (bool, error) {
	if j.contact == "" || !j.speaks4 || s.Version >= 4 {
		return false, nil
	}
	contact, _, err := j.home.Contact(j.contact)
	if err != nil {
		return false, exit.Key(err)
	}
	if !speaks4(contact) {
		return false, nil
	}
	says := speaks(contact, s.Version, now)
	if j.level != trustVerified || says && strings.Contains(j.named, strconv.Itoa(s.Version)) {
		return true, nil
	}
	refusal := exit.Errorf(exit.Refused, "%s comes with OTR version %d, but is known to speak version 4", j.contact, s.Version)
	if says {
		return true, refusal.WithHint("somebody in between may have taken version 4 away; if version %d, which %s speaks too, will do: --otr %d4",
			s.Version, j.contact, s.Version)
	}
	return true, refusal.WithHint("somebody in between may have taken version 4 away; if %s has given it up: --otr %d", j.contact, s.Version)
}

// speaks4 says whether a contact is known by a key of version 4.
func speaks4(c keyfile.Contact) bool {
	return slices.ContainsFunc(c.Keys, func(k keyfile.ContactKey) bool { return k.Fingerprint.OTR() == 4 })
}

// speaks says whether a contact has said in a client profile that it speaks a
// version, and that still holds. Where the profiles of several of its keys do
// not agree, the strictest counts.
func speaks(c keyfile.Contact, version int, now time.Time) bool {
	some := false
	for _, key := range c.Keys {
		if key.Fingerprint.OTR() != 4 {
			continue
		}
		if !key.Profile.Speaks(version, now) {
			return false
		}
		some = true
	}
	return some
}

// unproven returns a stream.ErrUnproven, once for each session, where a key on file
// is said to vouch for the peer's and that has not been proven. SMP proves it too.
func (j *judge) unproven(s otr.Session) error {
	contact, _, err := j.home.Contact(j.contact)
	if j.contact == "" || err != nil || j.smp || s.Proven || j.asked == s.SSID {
		return nil
	}
	if _, ok := vouching(contact, s); !ok {
		return nil
	}
	j.asked = s.SSID
	return stream.ErrUnproven
}

// judge lets a key in, or refuses it with exit code 3.
func (j *judge) judge(s otr.Session) error {
	f := s.Fingerprint
	trust, err := j.trust(s)
	if err != nil {
		return err
	}
	if len(j.expect) > 0 && !slices.Contains(j.expect, f) {
		return exit.Errorf(exit.Refused, "the peer's key is not the expected one: it is %v", f).
			WithHint("somebody else may be at the other end; ask the peer for the output of otrpipe fingerprint, through another channel")
	}
	switch {
	case trust == peerChanged && j.vouched(s):
		return exit.Errorf(exit.Refused, "the key of %s for version 4 is new: %v", j.contact, f).
			WithHint("that the old key is said to have signed it is no proof; if %s confirms it through another channel: otrpipe contacts add %s %s",
				j.contact, exit.ShellWord(j.contact), f.Hex())
	case trust == peerChanged:
		return exit.Errorf(exit.Refused, "the key of %s has changed: it is now %v", j.contact, f).
			WithHint("somebody may be in between; if %s confirms the new key through another channel: otrpipe contacts add %s %s",
				j.contact, exit.ShellWord(j.contact), f.Hex())
	case trust == peerNew && j.level == trustKnown,
		trust == peerNew && j.level == trustVerified && !j.smp:
		return exit.Errorf(exit.Refused, "no key of %s is on file; the peer's is %v", j.contact, f).
			WithHint("if %s confirms it through another channel: otrpipe contacts add %s %s", j.contact, exit.ShellWord(j.contact), f.Hex())
	case trust == peerKnown && j.level == trustVerified && !j.smp:
		return exit.Errorf(exit.Refused, "the key of %s is not verified: %v", j.contact, f).
			WithHint("compare it with %s through another channel, then: otrpipe contacts trust %s %s", j.contact, exit.ShellWord(j.contact), f.Hex())
	}
	return nil
}

// remember puts the key of a contact on file, after all checks, and what its client
// profile says.
func (j *judge) remember(s otr.Session, t keyfile.Trust, now time.Time) error {
	if j.contact == "" {
		return nil
	}
	contact, _, err := j.home.Contact(j.contact)
	if err != nil {
		return err
	}
	if old, ok := vouching(contact, s); ok && s.Proven {
		t = max(t, old.Trust)
	}
	if s.PeerVersions == "" {
		return j.home.RememberKey(j.contact, s.Fingerprint, t, now)
	}
	profile := keyfile.Profile{Versions: s.PeerVersions, Expires: s.VersionsUntil}
	return j.home.RememberProfile(j.contact, s.Fingerprint, t, profile, now)
}

// vouched says whether a session's key is new, but a key of version 3 on file has
// signed for it.
func (j *judge) vouched(s otr.Session) bool {
	contact, _, err := j.home.Contact(j.contact)
	if j.contact == "" || err != nil {
		return false
	}
	_, ok := vouching(contact, s)
	return ok
}

// vouching is the contact's key of version 3 whose transitional signature the peer
// shows for the unknown key of a session of version 4, so that a friend whose
// program has learned version 4 is no stranger; it speaks for the contact's first key
// of version 4 only.
//
// By itself that means nothing: anybody can make such a signature (package v4 has a
// test that does). The new key is known, and as far as the old one, only if the peer
// has proven that it has that one.
func vouching(contact keyfile.Contact, s otr.Session) (keyfile.ContactKey, bool) {
	if s.Vouching.IsZero() || speaks4(contact) {
		return keyfile.ContactKey{}, false
	}
	return contact.Key(s.Vouching)
}
