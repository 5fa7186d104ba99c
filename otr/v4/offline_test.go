package v4

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// offlineEnds are alice, who writes, and bob, who has published one prekey and is away.
type offlineEnds struct {
	t           testing.TB
	alice, bob  *Client
	clock       *testClock
	publication *Publication
	prekey      *Prekey
}

func newOfflineEnds(t testing.TB) *offlineEnds {
	t.Helper()
	clock := &testClock{now: time.Unix(1700000000, 0)}
	e := &offlineEnds{t: t, alice: newTestClient(t, 1), bob: newTestClient(t, 2), clock: clock}
	for _, c := range []*Client{e.alice, e.bob} {
		c.Accounts, c.Now = nil, clock.Now
	}
	var err error
	if e.publication, err = e.bob.NewPublication(clock.now.Add(7 * 24 * time.Hour)); err != nil {
		t.Fatal(err)
	}
	if e.prekey, err = e.bob.NewPrekey(func(uint32) bool { return false }); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *offlineEnds) recipient() *Recipient {
	e.t.Helper()
	line := e.publication.Ensemble(e.prekey).AppendArmor(nil)
	valid, refused := ReadEnsembles(line, e.clock.now)
	if len(valid) != 1 {
		e.t.Fatal(refused)
	}
	return valid[0]
}

func (e *offlineEnds) find(id uint32) (*Prekey, []*Publication, error) {
	if id != e.prekey.ID {
		return nil, nil, ErrNoPrekey
	}
	return e.prekey, []*Publication{e.publication}, nil
}

func (e *offlineEnds) open(msg []byte) (*Opened, error) {
	e.t.Helper()
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		return nil, err
	}
	return e.bob.Open(h, body, e.find)
}

// begin returns the Non-Interactive-Auth message and both sides of the session.
func (e *offlineEnds) begin() (auth []byte, alice, bob *Engine) {
	e.t.Helper()
	auth, alice, err := e.alice.WriteTo(e.recipient())
	if err != nil {
		e.t.Fatal(err)
	}
	opened, err := e.open(auth)
	if err != nil {
		e.t.Fatal(err)
	}
	return auth, alice, opened.Engine
}

