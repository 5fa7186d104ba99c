package offline

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// mail lets from write a stream to one of the ensembles in file, and to read it.
func mail(t *testing.T, from, to *person, file []byte, content string) *Session {
	t.Helper()
	session, lines := from.begin(file)
	lines = append(lines, from.stream(session, []byte(content), false)...)
	got, err := to.read(lines)
	if err != nil || string(got.data) != content {
		t.Fatalf("%q came, %v", got.data, err)
	}
	return session
}

func TestASessionIsFoundByItsContactOrTheBeginningOfItsID(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	carol := newPerson(t, 3)
	for _, id := range []string{"", "0123", strings.Repeat("0", 16)} {
		if _, err := bob.load().Session(id); !errors.Is(err, ErrNoSession) {
			t.Errorf("%q in an empty store: %v", id, err)
		}
	}
	file := bob.publish(3, For{Contact: "friend"})
	first := mail(t, alice, bob, file, "first")
	bob.now = bob.now.Add(time.Hour)
	second := mail(t, alice, bob, file, "second")
	for name, want := range map[string]string{
		"friend":                         second.ID(), // the one that was used last
		first.ID():                       first.ID(),
		first.ID()[:4]:                   first.ID(),
		strings.ToUpper(second.ID()[:8]): second.ID(),
	} {
		if found, err := bob.load().Session(name); err != nil || found.ID() != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", first.ID()[:3], first.ID() + "0", "frien"} {
		if _, err := bob.load().Session(name); !errors.Is(err, ErrNoSession) {
			t.Errorf("%q: %v", name, err)
		}
	}
	// One that the peer has ended is not chosen if there is another.
	bob.update(func(s *Store) error {
		s.sessions[1].closed = true
		return nil
	})
	if found, err := bob.load().Session("friend"); err != nil || found.ID() != first.ID() {
		t.Errorf("with the last one ended: %v", err)
	}
	bob.update(func(s *Store) error {
		s.sessions[0].closed = true
		return nil
	})
	if found, err := bob.load().Session("friend"); err != nil || found.ID() != second.ID() {
		t.Errorf("with both ended: %v", err)
	}
	// Two people with one name: the store does not guess which of them is meant.
	mail(t, carol, bob, file, "third")
	if _, err := bob.load().Session("friend"); !errors.Is(err, ErrSeveral) {
		t.Errorf("of two keys: %v", err)
	}
}

func TestASessionCannotSendBeforeItsFirstMessageIsRead(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("hello"), false)...)
	bob.readUntil(lines, 1)
	unread := bob.load().Sessions()[0]
	if !unread.Unread() || unread.PeerInstance() != alice.config.InstanceTag {
		t.Errorf("unread: %v, from instance %#x", unread.Unread(), unread.PeerInstance())
	}
	if _, err := NewWriter(unread, Head{}, WriterConfig{}); !errors.Is(err, ErrCannotSend) {
		t.Errorf("before it is read: %v", err)
	}
	bob.now = bob.now.Add(time.Hour)
	if _, err := bob.read(lines); err != nil {
		t.Fatal(err)
	}
	if read := bob.load().Sessions()[0]; read.Unread() || !read.Used().Equal(bob.now) {
		t.Errorf("unread: %v, used at %v", read.Unread(), read.Used())
	}
}

func TestAForgottenSessionReadsAndSendsNothing(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	session := mail(t, alice, bob, bob.publish(1, For{}), "hello")
	more := alice.stream(session, []byte("more"), false)
	var forgotten *Session
	bob.update(func(s *Store) error {
		forgotten = s.Sessions()[0]
		s.Forget(forgotten)
		return nil
	})
	if n := len(bob.load().Sessions()); n != 0 || !forgotten.Ended() {
		t.Errorf("%d sessions are left, ended: %v", n, forgotten.Ended())
	}
	if _, err := NewWriter(forgotten, Head{}, WriterConfig{}); !errors.Is(err, ErrNoSession) {
		t.Errorf("a reply: %v", err)
	}
	if got, err := bob.read(more); !errors.Is(err, ErrRefused) || len(got.data) > 0 {
		t.Errorf("a message: %q, %v", got.data, err)
	}
}

