// Package trust decides whether to accept the key of a session's peer, by what --contact,
// --trust, --expect and SMP require, and what to store about it.
package trust

import (
	"errors"
	"fmt"
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
	New        Standing = "new"        // the contact's first key, until the session in which it was first used ends
	Known      Standing = "known"      // stored for the contact
	Verified   Standing = "verified"   // by hand or by a shared secret: see By
	Unverified Standing = "unverified" // no contact was named: it may be anyone's
	Changed    Standing = "changed"    // the contact has other keys on file
	Told       Standing = "told"       // announced under another key and not used yet; it does not count as the contact's key
)

// ForPeople returns the standing as one of the three words that people read: new, known or
// verified. A key about which nothing is known, because no contact was named or the contact has
// other keys on file, is new.
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

// A Level is a value of --trust: how far a contact's key must be trusted.
type Level string

// The levels.
const (
	RequireNew      Level = "new"      // any key, unless the contact has others on file
	RequireKnown    Level = "known"    // a key on file
	RequireVerified Level = "verified" // a verified key
)

// A Config holds the checks that the peer must pass.
type Config struct {
	Home    *keyfile.Home
	Contact string // "": anybody
	Level   Level  // for a contact
	Expect  []keys.Fingerprint
	SMP     bool // SMP proves the peer before any payload moves
	// Live says that the peer of each session proves in its key exchange that it has the
	// session's key. Keys that a contact has announced count only then.
	Live    bool
	Speaks4 bool          // version 4 is allowed here
	Named   wire.Versions // the versions named with --otr; empty: none were
}

// A Verdict is a Keeper's decision about a session's peer.
type Verdict struct {
	Standing Standing
	By       By // how a verified key was verified
	// Downgraded is set if the session's version of OTR is older than one that the contact is
	// known to speak and that both ends could use.
	Downgraded bool
	// Err, an *exit.Error, is why the key is refused; nil: it is accepted.
	Err error
}

// A Keeper decides about the peers of one stream. It and all its fields belong to the goroutine
// that owns the stream.
type Keeper struct {
	cfg Config // never changed

	session  otr.Session // met last
	standing Standing    // of its key, according to the stored keys
	by       By          // if standing is Verified
	// first is the contact's first key if it was first used in the present session, and zero
	// otherwise. Until that session ends, the key is shown as new.
	first keys.Fingerprint
	// teller is the version 3 key under which the session's key was announced; zero if it was
	// not, or has been stored since.
	teller keys.Fingerprint
	// told is the version 4 key that was announced last, and toldBy the version 3 key under
	// which it was announced; zero: none was.
	told, toldBy keys.Fingerprint
	vouching     keys.Fingerprint // what Vouching returns
	// passed is set once the session's key has passed every check, and stays set until the key
	// changes.
	passed bool
	// verified is set permanently once a verified key has passed every check.
	verified bool
	proven   keys.Fingerprint // a key whose owner was proven during this run; zero: none
	provenBy By               // if proven is not zero
	// run is the last key that passed every check, or the version 4 key announced under it;
	// zero: none yet. Once it is set, a contact that is no longer stored was removed by the user
	// and is not stored again.
	run keys.Fingerprint
	// bound says that the run is bound to that key even though no contact was named; see Again.
	bound bool
}

// NewKeeper returns a Keeper.
func NewKeeper(cfg Config) *Keeper { return &Keeper{cfg: cfg} }

// Again returns a Keeper for the next connection of the same run. If a key has passed every
// check, the run is bound to it: that key need not prove itself again, and without a contact no
// other key is accepted.
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

// Bound reports whether a key has passed every check in an earlier connection.
func (k *Keeper) Bound() bool { return k.bound }

// Meet decides about the peer of a session that has just become secure or has new keys. It is
// called once for each of these events, before any payload moves.
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

// shown returns the standing to show for a key. A contact's first key is shown as new until the
// session in which it was first used ends, although it is stored by then.
func (k *Keeper) shown(f keys.Fingerprint, standing Standing) Standing {
	if standing == Known && f == k.first {
		return New
	}
	return standing
}

// By returns how the key of the latest session was verified; "": it was not.
func (k *Keeper) By() By {
	if k.standing != Verified {
		return ""
	}
	return k.by
}

// Namesakes returns the other contacts for which the key is on file too. If it is the first key of
// our contact, one of them may be at the other end in our contact's place.
func (k *Keeper) Namesakes(f keys.Fingerprint) (names []string) {
	if k.cfg.Contact == "" {
		return nil
	}
	all, err := k.cfg.Home.Contacts()
	if err != nil {
		return nil // Meet has reported the error
	}
	for _, contact := range all {
		if _, known := contact.Key(f); known && contact.Name != k.cfg.Contact {
			names = append(names, contact.Name)
		}
	}
	return names
}

