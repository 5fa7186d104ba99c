package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// speaks sets the versions of an end, and gives it the version 4 keys of another identity if
// it has any.
func speaks(key int, versions otr.Policy) func(*otr.Config) {
	return func(c *otr.Config) {
		c.Policy = versions | otr.RequireEncryption | otr.RestartAKE
		c.Ed448, c.Forging = testKeys4()[key].private, testKeys4()[key].forging
	}
}

// A stranger on the wire starts its own key exchange in mid-session. The link belongs to the
// first key: it ends, or with Stay the stranger is rejected and the first peer may come back.
// The stranger gets no text.
func TestAnotherKeyInMidSessionIsRefused(t *testing.T) {
	for _, stay := range []bool{false, true} {
		for _, moreKeys := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{}, relay{})
				connect := switchboard(b)
				no := errors.New("that is not bob's")
				bob := fingerprintOf(1)
				sameTag := func(c *otr.Config) { c.InstanceTag = 0x1234567 }
				ea := open(t, a, setting{lines: true, config: func(c *Config) {
					c.Stay, c.MoreKeys, c.OneSession = stay, moreKeys, true
					c.Verify = func(s otr.Session) error {
						if s.Fingerprint != bob {
							return no
						}
						return nil
					}
				}})
				wire := &cut{ReadWriteCloser: connect()}
				first := open(t, wire, setting{lines: true, key: 1, seed: 1, otr: sameTag})
				handshakeLines(t, ea.lines, first.lines)
				synctest.Wait()
				old, ok := ea.lines.Session()
				if !ok {
					t.Fatal("there is no session")
				}
				// The stranger takes over the wire; the first peer sends nothing more.
				wire.cut()
				wire = &cut{ReadWriteCloser: connect()}
				stranger := open(t, wire, setting{lines: true, key: 2, seed: 2, otr: sameTag, config: func(c *Config) { c.Initiate = false }})
				if err := stranger.lines.Do((*otr.Conversation).Refresh); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Second)
				ea.lines.WriteTextIn(old, []byte("for bob alone"))
				time.Sleep(time.Second)
				if n := stranger.stats().ReceivedMessages; n != 0 {
					t.Errorf("stay %v: the stranger got %d texts", stay, n)
				}
				if !stay {
					if err := ea.lines.Wait(); !errors.Is(err, ErrRefused) || !moreKeys && !errors.Is(err, ErrOtherKey) {
						t.Errorf("%v", err)
					}
					if stranger.lines.Wait(); stranger.lines.peerNumbers {
						t.Error("the stranger learns how many texts there were with bob")
					}
					if told[OurKeyRefused](stranger) != 1 {
						t.Errorf("the stranger is told nothing: %v", stranger.events())
					}
					return
				}
				if told[Refused](ea) == 0 || told[OurKeyRefused](stranger) == 0 {
					t.Errorf("nothing was told: %v, %v", ea.events(), stranger.events())
				}
				if _, err := ea.lines.WriteTextIn(old, []byte("late")); err != ErrNoSession {
					t.Errorf("writing to the session that is over: %v", err)
				}
				wire.cut()
				again := open(t, connect(), setting{lines: true, key: 1, seed: 3, otr: sameTag})
				handshakeLines(t, again.lines)
				synctest.Wait()
				now, ok := ea.lines.Session()
				if !ok || now == old {
					t.Fatal("the old peer's new session has no name of its own")
				}
				if _, err := ea.lines.WriteTextIn(old, []byte("late")); err != ErrSessionOver {
					t.Errorf("writing to the old session: %v", err)
				}
				if _, err := ea.lines.WriteTextIn(now, []byte("welcome back")); err != nil {
					t.Error(err)
				}
				if got, err := again.lines.ReadMessage(nil); string(got) != "welcome back" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
			})
		}
	}
}

// A cut transport loses what is written to it.
type cut struct {
	io.ReadWriteCloser
	is atomic.Bool
}

func (c *cut) Write(p []byte) (int, error) {
	if c.is.Load() {
		return len(p), nil
	}
	return c.ReadWriteCloser.Write(p)
}

func (c *cut) cut() {
	c.is.Store(true)
	c.Close()
}

