// Package trust decides who may talk: whether the key of a session's peer meets
// what --contact, --trust, --expect and SMP ask of it, and what is put on file
// about it.
package trust

import (
	"errors"
	"slices"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// A Standing is what is known of a peer's key.
type Standing string

// The standings of a key, as events and status print them.
const (
	New        Standing = "new"        // the contact's first key, until the session ends in which it was met
	Known      Standing = "known"      // on file for the contact
	Verified   Standing = "verified"   // by hand or by a shared secret: see By
	Unverified Standing = "unverified" // no contact was named: it may be anyone's
	Changed    Standing = "changed"    // the contact has other keys on file
	Told       Standing = "told"       // told by another key, and not met yet: no key of the contact's
)

// ForPeople is the standing in one of the three words that people read: new, known or verified.
// A key of which nothing is known, because no contact was named or the contact has others on
// file, is new.
func (s Standing) ForPeople() string {
	switch s {
	case Known, Verified:
		return string(s)
	}
	return string(New)
}

// A By is how a key was verified; "": it was not.
type By string

// The ways to verify a key, as events and status print them.
const (
	ByHand   By = "hand"   // its fingerprint was compared, or named with --expect
	BySecret By = "secret" // the peer has proved by SMP that it knows a shared secret
)

// A Level is how far a contact's key must be trusted: a value of --trust.
type Level string

// The levels.
const (
	RequireNew      Level = "new"      // any key, unless the contact has others on file
	RequireKnown    Level = "known"    // a key on file
	RequireVerified Level = "verified" // a verified key
)

// A Config is what is asked of the peer.
type Config struct {
	Home    *keyfile.Home
	Contact string // "": anybody
	Level   Level  // for a contact
	Expect  []keys.Fingerprint
	SMP     bool // SMP proves the peer before any payload moves
	// Live says that the peer of each session has shown in its key exchange that it has the
	// session's key. Keys that a contact has told count only then.
	Live    bool
	Speaks4 bool          // version 4 is allowed here
	Named   wire.Versions // those that --otr names; none: it was not given
}

// A Verdict is what a Keeper says of a session's peer.
type Verdict struct {
	Standing Standing
	By       By // of a verified key
	// Downgraded is set where the contact is known to speak a newer version of OTR
	// than this session's, which both ends could speak.
	Downgraded bool
	// Err, an *exit.Error, refuses the key.
	Err error
}

// A Keeper decides about the peers of one stream. It belongs to the goroutine
// that owns the stream, as all its fields do.
type Keeper struct {
	cfg Config // never changed

	session  otr.Session // met last
	standing Standing    // of its key, by what is on file
	by       By          // if standing is Verified
	// first is the contact's first key, if it was met in the session that lives; zero: it was
	// not. Until that session ends it is shown as new.
	first keys.Fingerprint
	// teller is the key of version 3 in whose session the key of session was told; zero: it
	// was not, or has been put on file since.
	teller keys.Fingerprint
	// told is the key of version 4 that was told last, and toldBy the key of version 3 that
	// told it; zero: none was.
	told, toldBy keys.Fingerprint
	vouching     keys.Fingerprint // what Vouching returns
	// passed is set once the key of session has passed every check, and stays set
	// while that key stays.
	passed bool
	// verified is set for good once a verified key has passed every check.
	verified bool
	proven   keys.Fingerprint // a key that proved whose it is while we live; zero: none
	provenBy By               // if proven is not zero
	// run is the key that passed every check last, or the key of version 4 that this one
	// has told; zero: none has. From then on a contact that is on file no more was removed
	// by the user, and is not put there again.
	run keys.Fingerprint
	// bound says that the run belongs to that key though no contact was named; see Again.
	bound bool
}

// NewKeeper returns a Keeper.
func NewKeeper(cfg Config) *Keeper { return &Keeper{cfg: cfg} }

// Again returns a Keeper for the next connection of the same run. The run belongs to the key
// that has passed every check in it, if there is one: that key has proved itself, and without
// a contact no other is let in.
func (k *Keeper) Again() *Keeper {
	next := *k
	next.verified = k.verified || k.passed && k.standing == Verified
	next.passed = false
	next.SessionEnded()
	if !k.run.IsZero() {
		next.bound, next.cfg.SMP = true, false
	}
	return &next
}

// Bound reports whether a key has passed every check in a connection before this one.
func (k *Keeper) Bound() bool { return k.bound }

// Meet decides about the peer of a session, which has just become secure or has
// new keys. It is called once for each, before anything moves.
func (k *Keeper) Meet(s otr.Session, now time.Time) Verdict {
	v, teller := k.judge(s, now)
	standing := v.Standing
	v.Standing = k.shown(s.Fingerprint, standing)
	same := v.Err == nil && (k.session.Fingerprint == s.Fingerprint || k.continues(s))
	k.passed = k.passed && same
	if v.Err == nil {
		k.session, k.standing, k.by, k.teller = s, standing, v.By, teller
	}
	return v
}

// shown is the standing of a key as others see it: the first key of a contact is new until the
// session ends in which it was met, though it is on file by then.
func (k *Keeper) shown(f keys.Fingerprint, standing Standing) Standing {
	if standing == Known && f == k.first {
		return New
	}
	return standing
}

// By says how the key of the session met last was verified; "": it was not.
func (k *Keeper) By() By {
	if k.standing != Verified {
		return ""
	}
	return k.by
}

// SessionEnded records the end of the session. A key that was new in it is known in the next.
func (k *Keeper) SessionEnded() { k.first = keys.Fingerprint{} }

// continues reports whether the key of a session is the one that the key of the session
// before has told.
func (k *Keeper) continues(s otr.Session) bool {
	return s.Version == 4 && !k.told.IsZero() && s.Fingerprint == k.told && k.session.Fingerprint == k.toldBy
}

// judge asks every question about a session's key. It returns also the key that has told
// it; zero: none has, or it is on file.
func (k *Keeper) judge(s otr.Session, now time.Time) (v Verdict, teller keys.Fingerprint) {
	v.Standing = Unverified
	contact, err := k.contact()
	if err != nil {
		v.Err = exit.Key(err)
		return v, teller
	}
	v.Standing, v.By, teller = k.standingOf(contact, s)
	// For good: a key that has yet to be proven may come in between.
	k.verified = k.verified || k.passed && k.standing == Verified
	v.Downgraded, v.Err = k.downgraded(contact, s, now)
	for _, check := range []func(otr.Session, Standing) error{k.admit, k.replaces} {
		if v.Err == nil {
			v.Err = check(s, v.Standing)
		}
	}
	if _, told := contact.Teller(s.Fingerprint); told && v.Standing == Changed {
		v.Err = k.notMet(s.Fingerprint)
	}
	return v, teller
}

// Trusted records that the peer of the session has passed every check that was
// asked for, and puts its key on file. It returns what is known of the key then. An
// *exit.Error refuses the peer: meanwhile another process has put another key of the
// contact on file. Any other error says why the key cannot be kept.
func (k *Keeper) Trusted(s otr.Session, now time.Time) (Standing, error) {
	level := keyfile.Seen
	if k.cfg.SMP {
		level = keyfile.SMP
	}
	told := !k.teller.IsZero()
	if k.standing == New && k.session.Fingerprint == s.Fingerprint {
		k.first = s.Fingerprint
	}
	standing, err := k.remember(s, level, now)
	if told && errors.Is(err, keyfile.ErrChanged) {
		return standing, exit.Errorf(exit.Refused, "the key that %s announced is no longer on file for this contact: %v", k.cfg.Contact, s.Fingerprint).
			WithHint("if %s confirms it through another channel: otrpipe contacts add %s %s",
				k.cfg.Contact, exit.ShellWord(k.cfg.Contact), s.Fingerprint.Hex())
	}
	if errors.Is(err, keyfile.ErrChanged) {
		return standing, exit.Errorf(exit.Refused, "another key of %s was put on file in the meantime, so this one is refused: %v", k.cfg.Contact, s.Fingerprint).
			WithHint("two callers connected at once; if %s confirms this key through another channel: otrpipe contacts add %s %s",
				k.cfg.Contact, exit.ShellWord(k.cfg.Contact), s.Fingerprint.Hex())
	}
	k.passed, k.run = true, s.Fingerprint
	return standing, err
}

// Refreshed puts on file what the peer of a session that is trusted says of itself
// after a new key exchange.
func (k *Keeper) Refreshed(s otr.Session, now time.Time) (Standing, error) {
	standing, err := k.remember(s, keyfile.Seen, now)
	if errors.Is(err, keyfile.ErrNotFound) {
		err = nil // the user has removed it, and the session goes on as it began
	}
	return standing, err
}

// Proven records that the peer of the session has proved by SMP whose its key is.
func (k *Keeper) Proven(s otr.Session, now time.Time) (Standing, error) {
	return k.remember(s, keyfile.SMP, now)
}

// MarkVerified records that the user has compared the fingerprint of the session's
// peer. Without a contact that holds as long as we live. On an error nothing
// changes.
func (k *Keeper) MarkVerified() error {
	if k.cfg.Contact != "" {
		if err := k.cfg.Home.SetTrust(k.cfg.Contact, k.session.Fingerprint, keyfile.Verified); err != nil {
			return exit.Key(err)
		}
	}
	k.proven, k.standing = k.session.Fingerprint, Verified
	k.provenBy, k.by = ByHand, ByHand
	return nil
}

// Review looks whether the contact's key is trusted otherwise by now, as another
// process may have seen to. A session goes on as it began where the key is not on
// file any more.
func (k *Keeper) Review() Standing {
	if k.cfg.Contact != "" {
		contact, err := k.contact()
		if now, by, _ := k.standingOf(contact, k.session); err == nil && (now == Verified || now == Known) {
			k.standing, k.by = now, by
		}
	}
	return k.shown(k.session.Fingerprint, k.standing)
}

// Passed reports whether the key of the session that was met last has passed
// every check, in that session or in one before with the same key.
func (k *Keeper) Passed() bool { return k.passed }

// contact is the contact that should be the peer; an empty one if none was named.
func (k *Keeper) contact() (keyfile.Contact, error) {
	if k.cfg.Contact == "" {
		return keyfile.Contact{}, nil
	}
	contact, _, err := k.cfg.Home.Contact(k.cfg.Contact)
	return contact, err
}

// standingOf is what is known of a session's key. Where no contact was named it may
// have proved whose it is while we live. A key of version 4 that another key has told, which
// is returned then, is as trusted as that: the session shows that the peer has it. by is how a
// verified key was verified.
func (k *Keeper) standingOf(contact keyfile.Contact, s otr.Session) (standing Standing, by By, teller keys.Fingerprint) {
	if k.cfg.Contact == "" {
		f := s.Fingerprint
		if k.continues(s) {
			f, teller = k.toldBy, k.toldBy
		}
		switch {
		case !k.proven.IsZero() && f == k.proven:
			return Verified, k.provenBy, teller
		case slices.Contains(k.cfg.Expect, f):
			return Verified, ByHand, teller
		}
		return Unverified, "", teller
	}
	key, known := contact.Key(s.Fingerprint)
	if !known && k.cfg.Live && s.Version == 4 {
		if key, known = contact.Teller(s.Fingerprint); known {
			teller = key.Fingerprint
		}
	}
	switch {
	case known && key.Trust == keyfile.SMP:
		return Verified, BySecret, teller
	case known && key.Trust != keyfile.Seen:
		return Verified, ByHand, teller
	case known:
		return Known, "", teller
	case len(contact.Keys) > 0:
		return Changed, "", teller
	}
	return New, "", teller
}

// notMet refuses a key that was told where nothing shows that the peer has it.
func (k *Keeper) notMet(f keys.Fingerprint) error {
	name := k.cfg.Contact
	return exit.Errorf(exit.Refused, "%s has told this key, but no live session with it has shown that it is theirs: %v", name, f).
		WithHint("meet %s in a live session first, or if they confirm it through another channel: otrpipe contacts add %s %s",
			name, exit.ShellWord(name), f.Hex())
}

// admit lets a key in, or refuses it with exit code 3.
func (k *Keeper) admit(s otr.Session, standing Standing) error {
	name, f := k.cfg.Contact, s.Fingerprint
	if len(k.cfg.Expect) > 0 && !slices.Contains(k.cfg.Expect, f) {
		return exit.Errorf(exit.Refused, "%s: it is %v", k.unexpected(), f).
			WithHint("somebody else may be at the other end; ask %s for the output of otrpipe fingerprint, through another channel", k.peer())
	}
	switch {
	case k.bound && name == "" && f != k.run && !k.continues(s):
		return exit.Errorf(exit.Refused, "the key is not the same as before the connection was lost: %v", f).
			WithHint("someone may be in the middle; ask the peer through another channel which key is theirs")
	case standing == Changed:
		return exit.Errorf(exit.Refused, "the key of %s has changed: it is now %v", name, f).
			WithHint("someone may be in the middle; if %s confirms the new key through another channel: otrpipe contacts add %s %s",
				name, exit.ShellWord(name), f.Hex())
	case standing == New && !k.run.IsZero() && f != k.run && !k.continues(s):
		return exit.Errorf(exit.Refused, "%s is no longer on file, and the other end has another key: %v", name, f).
			WithHint("someone may be in the middle; end this session and begin another")
	case standing == New && k.cfg.Level == RequireKnown,
		standing == New && k.cfg.Level == RequireVerified && !k.cfg.SMP:
		return exit.Errorf(exit.Refused, "no key of %s is on file; the other end's key: %v", name, f).
			WithHint("if %s confirms it through another channel: otrpipe contacts add %s %s", name, exit.ShellWord(name), f.Hex())
	case standing == Known && k.cfg.Level == RequireVerified && !k.cfg.SMP:
		return exit.Errorf(exit.Refused, "the key of %s is not verified: %v", name, f).
			WithHint("compare it with %s through another channel, then: otrpipe contacts trust %s %s", name, exit.ShellWord(name), f.Hex())
	}
	return nil
}

// unexpected says that the key is none of those of --expect.
func (k *Keeper) unexpected() string {
	if k.cfg.Contact == "" {
		return "the peer's key is not the expected one"
	}
	return "the key is not the one expected of " + k.cfg.Contact
}

// peer is whom hints tell the user to ask.
func (k *Keeper) peer() string {
	if k.cfg.Contact == "" {
		return "the peer"
	}
	return k.cfg.Contact
}

// replaces refuses an unverified key that comes in the place of a verified one:
// whoever looked at the old one goes on talking to it. Where SMP is run before
// anything moves the new key will have to prove itself.
func (k *Keeper) replaces(s otr.Session, standing Standing) error {
	if !k.verified || standing == Verified || k.session.Fingerprint == s.Fingerprint {
		return nil
	}
	return exit.Errorf(exit.Refused, "an unverified key has replaced the verified one: %v", s.Fingerprint).
		WithHint("someone may be in the middle")
}

// remember puts the key of a contact on file, and what its client profile says, and
// returns what is known of the key then.
func (k *Keeper) remember(s otr.Session, level keyfile.Trust, now time.Time) (Standing, error) {
	if err := k.write(s, level, now); err != nil {
		return k.shown(k.session.Fingerprint, k.standing), err
	}
	if level != keyfile.Seen {
		k.proven, k.provenBy = s.Fingerprint, BySecret
	}
	if k.session.Fingerprint == s.Fingerprint {
		k.vouched()
		contact, err := k.contact()
		if err == nil { // it was read a moment ago
			k.standing, k.by, _ = k.standingOf(contact, s)
		}
	}
	return k.shown(k.session.Fingerprint, k.standing), nil
}

// vouched follows the proof that the peer has the key that was told: it takes the place of
// the one that told it.
func (k *Keeper) vouched() {
	if k.teller.IsZero() {
		return
	}
	if k.run == k.teller {
		k.run = k.session.Fingerprint
	}
	if k.proven == k.teller {
		k.proven = k.session.Fingerprint
	}
	k.vouching, k.teller = k.teller, keys.Fingerprint{}
	k.told, k.toldBy = keys.Fingerprint{}, keys.Fingerprint{}
}

// Vouching returns the key of version 3 that had told the key of version 4 which Trusted,
// Refreshed or Proven has just put on file; zero: there was nothing of the kind. It tells it
// once.
func (k *Keeper) Vouching() keys.Fingerprint {
	by := k.vouching
	k.vouching = keys.Fingerprint{}
	return by
}

// write puts the session's key on file, or takes note that it was met again. A first
// key is added under the lock under which it is the first; one that the user has removed
// meanwhile is not added again.
func (k *Keeper) write(s otr.Session, level keyfile.Trust, now time.Time) error {
	if k.cfg.Contact == "" {
		return nil
	}
	key := keyfile.ContactKey{Fingerprint: s.Fingerprint, Trust: level, FirstSeen: now, LastSeen: now}
	if s.Version == 2 || s.PeerInstance != 0 {
		key.Client = keyfile.Client{OTR: s.Version, Instance: s.PeerInstance}
	}
	if s.PeerVersions != 0 {
		key.Profile = keyfile.Profile{Versions: s.PeerVersions, Expires: s.VersionsUntil}
	}
	if !k.teller.IsZero() && k.session.Fingerprint == s.Fingerprint {
		_, err := k.cfg.Home.MeetTold(k.cfg.Contact, key)
		return err
	}
	return k.cfg.Home.MeetKey(k.cfg.Contact, key, k.standing == New && k.run.IsZero())
}

// Told keeps the key of version 4 that the peer of a session of version 3 has told, after all
// checks have passed. It is trusted in nothing until a session of version 4 shows that the peer
// has it. An error says why it is not taken.
func (k *Keeper) Told(s otr.Session, f keys.Fingerprint) error {
	if k.cfg.Contact != "" {
		if err := k.cfg.Home.TellKey(k.cfg.Contact, s.Fingerprint, f); err != nil {
			return err
		}
	}
	k.told, k.toldBy = f, s.Fingerprint
	return nil
}