func sealText(t testing.TB, e *Engine, text string) []byte {
	t.Helper()
	msg, err := e.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

func openText(t testing.TB, e *Engine, msg []byte) (string, error) {
	t.Helper()
	msg = bytes.Clone(msg)
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	_, p, err := e.Receive(h, body, msg, nil)
	return string(p.Text), err
}

func mustRead(t testing.TB, e *Engine, msg []byte, want string) {
	t.Helper()
	if got, err := openText(t, e, msg); err != nil || got != want {
		t.Fatalf("%q, %v, want %q", got, err, want)
	}
}

func restore(t testing.TB, c *Client, e *Engine, ahead int) *Engine {
	t.Helper()
	b, err := e.AppendSession(nil, ahead)
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(b)
	restored, err := c.ReadSession(&r)
	if err == nil {
		err = r.End()
	}
	if err != nil {
		t.Fatal(err)
	}
	return restored
}

func TestAConversationByMailGoesOnInStoredSessions(t *testing.T) {
	slowtest.SkipShort(t)
	e := newOfflineEnds(t)
	_, alice, bob := e.begin()
	for turn := range 8 {
		from, to, reader := &alice, &bob, e.bob
		writer := e.alice
		if turn%2 == 1 {
			from, to, reader, writer = &bob, &alice, e.alice, e.bob
		}
		var mails [][]byte
		for n := range 3 {
			mails = append(mails, sealText(t, *from, strings.Repeat("x", turn+n)))
			*from = restore(t, writer, *from, 0)
		}
		for _, n := range []int{2, 0, 1} {
			mustRead(t, *to, mails[n], strings.Repeat("x", turn+n))
			*to = restore(t, reader, *to, 0)
		}
		if _, err := openText(t, *to, mails[1]); !errors.Is(err, ErrReplay) {
			t.Errorf("turn %d: a mail that has been read: %v", turn, err)
		}
		e.clock.now = e.clock.now.Add(10 * 24 * time.Hour)
	}
}

func TestALostMailIsWaitedForAMonth(t *testing.T) {
	e := newOfflineEnds(t)
	_, alice, bob := e.begin()
	first, second := sealText(t, alice, "first"), sealText(t, alice, "second")
	third, fourth := sealText(t, alice, "third"), sealText(t, alice, "fourth")
	mustRead(t, bob, fourth, "fourth")
	e.clock.now = e.clock.now.Add(mailSkippedLifetime - time.Second)
	mustRead(t, bob, first, "first")
	bob = restore(t, e.bob, bob, 0)
	mustRead(t, bob, second, "second")
	e.clock.now = e.clock.now.Add(time.Second)
	if _, err := openText(t, bob, third); !errors.Is(err, ErrReplay) {
		t.Errorf("a mail whose key is gone: %v", err)
	}
}

func TestWhatIsStoredAheadOpensNothingThatIsSent(t *testing.T) {
	for _, answering := range []bool{false, true} {
		e := newOfflineEnds(t)
		_, alice, bob := e.begin()
		writer, from, to := e.alice, alice, bob
		if answering {
			mustRead(t, bob, sealText(t, alice, "hello"), "hello")
			writer, from, to = e.bob, bob, alice
		}
		const ahead = 5
		stored, err := from.AppendSession(nil, ahead)
		if err != nil {
			t.Fatal(err)
		}
		var sent [][]byte
		used := map[key]bool{}
		for range ahead {
			chain := from.session.ratchet.sendChain
			used[nextKeys(&chain).enc] = true
			if bytes.Contains(stored, from.session.ratchet.sendChain[:]) {
				t.Error("a chain key of a message that is sent is stored")
			}
			sent = append(sent, sealText(t, from, "sent"))
		}
		// The machine is lost and comes back with what it has stored.
		r := wire.NewReader(stored)
		back, err := writer.ReadSession(&r)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			chain := back.session.ratchet.sendChain
			if used[nextKeys(&chain).enc] {
				t.Error("a key encrypts two messages")
			}
			mustRead(t, to, sealText(t, back, "after"), "after")
		}
		for _, msg := range sent {
			mustRead(t, to, msg, "sent")
		}
	}
}

func TestAMessageThatIsReadLateIsNotRefusedForTheSendersProfile(t *testing.T) {
	e := newOfflineEnds(t)
	if _, err := e.alice.Profile(); err != nil {
		t.Fatal(err)
	}
	e.clock.now = e.publication.Expires().Add(-time.Second)
	auth, alice, err := e.alice.WriteTo(e.recipient())
	if err != nil {
		t.Fatal(err)
	}
	text := sealText(t, alice, "late")
	e.clock.now = e.publication.Expires().Add(PrekeyGrace - time.Second)
	if !e.publication.Usable(e.clock.now) || e.publication.Usable(e.clock.now.Add(time.Second)) {
		t.Error("the publication is usable for another time than its day of grace")
	}
	opened, err := e.open(auth)
	if err != nil {
		t.Fatal(err)
	}
	mustRead(t, opened.Engine, text, "late")
}

