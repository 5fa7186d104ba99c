package live

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// A listener is a session to which things happen, and what it prints of them.
type listener struct {
	*Session
	t    *testing.T
	file string
}

func newListener(t *testing.T, values options.Values) *listener {
	t.Helper()
	o, err := values.Options(nil)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "stderr")
	stderr, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stderr.Close() })
	s := newSession(t, "a")
	s.IO = terminal.NewIO("otrpipe", stderr, stderr, stderr)
	s.options = o
	t.Cleanup(func() { s.Finish(nil) })
	return &listener{s, t, file}
}

// hears returns what is printed when something happens.
func (l *listener) hears(what otr.Event) string {
	l.t.Helper()
	l.event(stream.Event{What: what, Count: 1})
	return l.said()
}

// said returns what has been printed since the last time.
func (l *listener) said() string {
	l.t.Helper()
	l.Messages.Flush(patience)
	text, err := os.ReadFile(l.file)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := os.Truncate(l.file, 0); err != nil {
		l.t.Fatal(err)
	}
	return string(text)
}

// hints are what the user can do after each way in which there can be no session.
func (l *listener) hints() []string {
	return []string{
		exit.As(l.explain(stream.ErrTimeout)).Hint,
		exit.As(l.explain(stream.ErrClosedBeforeSession)).Hint,
	}
}

func wantWords(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q does not say %q", text, word)
		}
	}
}

func TestAnotherClientThatIsRefusedIsToldOf(t *testing.T) {
	l := newListener(t, nil)
	key, err := keys.ParseFingerprint(strings.Repeat("ab", 56))
	if err != nil {
		t.Fatal(err)
	}
	said := l.hears(otr.OtherKey{Fingerprint: key, Version: 4, Instance: 0x1234})
	wantWords(t, said, key.String(), "was refused", "this session goes on", "hint: if that is another device of the peer: contacts add takes its key")
}

// A program that reads --events sees other clients of the peer as well.
func TestOtherClientsAreEvents(t *testing.T) {
	l := newListener(t, nil)
	file := filepath.Join(t.TempDir(), "events")
	f, err := events.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	log := events.NewLog(f, "a", t.Errorf)
	l.logs = append(l.logs, log)
	key, err := keys.ParseFingerprint(strings.Repeat("ab", 56))
	if err != nil {
		t.Fatal(err)
	}
	l.hears(otr.SecondClient{Version: 3, Instance: 0x1234})
	l.hears(otr.OtherKey{Fingerprint: key, Version: 4, Instance: 0x5678})
	log.Close()
	written, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	wantWords(t, string(written),
		`"event":"second_client","session":"a","version":3,"contact":null,"instance":"00001234"}`,
		`"event":"other_key","session":"a","version":4,"fingerprint":"`+strings.Repeat("ab", 56)+`","contact":null,"instance":"00005678"}`)
}

// An expired profile is told as what it is at the end that has found it, and at the one
// whose profile it is; so is the end that comes of it.
func TestAProfileThatHasExpiredIsToldWithItsDateAndAWordOnClocks(t *testing.T) {
	expires := time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)
	ahead, behind := newListener(t, nil), newListener(t, nil)
	said := ahead.hears(otr.ProfileExpired{Expires: expires, Now: expires.Add(30 * time.Hour)})
	wantWords(t, said, "expired on 2030-01-02 00:00 UTC", "our clock says 2030-01-03 06:00 UTC", "hint: compare the date and the time of both machines")
	said = behind.hears(otr.PeerError{Text: "Profile expired 2030-01-02; my clock: 2030-01-03", Expired: true})
	wantWords(t, said, "expired 2030-01-02; my clock: 2030-01-03", "one of the two clocks is wrong", "hint: compare the date and the time of both machines")
	for _, hint := range ahead.hints() {
		wantWords(t, hint, "2030-01-02", "2030-01-03", "clock")
	}
	for _, hint := range behind.hints() {
		wantWords(t, hint, "2030-01-02", "2030-01-03", time.Now().UTC().Format("2006-01-02"), "clock")
	}
}

