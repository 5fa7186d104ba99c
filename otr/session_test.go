package otr_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v3"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

var bothVersions = map[string]otr.Policy{"version 2": otr.AllowV2, "version 3": otr.AllowV3}

// dataOf parses a data message in one line.
func dataOf(t testing.TB, line []byte) v3.Data {
	t.Helper()
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		t.Fatal(err)
	}
	_, body, err := wire.ParseHeader(msg)
	if err != nil {
		t.Fatal(err)
	}
	m, err := v3.ParseData(body)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSecureComesFirstAndNamesTheKey(t *testing.T) {
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSession(t, policy(version))
			for i, e := range []*end{alice, bob} {
				s := find[otr.Secure](t, e.take())
				if s.Refreshed || s.Fingerprint != testKeys()[1-i].Public().Fingerprint() {
					t.Fatalf("%v", s)
				}
				if now, ok := e.Session(); !ok || now != s.Session || !now.Since.Equal(e.clock.now) {
					t.Fatalf("%+v", now)
				}
			}
			alice.clock.advance(time.Second)
			converse(alice, bob, alice.refresh())
			for _, e := range []*end{alice, bob} {
				if !find[otr.Secure](t, e.take()).Refreshed {
					t.Fatal("not said to be refreshed")
				}
			}
		})
	}
}

func TestLinesNeverExceedMaxSize(t *testing.T) {
	for name, version := range bothVersions {
		for _, size := range []int{64, 65, 100, 400, 1000} {
			if testing.Short() && (size != 64 || version == otr.AllowV2) {
				continue
			}
			t.Run(fmt.Sprint(name, "/", size), func(t *testing.T) {
				limit := func(c *otr.Config) { c.MaxSize = size }
				alice, bob := newPair(t, policy(version|otr.RestartAKE), limit)
				check := func(lines [][]byte) [][]byte {
					for _, line := range lines {
						if len(line) > size {
							t.Fatalf("a line of %d bytes: %q", len(line), line)
						}
					}
					return lines
				}
				run := func(from, to *end, lines [][]byte) {
					for rounds := 0; len(check(lines)) > 0; rounds++ {
						mayGoOn(t, rounds)
						lines = to.all(lines)
						from, to = to, from
					}
				}
				run(alice, bob, alice.Query())
				wantSameSession(t, alice, bob)
				text := strings.Repeat("0123456789", 300)
				run(alice, bob, alice.say(text))
				if strings.Join(bob.texts, "") != text {
					t.Fatal("the text did not arrive")
				}
				lines, err := alice.StartSMP([]byte("secret"), "why?")
				if err != nil {
					t.Fatal(err)
				}
				run(alice, bob, lines)
				if lines, err = bob.AnswerSMP([]byte("secret")); err != nil {
					t.Fatal(err)
				}
				run(bob, alice, lines)
				find[otr.SMPSucceeded](t, alice.take())
				if lines, err = alice.End(); err != nil {
					t.Fatal(err)
				}
				late := bob.say("late")
				run(alice, bob, lines)
				run(bob, alice, late)
			})
		}
	}
}

func TestPlaintextsArePaddedToMultiples(t *testing.T) {
	slowtest.SkipShort(t)
	for _, pad := range []int{1, 2, 5, 16, 256, 1000, 65535, 65536} {
		t.Run(fmt.Sprint(pad), func(t *testing.T) {
			alice, bob := newSession(t, func(c *otr.Config) { c.Pad = pad })
			for _, size := range []int{0, 1, pad - 6, pad - 5, pad - 4, pad - 1, pad, pad + 1, 3000} {
				if size < 0 {
					continue
				}
				for _, tlvs := range [][]wire.TLV{nil, {{Type: 0x6f01, Value: []byte("abc")}}} {
					text := strings.Repeat("x", size)
					b, err := alice.AppendMessage(nil, otr.Message{Text: []byte(text), TLVs: tlvs})
					if err != nil {
						t.Fatal(err)
					}
					line := bytes.TrimSuffix(b, []byte("\n"))
					if n := len(dataOf(t, line).Encrypted); n%pad != 0 || n == 0 {
						t.Fatalf("%d bytes", n)
					}
					got := bob.receive(line)
					if string(got.Text) != text || len(got.TLVs) != len(tlvs) || !got.DataMessage {
						t.Fatalf("%d bytes became %d, %d TLVs: %v", size, len(got.Text), len(got.TLVs), got.Events)
					}
				}
			}
		})
	}
}