// A further key exchange between the same two keys keeps the session, and its texts are still
// sent. An operation for a session that is over is not run.
func TestASessionKeepsItsNameThroughNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		one := func(c *Config) { c.Stay, c.OneSession = true, true }
		ea, eb := openPair(t, a, b, setting{lines: true, config: one}, setting{lines: true, config: one})
		handshakeLines(t, ea.lines, eb.lines)
		synctest.Wait()
		id, _ := ea.lines.Session()
		for i := range 3 {
			if err := ea.lines.DoIn(id, (*otr.Conversation).Refresh); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if now, _ := ea.lines.Session(); now != id {
				t.Errorf("after %d exchanges the session has another name", i+1)
			}
			text := fmt.Sprintf("text %d", i)
			if _, err := ea.lines.WriteTextIn(id, []byte(text)); err != nil {
				t.Error(err)
			}
			if got, err := eb.lines.ReadMessage(nil); string(got) != text || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		if err := eb.lines.Do((*otr.Conversation).End); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := ea.lines.Session(); ok {
			t.Error("the session goes on")
		}
		ran := false
		err := ea.lines.DoIn(id, func(*otr.Conversation) ([][]byte, error) { ran = true; return nil, nil })
		if err != ErrSessionOver || ran {
			t.Errorf("%v; run: %v", err, ran)
		}
		if err := ea.lines.DoIn(SessionID{}, func(*otr.Conversation) ([][]byte, error) { ran = true; return nil, nil }); err != ErrSessionOver || ran {
			t.Errorf("in no session: %v; run: %v", err, ran)
		}
		// The next session, with the same peer, is another one.
		if err := ea.lines.Do((*otr.Conversation).Start); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if next, ok := ea.lines.Session(); !ok || next == id {
			t.Fatalf("the next session is %v, %v", next, ok)
		}
		err = ea.lines.DoIn(id, func(*otr.Conversation) ([][]byte, error) { ran = true; return nil, nil })
		if err != ErrSessionOver || ran {
			t.Errorf("in the next session: %v; run: %v", err, ran)
		}
		if _, err := ea.lines.WriteTextIn(id, []byte("late")); err != ErrSessionOver {
			t.Errorf("a text for the old session: %v", err)
		}
		if _, err := ea.lines.WriteTextIn(SessionID{}, []byte("for nobody")); err != ErrNoSession {
			t.Errorf("a text for no session: %v", err)
		}
	})
}

// Events contain the id of their session even before its peer has passed every check. No
// operation runs in the session until then.
func TestNothingIsDoneInASessionWhosePeerHasYetToProveItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, _ := meet(t, setting{lines: true, config: secret("the secret")})
		eventually(t, "session", func() bool { return told[otr.Secure](e) > 0 })
		var id SessionID
		for _, event := range e.events() {
			if _, ok := event.What.(otr.Secure); ok {
				id = event.Session
			}
		}
		ran := false
		err := e.lines.DoIn(id, func(*otr.Conversation) ([][]byte, error) { ran = true; return nil, nil })
		if id == (SessionID{}) || err != ErrSessionOver || ran {
			t.Errorf("session %v: %v; run: %v", id, err, ran)
		}
		if _, err := e.lines.WriteTextIn(id, []byte("too early")); err != ErrSessionOver {
			t.Errorf("a text: %v", err)
		}
	})
}

// Texts of a peer that has not passed its checks are held. If another key replaces it and
// passes, they are not delivered as texts of that key.
func TestWhatAStrangerSaidIsNotDeliveredAsTheFriends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		connect := switchboard(b)
		sameTag := func(c *otr.Config) { c.InstanceTag = 0x1234567 }
		ea := open(t, a, setting{lines: true, config: secret("the secret")})
		wire := &cut{ReadWriteCloser: connect()}
		stranger := open(t, wire, setting{lines: true, key: 1, seed: 1, otr: sameTag})
		handshakeLines(t, stranger.lines)
		stranger.lines.WriteMessage([]byte("from the stranger"))
		eventually(t, "text", func() bool { return ea.stats().ReceivedMessages > 0 })
		wire.cut()
		friend := open(t, connect(), setting{lines: true, key: 2, seed: 2, otr: sameTag, config: func(c *Config) {
			secret("the secret")(c)
			c.Initiate = false
		}})
		if err := friend.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		handshakeLines(t, ea.lines, friend.lines)
		friend.lines.WriteMessage([]byte("from the friend"))
		if got, err := ea.lines.ReadMessage(nil); string(got) != "from the friend" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// If several keys of one contact are accepted, each has its own session, for which Admit is