func TestAKeyExchangeOfVersion4ThatFailsIsToldWithAWordOnAccountNames(t *testing.T) {
	refused := otr.Malformed{Reason: otr.ErrAuthentication}
	begun := otr.ExchangeBegun{Version: 4, Instance: 0x1234}
	without, with := newListener(t, nil), newListener(t, options.Values{
		options.AccountFlag: {"me@example.com"}, options.PeerAccountFlag: {"you there"},
	})
	for _, l := range []*listener{without, with} {
		for _, hint := range l.hints() {
			if strings.Contains(hint, "account") {
				t.Errorf("a peer that was not heard may want %q", hint)
			}
		}
		if said := l.hears(otr.ExchangeBegun{Version: 3}); said != "" {
			t.Errorf("a key exchange that goes on is told: %q", said)
		}
		for _, hint := range l.hints() {
			if strings.Contains(hint, "account") {
				t.Errorf("a peer of version 3 may want %q", hint)
			}
		}
		l.hears(begun)
	}
	all := without.hints()
	all = append(all, without.hears(refused))
	for _, hint := range all {
		wantWords(t, hint, "version 4", "otr4j and otrr", "--account", "--peer-account", "neither at both ends")
	}
	if again := without.hears(refused); strings.Contains(again, "hint") {
		t.Errorf("the hint comes again: %q", again)
	}
	all = append(with.hints(), with.hears(refused))
	for _, hint := range all {
		wantWords(t, hint, "version 4", "--account 'you there' --peer-account me@example.com", "neither at both ends")
	}
}

func TestErrorsOfThePeersProgramAreToldInWords(t *testing.T) {
	l := newListener(t, nil)
	said := l.hears(otr.PeerError{Text: "ERROR_3: Malformed message", Code: 3})
	wantWords(t, said, "reports an error: it got a malformed message", "(ERROR_3: Malformed message)")
	said = l.hears(otr.PeerError{Text: "no more coffee"})
	wantWords(t, said, "reports an error: no more coffee")
}

// A contact's name, and how well its key is known, are not said of a peer that has still to
// prove itself.
func TestAPeerThatHasStillToProveItselfIsNotCalledByItsName(t *testing.T) {
	key := fingerprint(t, 112)
	for _, standing := range []trust.Standing{trust.New, trust.Known, trust.Unverified} {
		l := newListener(t, options.Values{options.ContactFlag: {"bob"}})
		l.options.SMP = []byte("sesame")
		l.peer, l.session = &events.Peer{Version: 4, Trust: string(standing)}, otr.Session{Version: 4, Fingerprint: key}
		said := l.hears(otr.Secure{Session: l.session})
		wantWords(t, said, "secure with OTRv4 key "+key.String())
		if strings.Contains(said, "bob") || strings.Contains(said, string(standing)) {
			t.Errorf("%s: %q", standing, said)
		}
	}
}