func TestHeartbeatAfterSilence(t *testing.T) {
	alice, bob := newSession(t, func(c *otr.Config) { c.Heartbeat = time.Minute })
	start := alice.clock.now
	if next := alice.NextTick(); !next.Equal(start.Add(time.Minute)) {
		t.Fatal(next)
	}
	alice.clock.advance(59 * time.Second)
	if got, err := alice.Tick(); err != nil || len(got.Send) != 0 {
		t.Fatal(got, err)
	}
	alice.clock.advance(time.Second)
	got, err := alice.Tick()
	if err != nil || kinds(got.Send) != "Data" {
		t.Fatal(got, err)
	}
	if dataOf(t, got.Send[0]).Flags != wire.FlagIgnoreUnreadable {
		t.Fatal("it may be complained about")
	}
	bob.take()
	received := bob.receive(got.Send[0])
	if received.HasText || !received.DataMessage || len(received.Events) != 0 {
		t.Fatalf("%+v", received)
	}
	if next := alice.NextTick(); !next.Equal(alice.clock.now.Add(time.Minute)) {
		t.Fatal(next)
	}
	// When a message could get lost none is sent, and NextTick does not ask for one.
	alice.clock.advance(30 * time.Second)
	alice.all(bob.all(alice.refresh()))
	alice.clock.advance(40 * time.Second)
	if got, err := alice.Tick(); err != nil || kinds(got.Send) != "D-H Commit" || !alice.Exchanging() {
		t.Fatal(got, err)
	}
}

func TestSessionExpires(t *testing.T) {
	alice, bob := newSession(t, func(c *otr.Config) { c.Expire = time.Hour })
	alice.clock.advance(59 * time.Minute)
	wantTalk(t, alice, bob) // the keys change
	alice.clock.advance(59 * time.Minute)
	if got, err := alice.Tick(); err != nil || len(got.Send)+len(got.Events) != 0 {
		t.Fatal(got, err)
	}
	alice.clock.advance(time.Minute)
	if next := alice.NextTick(); next.After(alice.clock.now) {
		t.Fatal(next)
	}
	got, err := alice.Tick()
	if err != nil || !find[otr.Ended](t, got.Events).Expired || alice.State() != otr.StatePlaintext {
		t.Fatal(got, err)
	}
	bob.take()
	bob.all(got.Send)
	find[otr.PeerEnded](t, bob.take())
	if !alice.NextTick().IsZero() {
		t.Fatal(alice.NextTick())
	}
}

// TestTickingMakesProgress calls Tick whenever NextTick says so, in every stage
// of a key exchange, until there is nothing left to do.
func TestTickingMakesProgress(t *testing.T) {
	slowtest.SkipShort(t)
	for steps := range 4 {
		for _, within := range []bool{false, true} {
			alice, bob := newPair(t)
			if within {
				alice, bob = newSession(t)
			}
			lines, from, to := alice.refresh(), alice, bob
			for range steps {
				lines = to.all(lines)
				from, to = to, from
			}
			for _, e := range []*end{alice, bob} {
				for rounds := 0; !e.NextTick().IsZero(); rounds++ {
					if rounds == 10 {
						t.Fatalf("%s ticks for ever in %v", e.name, e.AuthState())
					}
					if next := e.NextTick(); next.After(e.clock.now) {
						e.clock.now = next
					}
					got, err := e.Tick()
					if err != nil {
						t.Fatal(err)
					}
					e.note(got)
				}
				if e.AuthState() != otr.AuthNone {
					t.Fatalf("%s still in %v", e.name, e.AuthState())
				}
			}
			converse(bob, alice, bob.refresh())
			wantSameSession(t, alice, bob)
		}
	}
}