// called. Texts for the previous session are not sent in it.
func TestAnotherKeyOfTheSameContactIsAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		connect := switchboard(b)
		sameTag := func(c *otr.Config) { c.InstanceTag = 0x1234567 }
		var admitted []keys.Fingerprint
		ea := open(t, a, setting{lines: true, config: func(c *Config) {
			c.MoreKeys, c.OneSession = true, true
			c.Admit = func(s otr.Session) error { admitted = append(admitted, s.Fingerprint); return nil }
		}})
		wire := &cut{ReadWriteCloser: connect()}
		first := open(t, wire, setting{lines: true, key: 1, seed: 1, otr: sameTag})
		handshakeLines(t, ea.lines, first.lines)
		synctest.Wait()
		old, _ := ea.lines.Session()
		wire.cut()
		second := open(t, connect(), setting{lines: true, key: 2, seed: 2, otr: sameTag, config: func(c *Config) { c.Initiate = false }})
		if err := second.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		handshakeLines(t, second.lines)
		time.Sleep(time.Second)
		if now, ok := ea.lines.Session(); !ok || now == old || told[Trusted](ea) != 2 {
			t.Errorf("session %v after %v; %v", now, old, ea.events())
		}
		if len(admitted) != 2 || admitted[0] != fingerprintOf(1) || admitted[1] != fingerprintOf(2) {
			t.Errorf("Admit was asked about %v", admitted)
		}
		if _, err := ea.lines.WriteTextIn(old, []byte("for the first")); err != ErrSessionOver {
			t.Errorf("%v", err)
		}
	})
}

// A peer that Admit rejects gets nothing.
func TestAPeerThatIsNotAdmittedIsRefused(t *testing.T) {
	for _, smp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{}, relay{})
			no := errors.New("somebody else was first")
			shared := func(c *Config) {
				if smp {
					secret("same")(c)
				}
			}
			ea, eb := openPair(t, a, b, setting{config: func(c *Config) {
				shared(c)
				c.Admit = func(otr.Session) error { return no }
			}}, setting{config: shared})
			io.WriteString(ea, "payload")
			if err := ea.Wait(); !errors.Is(err, ErrRefused) || !errors.Is(err, no) {
				t.Errorf("%v", err)
			}
			if told[Trusted](ea) != 0 || ea.stats().SentBytes != 0 {
				t.Errorf("%v", ea.events())
			}
			eb.Wait()
		})
	}
}

// strip removes version 4 from queries.
func strip(_ int, line []byte) [][]byte {
	return [][]byte{bytes.Replace(line, []byte("?OTRv34?"), []byte("?OTRv3?"), 1)}
}

// An attacker removes version 4 from both queries. HELLO and the mark of mode lines reveal
// this: it is reported, and the session is refused if that was asked for or a secret is
// shared.
func TestADowngradeIsToldAndRefusedWhereItMatters(t *testing.T) {
	for _, lines := range []bool{false, true} {
		for _, test := range []struct {
			name    string
			config  func(*Config)
			refused bool
		}{
			{"nothing asked", func(*Config) {}, false},
			{"refused", func(c *Config) { c.RefuseDowngrade = true }, true},
			{"a shared secret", secret("same"), true},
		} {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{filter: strip}, relay{filter: strip})
				both := otr.AllowV3 | otr.AllowV4
				ea, eb := openPair(t, a, b, setting{lines: lines, otr: speaks(0, both), config: test.config},
					setting{lines: lines, otr: speaks(1, both), config: test.config})
				if test.refused {
					for _, e := range []*end{ea, eb} {
						_, wait := e.handshaker()
						if err := wait(); !errors.Is(err, ErrDowngraded) || !errors.Is(err, ErrRefused) {
							t.Errorf("%s, lines %v: %v; %v", test.name, lines, err, e.events())
						}
						if e.stats().SentBytes != 0 {
							t.Errorf("%s: payload moved", test.name)
						}
					}
					return
				}
				for _, e := range []*end{ea, eb} {
					handshake, _ := e.handshaker()
					if err := handshake(context.Background()); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(time.Second)
				for _, e := range []*end{ea, eb} {
					if n := told[Downgraded](e); n != 1 {
						t.Errorf("%s, lines %v: told %d times; %v", test.name, lines, n, e.events())
					}
				}
			})
		}
	}
}

