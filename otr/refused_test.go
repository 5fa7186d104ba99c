package otr_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// append appends a message to no lines, and returns its lines.
func (e *end) append(m otr.Message) [][]byte {
	e.t.Helper()
	b, err := e.AppendMessage(nil, m)
	if err != nil {
		e.t.Fatalf("%s: %v", e.name, err)
	}
	return bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n"))
}

// everyVersion are the versions, each with what a Config needs for it.
var everyVersion = map[string]func(*otr.Config){"2": policy(otr.AllowV2), "3": policy(otr.AllowV3), "4": withVersion4}

func TestDamagedFragmentsAreToldOfAndChangeNothing(t *testing.T) {
	alice, bob := newSession(t)
	piece := func(n, of int, text string) []byte {
		return fmt.Appendf(nil, "?OTR|%08x|%08x,%05d,%05d,%s,", alice.InstanceTag(), bob.InstanceTag(), n, of, text)
	}
	for name, c := range map[string]struct {
		lines [][]byte
		want  error // nil: any
		text  string
	}{
		"an index behind the total":  {[][]byte{piece(3, 2, "x")}, wire.ErrFragment, ""},
		"a piece that is missing":    {[][]byte{piece(1, 3, "x"), piece(3, 3, "x")}, wire.ErrFragmentOrder, ""},
		"fragments inside fragments": {[][]byte{piece(1, 2, "?OTR|1|2,1,1"), piece(2, 2, ",x,")}, nil, "fragment"},
	} {
		bob.take()
		for _, line := range c.lines {
			if got := bob.receive(line); len(got.Send) > 0 || got.HasText || got.Unencrypted != nil {
				t.Errorf("%s: %+v", name, got)
			}
		}
		e := find[otr.Malformed](t, bob.take())
		if c.want != nil && !errors.Is(e.Reason, c.want) || !strings.Contains(e.Reason.Error(), c.text) {
			t.Errorf("%s: %v", name, e.Reason)
		}
		wantTalk(t, alice, bob)
	}
}

func TestALineThatIsCutIsToldOfWhenItsEndDoesNotCome(t *testing.T) {
	alice, bob := newSession(t)
	line := alice.say(strings.Repeat("long ", 50))[0]
	if got := bob.receive(line[:len(line)/2]); len(got.Events) > 0 || len(got.Send) > 0 {
		t.Errorf("at once: %+v", got)
	}
	next := bob.NextTick()
	if next.IsZero() {
		t.Fatal("nothing is waited for")
	}
	bob.clock.advance(next.Sub(bob.clock.Now()))
	got, err := bob.Tick()
	if err != nil || len(got.Send) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if e := find[otr.Malformed](t, got.Events); !errors.Is(e.Reason, wire.ErrCut) {
		t.Error(e.Reason)
	}
	wantTalk(t, alice, bob)
}

func TestAMessageToSomebodyWhoIsAwayIsNotReadInAConversation(t *testing.T) {
	alice, bob := newSession(t, withVersion4)
	h := wire.Header{Version: 4, Type: wire.TypeNonInteractiveAuth, Sender: alice.InstanceTag(), Receiver: bob.InstanceTag()}
	got := bob.receive(wire.AppendArmor(nil, append(h.Append(nil), 0)))
	if e := find[otr.Malformed](t, got.Events); !errors.Is(e.Reason, otr.ErrOffline) || len(got.Send) > 0 {
		t.Errorf("%v, answer %q", e.Reason, got.Send)
	}
	wantTalk(t, alice, bob)
}

func TestExtraKeysThatNobodyCanHaveAreToldOf(t *testing.T) {
	slowtest.SkipShort(t)
	const typeExtraKey = 8 // of versions 2 and 3
	for name, c := range map[string]struct {
		configure func(*otr.Config)
		tlvs      []wire.TLV
		keys      int
		reason    string
	}{
		"version 3, no use":    {everyVersion["3"], []wire.TLV{{Type: typeExtraKey, Value: []byte{0, 0, 1}}}, 0, "without its use"},
		"version 4, too often": {everyVersion["4"], manyExtraKeys(20), 10, "more than 10 extra symmetric keys"},
	} {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSession(t, c.configure)
			wantTalk(t, alice, bob)
			bob.take()
			bob.all(alice.append(otr.Message{TLVs: c.tlvs}))
			events := bob.take()
			received, refused := count[otr.ExtraKeyReceived](events), count[otr.Malformed](events)
			if received != c.keys || refused != len(c.tlvs)-c.keys {
				t.Errorf("%d keys and %d refusals of %d records: %v", received, refused, len(c.tlvs), events)
			}
			for _, e := range events {
				if e, ok := e.(otr.Malformed); ok && !strings.Contains(e.Reason.Error(), c.reason) {
					t.Errorf("refused because of %v, want %q", e.Reason, c.reason)
				}
			}
			wantTalk(t, alice, bob)
		})
	}
}