func TestAnEnsembleForYearsDoesNotGetAProfileForYears(t *testing.T) {
	e := newOfflineEnds(t)
	p, err := e.alice.profileUntil(e.clock.now.Add(10 * 365 * 24 * time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	const most = 31 * 24 * time.Hour
	if got := time.Unix(p.Expires, 0).Sub(e.clock.now); got < most || got >= most+24*time.Hour {
		t.Errorf("the profile lives for %v", got)
	}
}

func TestProfilesOfOfflineMessagesEndAtAMidnight(t *testing.T) {
	e := newOfflineEnds(t)
	for _, ahead := range []time.Duration{0, time.Second, 5*24*time.Hour + 7*time.Hour, 10*24*time.Hour - time.Second} {
		e.alice.profile = nil
		expires := e.clock.now.Add(ahead)
		p, err := e.alice.profileUntil(expires)
		if err != nil {
			t.Fatal(err)
		}
		end := time.Unix(p.Expires, 0)
		if p.Expires%(24*60*60) != 0 {
			t.Errorf("for a prekey of another %v the profile ends at %v", ahead, end.UTC())
		}
		least := expires.Add(PrekeyGrace)
		if week := e.clock.now.Add(ProfileLifetime); week.After(least) {
			least = week
		}
		if end.Before(least) || end.Sub(least) >= 24*time.Hour {
			t.Errorf("for a prekey of another %v the profile ends at %v, not the first midnight after %v", ahead, end.UTC(), least.UTC())
		}
	}
}

func TestOneBitOfANonInteractiveAuthMessageFlippedIsRefused(t *testing.T) {
	e := newOfflineEnds(t)
	auth, _, err := e.alice.WriteTo(e.recipient())
	if err != nil {
		t.Fatal(err)
	}
	step := 7
	if testing.Short() {
		step = 41
	}
	for at := 0; at < len(auth); at += step {
		bad := bytes.Clone(auth)
		bad[at] ^= 1 << (at % 8)
		if opened, err := e.open(bad); err == nil {
			t.Errorf("byte %d changed: %v", at, opened)
		}
	}
	if _, err := e.open(auth); err != nil {
		t.Errorf("after all these: %v", err)
	}
}

func TestTheSenderAndTheReceiverMustNameTheSameAccounts(t *testing.T) {
	e := newOfflineEnds(t)
	e.alice.Accounts = &Accounts{Ours: "alice@example.org", Theirs: "bob@example.org"}
	auth, _, err := e.alice.WriteTo(e.recipient())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		accounts *Accounts
		good     bool
	}{
		{nil, false},
		{&Accounts{Ours: "alice@example.org", Theirs: "bob@example.org"}, false},
		{&Accounts{Ours: "bob@example.org", Theirs: "carol@example.org"}, false},
		{&Accounts{Ours: "bob@example.org", Theirs: "alice@example.org"}, true},
	} {
		e.bob.Accounts = c.accounts
		if _, err := e.open(auth); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.accounts, err)
		}
	}
}

func TestAPrekeyHasAnIdentifierOfItsOwnThatIsNotZero(t *testing.T) {
	c := newTestClient(t, 1)
	c.Rand = bytes.NewReader(append([]byte{0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 8}, make([]byte, 200)...))
	k, err := c.NewPrekey(func(id uint32) bool { return id == 7 })
	if err != nil || k.ID != 8 {
		t.Errorf("%v, %v", k.ID, err)
	}
}

func TestSecretsOfPrekeysPrintAsPlaceholders(t *testing.T) {
	e := newOfflineEnds(t)
	for _, v := range []any{*e.prekey, e.prekey, *e.publication, e.publication} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
			if got := sprint(verb, v); !strings.Contains(got, "(…)") {
				t.Errorf("%s of %T: %s", verb, v, got)
			}
		}
	}
}

func TestAFileWithTooManyEnsemblesIsReadInPart(t *testing.T) {
	text := bytes.Repeat([]byte("?OTRP:AAAA.\n"), MaxEnsembles+50)
	valid, refused := ReadEnsembles(text, time.Unix(0, 0))
	if len(valid) != 0 || len(refused) != MaxEnsembles+1 {
		t.Errorf("%d valid, %d refused", len(valid), len(refused))
	}
}

func TestAnEnsembleOfPartsOfTwoInstancesIsRefused(t *testing.T) {
	e := newOfflineEnds(t)
	// Everything is of bob's keys, so nothing but the instance tags is wrong.
	tag, expires := e.bob.InstanceTag+1, e.clock.now.Add(time.Hour)
	client, err := newProfile(tag, newIdentity(t, 2), e.bob.Forging, nil, expires, nil)
	if err != nil {
		t.Fatal(err)
	}
	prekey, err := newPrekeyProfile(tag, newIdentity(t, 2), newIdentity(t, 3).Public(), expires)
	if err != nil {
		t.Fatal(err)
	}
	whole := e.publication.Ensemble(e.prekey)
	for name, mixed := range map[string]*Ensemble{
		"client profile": {client, whole.Prekey, whole.Message},
		"prekey profile": {whole.Client, prekey, whole.Message},
		"prekey message": {whole.Client, whole.Prekey, e.prekey.Message(tag)},
	} {
		if _, err := mixed.Validate(e.clock.now); !errors.Is(err, ErrEnsemble) {
			t.Errorf("the %s of another instance: %v", name, err)
		}
	}
	for _, good := range []*Ensemble{whole, {client, prekey, e.prekey.Message(tag)}} {
		if _, err := good.Validate(e.clock.now); err != nil {
			t.Error(err)
		}
	}
}