// An end that detects a downgrade before it has sent its own offer sends the offer with its
// last message, so that the peer learns of the downgrade too.
func TestADowngradeThatOneEndRefusesIsToldToTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var signature []byte
		// The peer's mark comes with the message that ends the key exchange.
		together := func(i int, line []byte) [][]byte {
			switch {
			case bytes.HasPrefix(line, []byte("?OTR:AAMS")):
				signature = bytes.Clone(line)
				return nil
			case signature != nil:
				line = append(signature, line...)
				signature = nil
				return [][]byte{line}
			}
			return strip(i, line)
		}
		a, b := cable(t, relay{filter: together}, relay{filter: strip})
		both := otr.AllowV3 | otr.AllowV4
		ea, eb := openPair(t, a, b, setting{lines: true, otr: speaks(0, both)}, setting{lines: true, otr: speaks(1, both), config: func(c *Config) {
			c.RefuseDowngrade, c.Initiate = true, false
		}})
		if err := eb.lines.Wait(); !errors.Is(err, ErrDowngraded) {
			t.Errorf("%v", err)
		}
		ea.lines.Wait()
		if told[Downgraded](ea) != 1 {
			t.Errorf("the other end was not told: %v", ea.events())
		}
	})
}

// Each session reports its own downgrade.
func TestADowngradeIsToldInEverySession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		without4 := func(i int, line []byte) [][]byte {
			if bytes.HasPrefix(line, []byte("?OTR:AAQ")) {
				return nil // otherwise they would switch to version 4
			}
			return strip(i, line)
		}
		a, b := cable(t, relay{filter: without4}, relay{filter: without4})
		both := otr.AllowV3 | otr.AllowV4
		stay := func(c *Config) { c.Stay = true }
		ea, eb := openPair(t, a, b, setting{lines: true, otr: speaks(0, both), config: stay}, setting{lines: true, otr: speaks(1, both), config: stay})
		for i := range 2 {
			if err := ea.lines.Do((*otr.Conversation).Start); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if told[Downgraded](ea) != i+1 || told[Downgraded](eb) != i+1 {
				t.Fatalf("session %d: %v", i, ea.events())
			}
			if err := ea.lines.EndSession(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
		}
	})
}

// An attacker who removes version 4 from the queries can also drop the mark that would reveal
// it. So each acknowledgement of texts repeats the offer, and an end that only sends texts
// still learns of the downgrade.
func TestADowngradeIsToldThoughTheMarkIsDropped(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			marks := 0
			unmarked := func(i int, line []byte) [][]byte {
				if bytes.HasPrefix(line, []byte("?OTR:AAMD")) {
					if marks++; marks == 1 {
						return nil // the mark is the first message of a session
					}
				}
				return strip(i, line)
			}
			a, b := cable(t, relay{filter: strip}, relay{filter: unmarked})
			both := otr.AllowV3 | otr.AllowV4
			ea, eb := openPair(t, a, b,
				setting{lines: true, otr: speaks(0, both), config: func(c *Config) { c.RefuseDowngrade = refuse }},
				setting{lines: true, otr: speaks(1, both)})
			handshakeLines(t, ea.lines, eb.lines)
			ea.lines.WriteMessage([]byte("a text"))
			time.Sleep(2 * ackEvery)
			if told[Downgraded](ea) != 1 {
				t.Errorf("it is not told: %v", ea.events())
			}
			if !refuse {
				return
			}
			if err := ea.lines.Wait(); !errors.Is(err, ErrDowngraded) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Two ends that offer exactly the versions that they use are never downgraded.
func TestAnHonestOlderVersionIsNoDowngrade(t *testing.T) {
	long(t)
	v3, both := otr.AllowV3, otr.AllowV3|otr.AllowV4
	for _, pair := range [][2]otr.Policy{{v3, both}, {both, v3}, {v3, v3}, {both, both}} {
		if quick() && pair[0] == pair[1] {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			refuse := func(c *Config) { c.RefuseDowngrade = true }
			a, b := cable(t, relay{}, relay{})
			ea, eb := openPair(t, a, b, setting{otr: speaks(0, pair[0]), config: refuse}, setting{otr: speaks(1, pair[1]), config: refuse})
			oa, ob := converseBoth(ea, eb, 5000, 6000)
			oa.whole(t, "a", 6000)
			ob.whole(t, "b", 5000)
			if told[Downgraded](ea)+told[Downgraded](eb) != 0 {
				t.Errorf("%v", ea.events())
			}
		})
	}
}