// SessionEnded records the end of the session. A key that was new in it is known in the next
// one.
func (k *Keeper) SessionEnded() { k.first = keys.Fingerprint{} }

// continues reports whether the session's key was announced under the key of the previous
// session.
func (k *Keeper) continues(s otr.Session) bool {
	return s.Version == 4 && !k.told.IsZero() && s.Fingerprint == k.told && k.session.Fingerprint == k.toldBy
}

// judge makes every check of a session's key. It also returns the key under which it was
// announced; zero: there is none, or the session's key has been stored.
func (k *Keeper) judge(s otr.Session, now time.Time) (v Verdict, teller keys.Fingerprint) {
	v.Standing = Unverified
	contact, err := k.contact()
	if err != nil {
		v.Err = exit.Key(err)
		return v, teller
	}
	v.Standing, v.By, teller = k.standingOf(contact, s)
	// Set it permanently, because an unproven key may come in between.
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

// Trusted records that the session's peer has passed every required check, and stores its key.
// It returns the key's standing after that. An *exit.Error refuses the peer: another process has
// meanwhile stored a different key for the contact, perhaps in place of this one, or the
// contact's first key cannot be stored and no other check speaks for it. Any other error says why
// nothing can be stored about a key that has proved itself otherwise.
func (k *Keeper) Trusted(s otr.Session, now time.Time) (Standing, error) {
	level := keyfile.Seen
	if k.provesItself(s.Fingerprint) {
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
	if errors.Is(err, keyfile.ErrNotFound) && k.isReplaced(s.Fingerprint) {
		return standing, k.changed(s.Fingerprint)
	}
	if err != nil && k.standing == New && k.run.IsZero() && !k.cfg.SMP && len(k.cfg.Expect) == 0 {
		return standing, k.notRemembered(s.Fingerprint, err)
	}
	k.passed, k.run = true, s.Fingerprint
	return standing, err
}

// provesItself reports whether a key that passes every check thereby proves itself by SMP. It does
// so once per run: when that is on file, the file decides, because the user may have taken the
// trust away again.
func (k *Keeper) provesItself(f keys.Fingerprint) bool { return k.cfg.SMP && k.proven != f }

// isReplaced reports whether the contact has other keys on file, but not this one.
func (k *Keeper) isReplaced(f keys.Fingerprint) bool {
	contact, err := k.contact()
	_, known := contact.Key(f)
	return err == nil && len(contact.Keys) > 0 && !known
}

// notRemembered refuses the first key of a contact that cannot be stored because of err. That
// any key is accepted the first time protects nobody if every time is the first.
func (k *Keeper) notRemembered(f keys.Fingerprint, err error) error {
	code := exit.Failure
	var e *exit.Error
	if errors.As(exit.Key(err), &e) {
		code = e.Code
	}
	name := k.cfg.Contact
	return exit.Errorf(code, "the first key of %s cannot be remembered, so it is refused: %v", name, exit.Plain(err)).
		WithHint("if %s confirms the key through another channel, it is accepted without being remembered: --expect %s", name, f.Hex())
}

// Refreshed stores the client profile that the peer of a trusted session shows in a new key
// exchange.
func (k *Keeper) Refreshed(s otr.Session, now time.Time) (Standing, error) {
	standing, err := k.remember(s, keyfile.Seen, now)
	if errors.Is(err, keyfile.ErrNotFound) {
		err = nil // the user has removed the contact, and the session goes on as before
	}
	return standing, err
}

// Proven records that the session's peer has proved by SMP that the key is its own.
func (k *Keeper) Proven(s otr.Session, now time.Time) (Standing, error) {
	return k.remember(s, keyfile.SMP, now)
}

// MarkVerified records that the user has compared the fingerprint of the session's peer. Without
// a contact, that holds during this run only. On an error, nothing changes.
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

// Review checks whether the trust in the contact's key has changed, for example by another
// process. If the key is no longer stored, the session goes on as before.
func (k *Keeper) Review() Standing {
	if k.cfg.Contact != "" {
		contact, err := k.contact()
		if now, by, _ := k.standingOf(contact, k.session); err == nil && (now == Verified || now == Known) {
			k.standing, k.by = now, by
		}
	}
	return k.shown(k.session.Fingerprint, k.standing)
}

// Passed reports whether the key of the latest session has passed every check, in that session
// or in an earlier one with the same key.
func (k *Keeper) Passed() bool { return k.passed }

// contact returns the contact expected as the peer, or an empty one if none was named.
func (k *Keeper) contact() (keyfile.Contact, error) {
	if k.cfg.Contact == "" {
		return keyfile.Contact{}, nil
	}
	contact, _, err := k.cfg.Home.Contact(k.cfg.Contact)
	return contact, err
}

// standingOf returns the standing of a session's key. If no contact was named, the key may have
// been proven during this run. A version 4 key that was announced under another key is trusted
// as much as that key, which is returned, because the session proves that the peer has it. by is
// how a verified key was verified.
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

// notMet refuses an announced key if nothing proves that the peer has it.
func (k *Keeper) notMet(f keys.Fingerprint) error {
	name := k.cfg.Contact
	return exit.Errorf(exit.Refused, "%s has told this key, but no live session with it has shown that it is theirs: %v", name, f).
		WithHint("meet %s in a live session first, or if they confirm it through another channel: otrpipe contacts add %s %s",
			name, exit.ShellWord(name), f.Hex())
}

// admit accepts a key, or refuses it with exit code 3.
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
		return k.changed(f)
	case standing == New && !k.run.IsZero() && f != k.run && !k.continues(s):
		return exit.Errorf(exit.Refused, "%s is no longer on file, and the other end has another key: %v", name, f).
			WithHint("someone may be in the middle; end this session and begin another")
	case standing == New && k.cfg.Level == RequireKnown,
		standing == New && k.cfg.Level == RequireVerified && !k.cfg.SMP:
		return exit.Errorf(exit.Refused, "no key of %s is on file; the other end's key: %v", name, f).
			WithHint("if %s confirms it through another channel: otrpipe contacts add %s %s", name, exit.ShellWord(name), f.Hex())
	case standing == Known && k.cfg.Level == RequireVerified && !k.provesItself(f):
		return exit.Errorf(exit.Refused, "the key of %s is not verified: %v", name, f).
			WithHint("compare it with %s through another channel, then: otrpipe contacts trust %s %s", name, exit.ShellWord(name), f.Hex())
	}
	return nil
}