// manyExtraKeys announces n uses of an extra key, and a message of version 4 has ten.
func manyExtraKeys(n int) (tlvs []wire.TLV) {
	for i := range n {
		tlvs = append(tlvs, wire.TLV{Type: v4.TLVExtraKey, Value: []byte{0, 0, 0, byte(i)}})
	}
	return tlvs
}

// A message that reveals every MAC key does not end the session: the two ends continue to
// talk, and the revealed keys verify no further message.
func TestTheTwoTalkOnAfterEveryMACKeyWasRevealed(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		t.Run(version, func(t *testing.T) {
			alice, bob := newSession(t, configure)
			wantTalk(t, alice, bob)
			late := alice.say("late")
			lines := bob.append(otr.Message{Text: []byte("all"), RevealAll: true})
			alice.take()
			alice.all(lines)
			if last := alice.texts[len(alice.texts)-1]; last != "all" {
				t.Fatalf("it does not arrive: %v", alice.take())
			}
			if version == "4" {
				bob.all(late) // its keys still exist
				if last := bob.texts[len(bob.texts)-1]; last != "late" {
					t.Errorf("what was on its way is lost: %v", bob.take())
				}
			}
			wantTalk(t, alice, bob)
		})
	}
}

func TestWhatDoesNotFitInAMessageChangesNothing(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		alice, bob := newSession(t, configure)
		for name, c := range map[string]struct {
			m    otr.Message
			want error
		}{
			"a long record": {otr.Message{TLVs: []wire.TLV{{Type: 0x6F00, Value: make([]byte, wire.MaxTLVValue+1)}}}, otr.ErrTooLong},
			"a long text":   {otr.Message{Text: bytes.Repeat([]byte("x"), wire.MaxMessage)}, otr.ErrTooLong},
			"a NUL":         {otr.Message{Text: []byte("a\x00b")}, otr.ErrNUL},
		} {
			if b, err := alice.AppendMessage(nil, c.m); !errors.Is(err, c.want) || len(b) > 0 {
				t.Errorf("version %s, %s: %d bytes, %v", version, name, len(b), err)
			}
			if b, err := alice.AppendMessages(nil, []otr.Message{c.m}); !errors.Is(err, c.want) || len(b) > 0 {
				t.Errorf("version %s, %s among many: %d bytes, %v", version, name, len(b), err)
			}
		}
		wantTalk(t, alice, bob)
	}
}

func TestASessionSaysWhenItWillExpire(t *testing.T) {
	const after = time.Hour
	alice, bob := newPair(t, func(c *otr.Config) { c.Expire = after })
	if at, d := alice.Expires(); !at.IsZero() || d != 0 {
		t.Errorf("before it begins: %v, %v", at, d)
	}
	converse(alice, bob, alice.Query())
	began := alice.clock.Now()
	if at, d := alice.Expires(); !at.Equal(began.Add(after)) || d != after {
		t.Errorf("at its beginning: %v, %v", at, d)
	}
	alice.clock.advance(after - time.Second)
	if got, err := alice.Tick(); err != nil || count[otr.Ended](got.Events) != 0 {
		t.Errorf("a second before: %v, %v", got.Events, err)
	}
	alice.clock.advance(time.Second)
	if got, err := alice.Tick(); err != nil || count[otr.Ended](got.Events) != 1 {
		t.Errorf("then: %v, %v", got.Events, err)
	}
	if at, _ := alice.Expires(); !at.IsZero() {
		t.Errorf("after its end: %v", at)
	}
	never, _ := newSession(t)
	if at, _ := never.Expires(); !at.IsZero() {
		t.Errorf("one that does not expire: %v", at)
	}
}

// Preparing the next keys in advance makes no difference.
func TestKeysThatAreMadeAheadMakeNoDifference(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		alice, bob := newPair(t, configure)
		if alice.Prepare() != nil {
			t.Errorf("version %s: there is something to prepare before a session", version)
		}
		converse(alice, bob, alice.Query())
		prepared := 0
		for range 3 {
			wantTalk(t, alice, bob)
			for _, e := range []*end{alice, bob} {
				if work := e.Prepare(); work != nil {
					work()
					prepared++
				}
			}
		}
		wantTalk(t, alice, bob)
		if prepared == 0 {
			t.Errorf("version %s: no keys were made ahead", version)
		}
	}
}