// One end offers version 3 only, the other both versions. Inside the session they tell each
// other their version 4 keys, switch to version 4 before any payload, and the peer counts as
// the same.
func TestKeysOfVersion4AreToldInASessionOfVersion3(t *testing.T) {
	long(t)
	t.Parallel()
	fingerprint4 := func(key int) keys.Fingerprint {
		return keys.Ed448Fingerprint(testKeys4()[key].private.Public(), testKeys4()[key].forging)
	}
	both := otr.AllowV3 | otr.AllowV4
	for _, lines := range []bool{false, true} {
		for _, smp := range []bool{false, true} {
			for _, theirs := range []otr.Policy{otr.AllowV3, both} {
				for seed := range uint64(2) {
					if quick() && (seed > 0 || !smp || (lines == smp) == (theirs == both)) {
						break
					}
					synctest.Test(t, func(t *testing.T) {
						verified := make(map[keys.Fingerprint]int)
						config := func(c *Config) {
							c.RefuseDowngrade = true
							if smp {
								secret("same")(c)
							}
						}
						a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
						ea, eb := openPair(t, a, b, setting{lines: lines, seed: seed, otr: speaks(0, otr.AllowV3), config: func(c *Config) {
							config(c)
							c.Verify = func(s otr.Session) error { verified[s.Fingerprint]++; return nil }
						}}, setting{lines: lines, seed: seed, otr: speaks(1, theirs), config: config})
						if lines {
							handshakeLines(t, ea.lines, eb.lines)
							time.Sleep(time.Second)
							ea.lines.WriteMessage([]byte("a text"))
							ea.lines.CloseWrite()
							texts, err := readTexts(eb.lines)
							if len(texts) != 1 || err != io.EOF {
								t.Errorf("%q, %v", texts, err)
							}
						} else {
							oa, ob := converseBoth(ea, eb, 50_000, 60_000)
							oa.whole(t, "a", 60_000)
							ob.whole(t, "b", 50_000)
						}
						for i, e := range []*end{ea, eb} {
							var last otr.Secure
							for _, event := range e.events() {
								if s, ok := event.What.(otr.Secure); ok {
									last = s
								}
								if v, ok := event.What.(Told); ok && v.Fingerprint != fingerprint4(1-i) {
									t.Errorf("told %v", v.Fingerprint)
								}
							}
							if told[Told](e) != 1 || told[Trusted](e) != 1 || last.Version != 4 || last.Fingerprint != fingerprint4(1-i) {
								t.Errorf("lines %v, smp %v: %v", lines, smp, e.events())
							}
						}
						if verified[fingerprint4(1)] != 1 {
							t.Errorf("Verify was asked about %v", verified)
						}
					})
				}
			}
		}
	}
}

// A told key is not accepted from anyone else. An end without a version 4 key continues in
// version 3 without making the other end wait.
func TestWithoutAKeyToTellVersion3GoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{otr: speaks(0, otr.AllowV3)}, setting{otr: func(c *otr.Config) {
			c.Policy = otr.AllowV3 | otr.RequireEncryption
			c.Ed448, c.Forging = nil, nil
		}})
		start := time.Now()
		oa, ob := converseBoth(ea, eb, 5000, 6000)
		oa.whole(t, "a", 6000)
		ob.whole(t, "b", 5000)
		if told[Told](ea)+told[Told](eb) != 0 {
			t.Errorf("%v", ea.events())
		}
		if d := time.Since(start); d >= vouchWait {
			t.Errorf("it took %v", d)
		}
	})
}