func TestExchangeThatIsNotAnsweredCanBeBegunAgain(t *testing.T) {
	alice, bob := newSession(t)
	alice.all(bob.all(alice.refresh())) // the Reveal Signature gets lost
	if lines := alice.refresh(); lines != nil {
		t.Fatalf("%s too early", kinds(lines))
	}
	alice.clock.advance(5 * time.Second)
	converse(alice, bob, alice.refresh())
	wantSameSession(t, alice, bob)
	wantTalk(t, alice, bob)
}

func TestRevealedCommitmentIsNotOfferedAgain(t *testing.T) {
	alice, bob := newSession(t)
	first := alice.refresh()
	if again := alice.refresh(); again != nil {
		t.Fatal("the first one is fresh, and yet it is sent again")
	}
	alice.clock.advance(3 * time.Second)
	if again := alice.refresh(); !bytes.Equal(first[0], again[0]) {
		t.Fatal("the first one was not answered, and yet there is another")
	}
	alice.all(bob.all(first))
	alice.clock.advance(12 * time.Second) // four times as long as the answer took
	if again := alice.refresh(); bytes.Equal(first[0], again[0]) {
		t.Fatal("the same again")
	}
}

func TestExtraKeyAgrees(t *testing.T) {
	alice, bob := newSession(t)
	wantTalk(t, alice, bob)
	for i, p := range [][2]*end{{alice, bob}, {bob, alice}, {alice, bob}} {
		key, lines, err := p[0].ExtraKey(uint32(i), []byte("for a file"))
		if err != nil || len(key) != 32 {
			t.Fatal(err)
		}
		p[1].take()
		p[1].all(lines)
		e := find[otr.ExtraKeyReceived](t, p[1].take())
		if e.Use != uint32(i) || string(e.Data) != "for a file" || !bytes.Equal(e.Key, key) {
			t.Fatalf("%+v", e)
		}
		if strings.Contains(e.String(), fmt.Sprintf("%x", key)) {
			t.Fatal("the event shows the key")
		}
	}
}

func TestVersion2HasNoExtraKey(t *testing.T) {
	alice, bob := newSession(t, policy(otr.AllowV2))
	if _, _, err := alice.ExtraKey(0, nil); err == nil {
		t.Fatal("it has")
	}
	wantTalk(t, alice, bob)
}

func TestEndRevealsTheMACKeys(t *testing.T) {
	for name, version := range bothVersions {
		t.Run(name, func(t *testing.T) {
			alice, bob := newSession(t, policy(version))
			wantTalk(t, alice, bob)
			lines, err := alice.End()
			if err != nil || len(lines) != 1 {
				t.Fatal(err)
			}
			if n := len(dataOf(t, lines[0]).OldMACKeys); n == 0 {
				t.Fatal("none")
			}
			if again, err := alice.End(); err != nil || len(again) != 0 {
				t.Fatal("ended twice")
			}
			bob.all(lines)
			if bob.State() != otr.StateFinished {
				t.Fatal(bob.State())
			}
		})
	}
}

