package trust

import (
	"slices"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/keyfile"
	"otrpipe/otr"
)

// downgraded reports whether the session's version is older than one that the contact is known
// to speak although both could use version 4; the user is always told. An attacker in the middle
// may have caused it, since version 3 cannot detect that a query was altered. So a contact that
// must be verified is refused in this case, unless both ends have stated that they accept
// version 3: the contact in its last client profile, and the user with --otr.
//
// A profile that lists version 3 is not enough. All programs that speak both versions list both
// and would never choose the older one with each other, so an attacker who strips the 4 from
// every query would succeed with nearly everybody. So by default, a verified contact that has
// once used version 4 is accepted in version 4 only. An explicit --otr 34 accepts version 3 from
// contacts whose profile lists it, and --otr 3 from all. An expired or missing profile lists
// nothing, and no profile can list version 2.
func (k *Keeper) downgraded(contact keyfile.Contact, s otr.Session, now time.Time) (bool, error) {
	if k.cfg.Contact == "" || !k.cfg.Speaks4 || s.Version >= 4 {
		return false, nil
	}
	if !speaks4(contact) {
		return contact.HasTold(), nil // which proves nothing, but the user is told
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

// speaks4 reports whether a contact has a version 4 key.
func speaks4(c keyfile.Contact) bool {
	return slices.ContainsFunc(c.Keys, func(k keyfile.ContactKey) bool { return k.Fingerprint.OTR() == 4 })
}

// speaks reports whether a valid client profile of a contact lists a version. If the profiles of
// several of its keys differ, the strictest counts.
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

// OnlyVersion3 reports whether a contact has version 3 keys only and has announced no other. It
// is then offered version 3, because its program can announce its version 4 key inside that
// session.
func OnlyVersion3(c keyfile.Contact) bool { return len(c.Keys) > 0 && !speaks4(c) && !c.HasTold() }

// LastClient returns the client that a contact used last, if a session may begin with it.
// versions, by number, are those that are allowed. It ignores a client of an older version than
// the contact has or has announced keys for, and a version 2 client if other versions are
// allowed, because addressing it would never show that the contact has a better one by now.
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