// Events that affect trust are reported every time, at once and in order, even in a flood, in
// which they are marked.
func TestWhatDecidesAboutTrustIsNeverHeldBack(t *testing.T) {
	kinds := []fmt.Stringer{
		otr.Secure{}, otr.PeerEnded{}, otr.Ended{}, Trusted{}, Refused{}, OurKeyRefused{}, Told{}, Downgraded{}, Unsent{Texts: 1},
		otr.SMPAsked{}, otr.SMPShown{}, otr.SMPSucceeded{}, otr.SMPFailed{BrokenOff: true}, otr.SMPAborted{}, otr.SMPCrossed{},
		otr.ExtraKeyReceived{},
	}
	var all []Event
	r := reporter{tell: func(e Event) { all = append(all, e) }}
	now := time.Unix(1000, 0)
	const n = 5 * floodLimit
	for range n {
		for _, kind := range kinds {
			r.report(now, SessionID{1}, kind)
		}
		r.report(now, SessionID{1}, Unencrypted{})
	}
	floods := make(map[string]int)
	i := 0
	for _, e := range all {
		if _, ok := e.What.(Unencrypted); ok {
			continue
		}
		if want := kinds[i%len(kinds)]; fmt.Sprintf("%T", e.What) != fmt.Sprintf("%T", want) || e.Count != 1 || e.Session != (SessionID{1}) {
			t.Fatalf("event %d: %+v, want %T", i, e, want)
		}
		i++
		if e.Flood {
			floods[fmt.Sprintf("%T", e.What)]++
		}
	}
	if i != n*len(kinds) {
		t.Errorf("%d of %d were told", i, n*len(kinds))
	}
	for _, kind := range kinds {
		if marked := floods[fmt.Sprintf("%T", kind)]; marked != n-floodLimit {
			t.Errorf("%T: %d are marked", kind, marked)
		}
	}
}

// In comparisons that people start, a run that the peer breaks off after it has seen the
// outcome counts as failed. The failures of a session are counted, and the stream goes on.
func TestPeoplesFailedComparisonsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		ea, eb := openPair(t, a, b, setting{lines: true}, setting{lines: true})
		handshakeLines(t, ea.lines, eb.lines)
		start := func(c *otr.Conversation) ([][]byte, error) { return c.StartSMP([]byte("ours"), "") }
		const runs = 3
		for range runs {
			if err := ea.lines.Do(start); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			// Bob's program answers, and keeps its message 4 to itself.
			if err := eb.lines.Do(func(c *otr.Conversation) ([][]byte, error) { return c.AnswerSMP([]byte("a guess")) }); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if n := ea.lines.Stats().FailedComparisons; n != runs || told[otr.SMPFailed](ea) != runs {
			t.Errorf("%d are counted, %d told", n, told[otr.SMPFailed](ea))
		}
		// We abort a run whose outcome the peer may have seen.
		x := newStaller(t)
		x.startAndStall(t)
	})
}

// A staller is a pair in which the peer has received our SMP message 3 and sends nothing
// more.
type staller struct {
	e *end
	x *stranger
}

func newStaller(t *testing.T) *staller {
	e, x := meet(t, setting{lines: true, config: func(c *Config) { c.Timeout = 0 }})
	return &staller{e, x}
}

func (s *staller) startAndStall(t *testing.T) {
	t.Helper()
	handshakeLines(t, s.e.lines)
	if err := s.e.lines.Do(func(c *otr.Conversation) ([][]byte, error) { return c.StartSMP([]byte("ours"), "") }); err != nil {
		t.Fatal(err)
	}
	for !s.asked() {
		s.line(t, true)
	}
	lines, err := s.x.c.AnswerSMP([]byte("a guess"))
	s.x.send(lines, err)
	eventually(t, "outcome shown", func() bool { return told[otr.SMPShown](s.e) > 0 })
	if err := s.e.lines.Do((*otr.Conversation).AbortSMP); err != nil {
		t.Fatal(err)
	}
	if n := s.e.lines.Stats().FailedComparisons; n != 1 || told[otr.SMPFailed](s.e) != 1 {
		t.Errorf("given up by us: %d are counted; %v", n, s.e.events())
	}
}

func (s *staller) asked() bool {
	for _, e := range s.x.told {
		if _, ok := e.(otr.SMPAsked); ok {
			return true
		}
	}
	return false
}

// line handles a line and answers it.
func (s *staller) line(t *testing.T, answer bool) {
	t.Helper()
	line, err := s.x.in.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	s.x.told = append(s.x.told, r.Events...)
	for _, line := range r.Send {
		if answer {
			s.x.out.Write(append(bytes.Clone(line), '\n'))
		}
	}
}