func TestRevokingSomePrekeysLeavesTheOthers(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	forAlice := bob.publish(1, For{Contact: "alice"})
	forAll := bob.publish(1, For{})
	bob.update(func(s *Store) error {
		if n := s.Revoke(func(k Prekey) bool { return k.Contact == "" }); n != 1 {
			t.Errorf("%d revoked", n)
		}
		return nil
	})
	session, lines := alice.begin(forAll)
	lines = append(lines, alice.stream(session, []byte("x"), false)...)
	if _, err := bob.read(lines); !NoPrekey(err) {
		t.Errorf("to a revoked prekey: %v", err)
	}
	if _, err := bob.load().Session("alice"); !errors.Is(err, ErrNoSession) {
		t.Errorf("then there is a session: %v", err)
	}
	mail(t, alice, bob, forAlice, "to the other")
}

func TestAMessageToTheOlderOfTwoPublicationsIsRead(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	older := bob.publish(1, For{})
	bob.now = bob.now.Add(Lifetime - renewal + 24*time.Hour)
	newer := bob.publish(1, For{})
	if n := len(bob.load().publications); n != 2 {
		t.Fatalf("%d publications", n)
	}
	mail(t, alice, bob, newer, "to the newer")
	mail(t, alice, bob, older, "to the older")
}

func TestAMessageToAPrekeyThatWasNeverThereIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("x"), false)...)
	bob.disk = nil
	if _, err := bob.read(lines); !NoPrekey(err) || Used(err) || Expired(err) {
		t.Errorf("%v", err)
	}
}

func TestAccountNamesAreBoundIntoWhatIsWritten(t *testing.T) {
	alice, bob := newPeople(t)
	alice.config.Account, alice.config.PeerAccount = "alice@example.org", "bob@example.org"
	bob.config.Account, bob.config.PeerAccount = "bob@example.org", "mallory@example.org"
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("hello"), false)...)
	if got, err := bob.read(lines); !errors.Is(err, ErrRefused) || len(got.data) > 0 {
		t.Errorf("as mallory's: %q, %v", got.data, err)
	}
	bob.config.PeerAccount = "alice@example.org"
	if got, err := bob.read(lines); err != nil || string(got.data) != "hello" {
		t.Errorf("as alice's: %q, %v", got.data, err)
	}
}

func TestWhomPrekeysAreForIsBounded(t *testing.T) {
	_, bob := newPeople(t)
	s := bob.load()
	for name, whom := range map[string]For{
		"a long name": {Contact: strings.Repeat("x", maxContact+1)},
		"many keys":   {Keys: make([]keys.Fingerprint, maxOnly+1)},
	} {
		if _, err := s.Publish(1, whom); !errors.Is(err, ErrTooLong) {
			t.Errorf("%s: %v", name, err)
		}
	}
	session := mail(t, newPerson(t, 3), bob, bob.publish(1, For{}), "hello")
	session.Contact = strings.Repeat("x", maxContact+1)
	if err := s.Put(session, 0); !errors.Is(err, ErrTooLong) {
		t.Errorf("a session with a long name: %v", err)
	}
	most := For{Contact: strings.Repeat("x", maxContact), Keys: slices.Repeat([]keys.Fingerprint{bob.fingerprint()}, maxOnly)}
	if len(bob.publish(1, most)) == 0 || len(bob.load().Prekeys()) != 1 {
		t.Error("the most that a prekey can be for is refused")
	}
}