// changed refuses a key of a contact that has only others on file.
func (k *Keeper) changed(f keys.Fingerprint) error {
	name := k.cfg.Contact
	return exit.Errorf(exit.Refused, "the key of %s has changed: it is now %v", name, f).
		WithHint("someone may be in the middle; if %s confirms the new key through another channel: otrpipe contacts add %s %s",
			name, exit.ShellWord(name), f.Hex())
}

// unexpected returns the error for a key that --expect does not name.
func (k *Keeper) unexpected() string {
	if k.cfg.Contact == "" {
		return "the peer's key is not the expected one"
	}
	return "the key is not the one expected of " + k.cfg.Contact
}

// peer returns the name of the person whom hints tell the user to ask.
func (k *Keeper) peer() string {
	if k.cfg.Contact == "" {
		return "the peer"
	}
	return k.cfg.Contact
}

// replaces rejects an unverified key that replaces a verified one, because the user would go on
// talking as if it were verified. If SMP is required before payload moves, the new key will have
// to pass it instead.
func (k *Keeper) replaces(s otr.Session, standing Standing) error {
	if !k.verified || standing == Verified || k.session.Fingerprint == s.Fingerprint {
		return nil
	}
	return exit.Errorf(exit.Refused, "an unverified key has replaced the verified one: %v", s.Fingerprint).
		WithHint("someone may be in the middle")
}

// remember stores a contact's key and the contents of its client profile, and returns the key's
// standing after that.
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
		if err == nil { // the file was readable a moment ago
			k.standing, k.by, _ = k.standingOf(contact, s)
		}
	}
	return k.shown(k.session.Fingerprint, k.standing), nil
}

// vouched runs when the peer has proved that it has the announced key, which then replaces the
// key under which it was announced.
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

// Vouching returns the version 3 key under which the version 4 key that Trusted, Refreshed or
// Proven has just stored was announced; zero: there is none. It returns each key only once.
func (k *Keeper) Vouching() keys.Fingerprint {
	by := k.vouching
	k.vouching = keys.Fingerprint{}
	return by
}

// write stores the session's key, or records that it was used again. It adds a first key under
// the same lock under which it finds that there is no other; it does not add a key again that
// the user has removed meanwhile.
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

// Told stores the version 4 key that the peer of a version 3 session announces, after all checks
// have passed. The key is not trusted until a version 4 session proves that the peer has it. An
// error says why it is not accepted.
func (k *Keeper) Told(s otr.Session, f keys.Fingerprint) error {
	if len(k.cfg.Expect) > 0 && !slices.Contains(k.cfg.Expect, f) {
		// With this key the session could not go on, so it stays in version 3.
		return fmt.Errorf("--expect does not name it: %v", f)
	}
	if k.cfg.Contact != "" {
		if err := k.cfg.Home.TellKey(k.cfg.Contact, s.Fingerprint, f); err != nil {
			return err
		}
	}
	k.told, k.toldBy = f, s.Fingerprint
	return nil
}