func TestPrivateRecordsComeToTheCaller(t *testing.T) {
	alice, bob := newSession(t)
	b, err := alice.AppendMessage(nil, otr.Message{Text: []byte("text"), TLVs: []wire.TLV{
		{Type: 0x6f01, Value: []byte("one")}, {Type: wire.TLVPadding, Value: []byte("pad")}, {Type: 0x6f02},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := bob.receive(bytes.TrimSuffix(b, []byte("\n")))
	if string(got.Text) != "text" || len(got.TLVs) != 2 || string(got.TLVs[0].Value) != "one" || got.TLVs[1].Type != 0x6f02 {
		t.Fatalf("%+v", got)
	}
}

func TestSMP(t *testing.T) {
	for name, version := range bothVersions {
		for _, c := range []struct{ alice, bob, question string }{
			{"secret", "secret", ""}, {"secret", "secret", "which?"}, {"secret", "another", "which?"},
		} {
			if testing.Short() && version == otr.AllowV2 {
				continue
			}
			t.Run(name+"/"+c.alice+" and "+c.bob+" "+c.question, func(t *testing.T) {
				alice, bob := newSession(t, policy(version))
				for range 2 { // a second run succeeds, or fails, like the first
					alice.take()
					bob.take()
					lines, err := alice.StartSMP([]byte(c.alice), c.question)
					if err != nil {
						t.Fatal(err)
					}
					converse(alice, bob, lines)
					if q := find[otr.SMPAsked](t, bob.take()).Question; q != c.question {
						t.Fatalf("%q", q)
					}
					if lines, err = bob.AnswerSMP([]byte(c.bob)); err != nil {
						t.Fatal(err)
					}
					converse(bob, alice, lines)
					for _, e := range []*end{alice, bob} {
						events := e.take()
						succeeded, failed := count[otr.SMPSucceeded](events), count[otr.SMPFailed](events)
						if same := c.alice == c.bob; same != (succeeded == 1) || same == (failed == 1) {
							t.Fatalf("%s: %v", e.name, events)
						}
					}
				}
				wantTalk(t, alice, bob)
			})
		}
	}
}

func TestSMPEndsWithAbortOrSession(t *testing.T) {
	alice, bob := newSession(t)
	start := func() {
		t.Helper()
		lines, err := alice.StartSMP([]byte("secret"), "")
		if err != nil {
			t.Fatal(err)
		}
		bob.all(lines)
		alice.take()
		bob.take()
	}
	start()
	lines, err := bob.AbortSMP()
	if err != nil {
		t.Fatal(err)
	}
	alice.all(lines)
	find[otr.SMPAborted](t, alice.take())
	start()
	converse(alice, bob, alice.refresh())
	find[otr.SMPAborted](t, alice.take())
	find[otr.SMPAborted](t, bob.take())
	if _, err := bob.AnswerSMP([]byte("secret")); err == nil {
		t.Fatal("an answer in another session")
	}
	wantTalk(t, alice, bob)
}

func TestUnusableConfigurations(t *testing.T) {
	good := otr.Config{DSA: testKeys()[0], Policy: otr.AllowV3, Rand: testRand(1), Now: newClock().Now}
	if _, err := otr.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*otr.Config){
		"no randomness":      func(c *otr.Config) { c.Rand = nil },
		"no clock":           func(c *otr.Config) { c.Now = nil },
		"no version":         func(c *otr.Config) { c.Policy = otr.RequireEncryption },
		"no key":             func(c *otr.Config) { c.DSA = nil },
		"a low tag":          func(c *otr.Config) { c.InstanceTag = 0xff },
		"lines too short":    func(c *otr.Config) { c.MaxSize = 63 },
		"a peer's low tag":   func(c *otr.Config) { c.Peer.Instance = 0xff },
		"a tag in version 2": func(c *otr.Config) { c.Peer.Version, c.Peer.Instance = 2, 0x1234 },
		"a query of lines":   func(c *otr.Config) { c.QueryText = "one\ntwo" },
		"negative padding":   func(c *otr.Config) { c.Pad = -1 },
		"too much padding":   func(c *otr.Config) { c.Pad = 65537 },
		"broken randomness":  func(c *otr.Config) { c.Rand = strings.NewReader("") },
	} {
		t.Run(name, func(t *testing.T) {
			c := good
			spoil(&c)
			if _, err := otr.New(c); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}