// The lists of gone prekeys and of used ensembles are bounded: the oldest entry is dropped.
func TestTheMemoryOfAStoreIsBounded(t *testing.T) {
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	s := bob.load()
	for n := range maxGone {
		s.gone = append(s.gone, gonePrekey{id: uint32(n), why: whyUsed, when: bob.now})
	}
	s.Revoke(func(Prekey) bool { return true })
	if len(s.gone) != maxGone || s.gone[0].id != 2 || s.gone[maxGone-1].why != whyRevoked {
		t.Errorf("%d prekeys are remembered, from %d on", len(s.gone), s.gone[0].id)
	}

	s = alice.load()
	for n := range maxSpent {
		s.spent = append(s.spent, spentEnsemble{digest: [32]byte{1, byte(n), byte(n >> 8)}, expires: alice.now.Add(time.Hour)})
	}
	valid, _ := ReadEnsembles(file, alice.now)
	if _, _, err := s.Write(valid[0]); err != nil {
		t.Fatal(err)
	}
	if !s.Spend(valid[1]) {
		t.Error("an unused ensemble is used")
	}
	if len(s.spent) != maxSpent || s.spent[0].digest != [32]byte{1, 2} || !s.hasSpent(valid[0].r.Ensemble.Digest()) {
		t.Errorf("%d ensembles are remembered, from %x on", len(s.spent), s.spent[0].digest)
	}
	if _, err := s.Choose(valid, nil, 0); !errors.Is(err, ErrNoEnsemble) {
		t.Errorf("both are used: %v", err)
	}
}

func TestAStoreWithMoreThanAStoreHasIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	mail(t, alice, bob, bob.publish(2, For{Keys: []keys.Fingerprint{alice.fingerprint()}}), "hello")
	for name, change := range map[string]func(s *Store){
		"too many prekeys":               func(s *Store) { s.prekeys = slices.Repeat(s.prekeys, MaxPrekeys+1) },
		"a prekey of no publication":     func(s *Store) { s.publications = nil },
		"a prekey for too many keys":     func(s *Store) { s.prekeys[0].only = slices.Repeat(s.prekeys[0].only, maxOnly+1) },
		"a prekey for a long name":       func(s *Store) { s.prekeys[0].contact = strings.Repeat("x", maxContact+1) },
		"too many prekeys that are gone": func(s *Store) { s.gone = slices.Repeat(s.gone, maxGone+1) },
		"too many used ensembles":        func(s *Store) { s.spent = make([]spentEnsemble, maxSpent+1) },
		"too many sessions":              func(s *Store) { s.sessions = slices.Repeat(s.sessions, MaxSessions+1) },
		"a session with a long name":     func(s *Store) { s.sessions[0].Contact = strings.Repeat("x", maxContact+1) },
	} {
		s := bob.load()
		change(s)
		b, err := s.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(bob.config, b); !errors.Is(err, ErrState) || !errors.Is(err, errBounds) {
			t.Errorf("%s: %v", name, err)
		}
	}
	older := bytes.Clone(bob.disk)
	older[0] = 0
	if _, err := Parse(bob.config, older); !errors.Is(err, ErrState) {
		t.Errorf("of no known form: %v", err)
	}
}

func TestEnsemblesSayWhyTheyDoNotCountAndWhereTheyAre(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	old := bob.publish(1, For{})
	bob.now = bob.now.Add(2 * Lifetime)
	fresh := bob.publish(1, For{})
	text := slices.Concat([]byte("Write to me:\n"), old, fresh, fresh)
	valid, refused := ReadEnsembles(text, bob.now)
	var expired *v4.ExpiredError
	if len(valid) != 1 || len(refused) != 2 || !errors.As(refused[0], &expired) || !errors.Is(refused[1], v4.ErrEnsemble) {
		t.Fatalf("%d are valid, %v", len(valid), refused)
	}
	at := bytes.Index(text, fresh)
	if got := valid[0].Places(text); !slices.Equal(got, []int{at, at + len(fresh)}) {
		t.Errorf("the ensemble begins at %v, not at %d and %d", got, at, at+len(fresh))
	}
	if valid[0].InstanceTag() != bob.config.InstanceTag {
		t.Errorf("of instance %#x", valid[0].InstanceTag())
	}
	alice.now = bob.now
	mail(t, alice, bob, fresh, "hello")
}