func TestAMarkedEnsembleIsNotFoundAgain(t *testing.T) {
	e := newOfflineEnds(t)
	second, err := e.bob.NewPrekey(func(uint32) bool { return false })
	if err != nil {
		t.Fatal(err)
	}
	used, other := e.publication.Ensemble(e.prekey), e.publication.Ensemble(second)
	// Twice in one file, once folded as a mail program does it, beside another and a damaged one.
	line := used.AppendArmor(nil)
	folded := bytes.Join([][]byte{line[:70], line[70:]}, []byte("\r\n "))
	file := bytes.Join([][]byte{[]byte("here they are:"), line, []byte("?OTRP:AAAA."), other.AppendArmor(nil), folded}, []byte("\n"))
	places := used.Places(file)
	if len(places) != 2 || len(other.Places(file)) != 1 {
		t.Fatalf("%v and %v", places, other.Places(file))
	}
	for n := range len(UsedMark) + 1 { // also where the writing was interrupted
		marked := bytes.Clone(file)
		for _, at := range places {
			copy(marked[at:], UsedMark[:n])
		}
		valid, _ := ReadEnsembles(marked, e.clock.now)
		found := slices.ContainsFunc(valid, func(r *Recipient) bool { return r.Ensemble.Digest() == used.Digest() })
		if found != (n == 0) || len(other.Places(marked)) != 1 {
			t.Errorf("with %d bytes of the mark it is found: %v", n, found)
		}
	}
	if len(UsedMark) != len(UnusedMark) {
		t.Error("the marks differ in length")
	}
}

func TestADataMessageFitsTheSessionThatKnowsItsKey(t *testing.T) {
	e := newOfflineEnds(t)
	_, alice, bob := e.begin()
	fit := func(to *Engine, sender uint32, msg []byte) Fit {
		t.Helper()
		_, body, err := wire.ParseHeader(msg)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseData(body)
		if err != nil {
			t.Fatal(err)
		}
		return to.Fit(sender, &d)
	}
	first, second := sealText(t, alice, "first"), sealText(t, alice, "second")
	if got := fit(bob, 0x1001, first); got != FitKnown {
		t.Errorf("of the first ratchet: %v", got)
	}
	if got := fit(bob, 0x1009, first); got != FitNone {
		t.Errorf("of another instance: %v", got)
	}
	mustRead(t, bob, second, "second")
	answer := sealText(t, bob, "answer")
	if got := fit(alice, 0x1002, answer); got != FitNew {
		t.Errorf("of the next ratchet: %v", got)
	}
	mustRead(t, alice, answer, "answer")
	next := sealText(t, alice, "next")
	mustRead(t, bob, next, "next")
	if got := fit(bob, 0x1001, first); got != FitKnown {
		t.Errorf("of an old ratchet with a stored key: %v", got)
	}
	if got := fit(alice, 0x1001, first); got != FitNone {
		t.Errorf("of ourselves: %v", got)
	}
	for f, want := range map[Fit]string{FitNone: "none", FitNew: "new ratchet", FitKnown: "known key", 9: "Fit(9)"} {
		if f.String() != want {
			t.Errorf("%d is %q", int(f), f)
		}
	}
}

func TestAStoredSessionThatIsDamagedIsRefused(t *testing.T) {
	e := newOfflineEnds(t)
	_, alice, bob := e.begin()
	sealText(t, alice, "lost")
	mustRead(t, bob, sealText(t, alice, "read"), "read")
	b, err := bob.AppendSession(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range len(b) {
		r := wire.NewReader(b[:n])
		if _, err := e.bob.ReadSession(&r); !errors.Is(err, ErrState) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	other := bytes.Clone(b)
	other[0]++
	r := wire.NewReader(other)
	if _, err := e.bob.ReadSession(&r); !errors.Is(err, ErrState) {
		t.Errorf("of another form: %v", err)
	}
	if _, err := new(Engine).AppendSession(nil, 0); !errors.Is(err, ErrNoSession) {
		t.Errorf("of an engine without a session: %v", err)
	}
}