func TestAClientProfileIsKeptAndOnlyWhereItIsOfUse(t *testing.T) {
	var cfg otr.Config
	newEnd(t, "alice", 0, 1, newClock(), withVersion4, func(c *otr.Config) { c.InstanceTag = 0x1234; cfg = *c })
	first, err := otr.ClientProfile(cfg)
	if err != nil || len(first) == 0 {
		t.Fatal(err)
	}
	r := wire.NewReader(first)
	profile, err := v4.ReadProfile(&r)
	if err != nil || r.End() != nil {
		t.Fatal(err, r.End())
	}
	if _, err := profile.Validate(0x1234, cfg.Now()); err != nil {
		t.Error(err)
	}
	cfg.ClientProfile = first
	if again, err := otr.ClientProfile(cfg); err != nil || !bytes.Equal(again, first) {
		t.Errorf("another one is made where that one will do: %v", err)
	}
	cfg.InstanceTag++
	if other, err := otr.ClientProfile(cfg); err != nil || bytes.Equal(other, first) {
		t.Errorf("that of another instance is taken: %v", err)
	}
	none := cfg
	none.Policy = otr.AllowV3
	if p, err := otr.ClientProfile(none); p != nil || err != nil {
		t.Errorf("without version 4: %x, %v", p, err)
	}
	for name, spoil := range map[string]func(*otr.Config){
		"no key":         func(c *otr.Config) { c.Ed448 = nil },
		"no forging key": func(c *otr.Config) { c.Forging = nil },
		"no clock":       func(c *otr.Config) { c.Now = nil },
		"no randomness":  func(c *otr.Config) { c.Rand = nil },
	} {
		spoilt := cfg
		spoil(&spoilt)
		if p, err := otr.ClientProfile(spoilt); p != nil || !errors.Is(err, otr.ErrConfig) {
			t.Errorf("%s: %x, %v", name, p, err)
		}
	}
}

func TestWhatHasNoNameIsANumber(t *testing.T) {
	for got, want := range map[string]string{
		fmt.Sprint(otr.MessageState(9)): "MessageState(9)",
		fmt.Sprint(otr.StateFinished):   "MSGSTATE_FINISHED",
	} {
		if got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
	all := otr.AllowV2 | otr.AllowV3 | otr.AllowV4
	for _, version := range []int{0, 1, 5} {
		if all.Allows(version) {
			t.Errorf("version %d is allowed", version)
		}
	}
	alice, _ := newPair(t)
	if alice.Fingerprint(3).IsZero() || !alice.Fingerprint(4).IsZero() {
		t.Error("a fingerprint of version 4 without its key")
	}
	key := otr.SessionKey{Version: 3, Key: []byte("secret")}
	if s := fmt.Sprintf("%v %+v %x", key, key, key); strings.Contains(s, "secret") || strings.Contains(s, "736563") {
		t.Errorf("the key is printed: %s", s)
	}
}

func TestEachRunOfTheComparisonHasANumber(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		if testing.Short() && version != "3" {
			continue
		}
		alice, bob := newSession(t, configure)
		for run := range uint64(3) {
			lines, err := alice.StartSMP([]byte("secret"), "")
			if err != nil {
				t.Fatal(err)
			}
			bob.take()
			bob.all(lines)
			if asked := find[otr.SMPAsked](t, bob.take()); asked.Run != run+1 || bob.SMPRun() != run+1 {
				t.Errorf("version %s: run %d has number %d", version, run+1, asked.Run)
			}
			answer, err := bob.AnswerSMP([]byte("secret"))
			if err != nil {
				t.Fatal(err)
			}
			converse(bob, alice, answer)
			find[otr.SMPSucceeded](t, bob.take())
		}
	}
}

func TestComparisonsThatCrossAreToldOf(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range everyVersion {
		alice, bob := newSession(t, configure)
		fromAlice, err := alice.StartSMP([]byte("secret"), "")
		if err != nil {
			t.Fatal(err)
		}
		fromBob, err := bob.StartSMP([]byte("secret"), "")
		if err != nil {
			t.Fatal(err)
		}
		answers := bob.all(fromAlice)
		alice.all(append(fromBob, answers...))
		events := append(alice.take(), bob.take()...)
		if count[otr.SMPCrossed](events) == 0 || count[otr.SMPSucceeded](events) > 0 || count[otr.SMPFailed](events) > 0 {
			t.Errorf("version %s: %v", version, events)
		}
		wantTalk(t, alice, bob)
	}
}