// "Secure with bob" is said only when the key has been stored, because a first key that cannot
// be stored is refused.
func TestASessionIsCalledSecureOnceItsKeyHasBeenStored(t *testing.T) {
	met := otr.Session{Version: 3, Fingerprint: fingerprint(t, 40)}
	for name, test := range map[string]struct {
		known, full bool
		says        string // after the key has been stored or refused
	}{
		"a first key": {says: "secure with bob (new), OTRv3 key " + met.Fingerprint.String() +
			"\notrpipe: this key is also on file for carol\notrpipe: hint: if it is not the key of bob: otrpipe contacts remove bob"},
		"a first key that is not stored":  {full: true},
		"a stored key":                    {known: true, says: "secure with bob, OTRv3 (known)"},
		"a stored key that is not stored": {known: true, full: true, says: "secure with bob, OTRv3 (known)\notrpipe: what is on file about the key of bob cannot be updated"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListener(t, options.Values{options.ContactFlag: {"bob"}})
			if err := l.cfg.Home.RememberKey("carol", met.Fingerprint, keyfile.Seen, time.Now()); err != nil {
				t.Fatal(err)
			}
			if test.known {
				if err := l.cfg.Home.RememberKey("bob", met.Fingerprint, keyfile.Seen, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			if test.full { // no writer gets a lock that is a folder
				lock := filepath.Join(l.cfg.Home.Dir(), "lock")
				if err := errors.Join(os.Remove(lock), os.Mkdir(lock, 0o700)); err != nil {
					t.Fatal(err)
				}
			}
			l.keeper = trust.NewKeeper(trust.Config{Live: true, Home: l.cfg.Home, Contact: "bob", Level: trust.RequireNew})
			if err := l.verify(met); err != nil {
				t.Fatal(err)
			}
			if said := l.hears(otr.Secure{Session: met}); said != "" {
				t.Errorf("before the key is stored: %q", said)
			}
			err := l.admit(met)
			said := l.said()
			if refused := test.full && !test.known; (err != nil) != refused || refused && said != "" {
				t.Errorf("%q, %v", said, err)
			}
			wantWords(t, said, test.says)
		})
	}
}

// A verified key's session is announced before the comparison of secrets, which may take long.
func TestASessionWithAVerifiedKeyIsAnnouncedBeforeTheComparison(t *testing.T) {
	l := newListener(t, options.Values{options.ContactFlag: {"bob"}})
	l.options.SMP = []byte("sesame")
	met := otr.Session{Version: 3, Fingerprint: fingerprint(t, 40)}
	if err := l.cfg.Home.RememberKey("bob", met.Fingerprint, keyfile.Verified, time.Now()); err != nil {
		t.Fatal(err)
	}
	l.keeper = trust.NewKeeper(trust.Config{Live: true, Home: l.cfg.Home, Contact: "bob", Level: trust.RequireNew, SMP: true})
	if err := l.verify(met); err != nil {
		t.Fatal(err)
	}
	wantWords(t, l.hears(otr.Secure{Session: met}), "secure with bob, OTRv3 (verified)")
	if err := l.admit(met); err != nil {
		t.Fatal(err)
	}
	if said := l.said(); said != "" {
		t.Errorf("once the secret has been compared: %q", said)
	}
}

// Nor is it called so in any other message.
func TestAPeerHasItsContactsNameOnceEveryCheckHasPassed(t *testing.T) {
	l := newListener(t, options.Values{options.ContactFlag: {"bob"}})
	l.keeper = trust.NewKeeper(trust.Config{Live: true, Home: l.cfg.Home, Contact: "bob", Level: trust.RequireNew})
	met := otr.Session{Version: 3, Fingerprint: fingerprint(t, 40)}
	if err := l.verify(met); err != nil {
		t.Fatal(err)
	}
	if said := l.hears(otr.SMPAsked{Question: "which?"}); strings.Contains(said, "bob") || !strings.Contains(said, "the peer asks") {
		t.Errorf("before: %q", said)
	}
	if err := l.admit(met); err != nil {
		t.Fatal(err)
	}
	wantWords(t, l.hears(otr.SMPAsked{Question: "which?"}), "bob asks")
}

// A client of version 3 or older is begun with in mode lines, by a key exchange; all others
// are asked by a query.
func TestOnlyAnOldClientInModeLinesIsBegunWithAtOnce(t *testing.T) {
	contact := func(version int) keyfile.Contact {
		digits := 40
		if version == 4 {
			digits = 112
		}
		key, err := keys.ParseFingerprint(strings.Repeat("ab", digits/2))
		if err != nil {
			t.Fatal(err)
		}
		client := keyfile.Client{OTR: version, Instance: 0x1234}
		if version == 2 {
			client.Instance = 0
		}
		return keyfile.Contact{Name: "bob", Keys: []keyfile.ContactKey{{Fingerprint: key, Client: client}}}
	}
	for _, test := range []struct {
		mode    string
		version int
		allowed otr.Policy
		want    otr.Peer
	}{
		{options.ModeLines, 3, otr.AllowV3, otr.Peer{Version: 3}},
		{options.ModeLines, 2, otr.AllowV2, otr.Peer{Version: 2}},
		{options.ModeLines, 4, otr.AllowV3 | otr.AllowV4, otr.Peer{}},
		{options.ModeStream, 3, otr.AllowV3, otr.Peer{}},
		{options.ModeStream, 4, otr.AllowV4, otr.Peer{}},
	} {
		l := newListener(t, options.Values{options.ModeFlag: {test.mode}})
		if got := l.firstClient(contact(test.version), test.allowed); got != test.want {
			t.Errorf("mode %s, version %d: %+v, want %+v", test.mode, test.version, got, test.want)
		}
	}
}