// A used ensemble is remembered for as long as it could be used again.
func TestAUsedEnsembleIsRememberedUntilItExpires(t *testing.T) {
	alice, bob := newPeople(t)
	valid, refused := ReadEnsembles(bob.publish(1, For{}), alice.now)
	if len(valid) != 1 || len(refused) != 0 {
		t.Fatalf("%d valid, %v", len(valid), refused)
	}
	s := alice.load()
	if _, _, err := s.Write(valid[0]); err != nil {
		t.Fatal(err)
	}
	expires := valid[0].Expires()
	for _, at := range []struct {
		now  time.Time
		kept int
	}{{alice.now, 1}, {expires.Add(-time.Second), 1}, {expires, 0}} {
		alice.now = at.now
		s.config.Now = func() time.Time { return at.now }
		if s.Expire(); len(s.spent) != at.kept {
			t.Errorf("%v before it expires %d are remembered", expires.Sub(at.now), len(s.spent))
		}
	}
}

// The longest store that a peer's messages can make is stored all the same, and honest sessions lose
// nothing by it.
func TestTheLongestStoreCanBeStored(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	first := mail(t, alice, bob, bob.publish(1, For{Contact: strings.Repeat("x", maxContact)}), "hello")
	honest, err := bob.load().Sessions()[0].append(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	alice.lost(first, MaxGap)
	if _, err := bob.read(alice.texts(first, false, "after it")); err != nil {
		t.Fatal(err)
	}
	s := bob.load()
	long, err := s.sessions[0].append(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.sessions[0].size(); n < len(long) || n > len(long)+256 {
		t.Errorf("the size of %d bytes is said to be %d", len(long), n)
	}
	s.Publish(1, For{Contact: strings.Repeat("x", maxContact), Keys: slices.Repeat([]keys.Fingerprint{bob.fingerprint()}, maxOnly)})
	s.prekeys = slices.Repeat(s.prekeys, MaxPrekeys)
	s.gone = slices.Repeat([]gonePrekey{{when: bob.now}}, maxGone)
	s.spent = slices.Repeat([]spentEnsemble{{expires: bob.now}}, maxSpent)
	s.sessions = nil
	for n := range MaxSessions {
		from := long
		if n == 0 {
			from = honest
		}
		r := wire.NewReader(from)
		session, err := s.readSession(&r, storeFormat)
		if err != nil {
			t.Fatal(err)
		}
		s.sessions = append(s.sessions, session)
	}
	room := make([]byte, 0, 2*MaxLen)
	b, err := s.Append(room)
	if err != nil || len(b) > MaxLen {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if n := s.size(); n < len(b) {
		t.Errorf("the size of %d bytes is said to be %d", len(b), n)
	}
	again, err := Parse(bob.config, b)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := again.sessions[0].append(nil, 0); err != nil || !bytes.Equal(c, honest) {
		t.Errorf("a short session has changed, %v", err)
	}
	// Of a long one the keys of the newest missing messages stay.
	engine := again.sessions[1].engine
	if n := engine.Skipped(); n < MaxGap/4 || n >= MaxGap {
		t.Errorf("%d keys of missing messages stay", n)
	}
}

// What grows leaves copies of the secrets behind.
func TestAStoreIsEncodedWithoutMovingIt(t *testing.T) {
	alice, bob := newPeople(t)
	first := mail(t, alice, bob, bob.publish(3, For{Contact: "alice"}), "hello")
	alice.lost(first, 20)
	if _, err := bob.read(alice.texts(first, false, "after it")); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*person{alice, bob} {
		s := p.load()
		want := cap(slices.Grow([]byte(nil), s.size()))
		if b, err := s.Append(nil); err != nil || cap(b) != want {
			t.Errorf("%d bytes were moved to room for %d, not %d, %v", len(b), cap(b), want, err)
		}
	}
}

func TestAPublicationOfAClockThatWasAheadIsNotUsedAgain(t *testing.T) {
	_, bob := newPeople(t)
	right := bob.now
	bob.now = right.Add(10 * 365 * 24 * time.Hour)
	bob.publish(1, For{})
	bob.now = right
	for range 2 {
		bob.publish(1, For{})
	}
	s := bob.load()
	latest := right.Add(Lifetime + 24*time.Hour)
	for i, k := range s.Prekeys()[1:] {
		if k.Expires.After(latest) {
			t.Errorf("prekey %d expires on %v", i, k.Expires)
		}
	}
	if n := len(s.publications); n != 2 {
		t.Errorf("%d publications", n)
	}
}
