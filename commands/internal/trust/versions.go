package trust

import (
	"slices"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
)

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
func (k *Keeper) downgraded(contact keyfile.Contact, s otr.Session, now time.Time) (bool, error) {
	if k.cfg.Contact == "" || !k.cfg.Speaks4 || s.Version >= 4 {
		return false, nil
	}
	if !speaks4(contact) {
		return contact.HasTold(), nil // which proves nothing, but is told
	}
	says := speaks(contact, s.Version, now)
	if k.cfg.Level != RequireVerified || says && k.cfg.Named.Has(s.Version) {
		return true, nil
	}
	refusal := exit.Errorf(exit.Refused, "%s comes with OTR version %d, but is known to speak version 4", k.cfg.Contact, s.Version)
	if says {
		return true, refusal.WithHint("someone in the middle may have removed version 4; if version %d, which %s speaks too, will do: --otr %d4",
			s.Version, k.cfg.Contact, s.Version)
	}
	return true, refusal.WithHint("someone in the middle may have removed version 4; if %s no longer speaks it: --otr %d", k.cfg.Contact, s.Version)
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

// OnlyVersion3 reports whether a contact is known by keys of version 3 alone, and has told no
// other. It is offered version 3 then: inside that session its program can tell its key of
// version 4.
func OnlyVersion3(c keyfile.Contact) bool { return len(c.Keys) > 0 && !speaks4(c) && !c.HasTold() }

// LastClient is the client that a contact was met with last, if a session may begin with
// it: versions, by number, are those that are allowed. A client of an older version than
// the contact has keys for, or has told one of, is none, nor is one of version 2 where more is allowed: whoever
// addresses it never learns that the contact has a better one by now.
func LastClient(c keyfile.Contact, allowed func(version int) bool) otr.Peer {
	best, newest := 0, keyfile.ContactKey{}
	for _, key := range c.Keys {
		if version := key.Fingerprint.OTR(); allowed(version) {
			best = max(best, version)
		}
		if !key.Told.IsZero() && allowed(4) {
			best = 4
		}
		if key.Client.OTR != 0 && !key.LastSeen.Before(newest.LastSeen) {
			newest = key
		}
	}
	at := newest.Client
	if !allowed(at.OTR) || at.OTR < best || at.OTR == 2 && (allowed(3) || allowed(4)) {
		return otr.Peer{}
	}
	return otr.Peer{Version: at.OTR, Instance: at.Instance}
}
