package stream

import (
	"bufio"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// vouchingPeer starts an end and a stranger that marks itself as an otrpipe and then sends
// the record that say returns about its version 4 key. It returns the end a few seconds
// later.
func vouchingPeer(t *testing.T, version otr.Policy, config func(*Config), say func(*stranger)) *end {
	t.Helper()
	a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
	e := open(t, a, setting{lines: true, otr: speaks(0, version), config: config})
	x := &stranger{t: t, c: newConversation(t, setting{key: 1, otr: speaks(1, version)}, seeded(99)), in: bufio.NewReader(b), out: b}
	t.Cleanup(func() { b.Close() })
	x.becomeSecure()
	go func() { // discard the end's lines
		for {
			if _, err := x.in.ReadBytes('\n'); err != nil {
				return
			}
		}
	}()
	x.say(wire.TLV{Type: typePlain, Value: []byte{byte(x.c.Versions())}})
	say(x)
	time.Sleep(3 * vouchWait)
	synctest.Wait()
	return e
}

func keyOfVersion4(key int) keys.Fingerprint {
	return keys.Ed448Fingerprint(testKeys4()[key].private.Public(), testKeys4()[key].forging)
}

func vouch(key int) wire.TLV {
	return wire.TLV{Type: typeVouch, Value: keyOfVersion4(key).Bytes()}
}

// A version 4 key that a peer tells counts only after all checks have passed.
func TestWhatAPeerTellsBeforeItHasProvedItselfDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vouchingPeer(t, otr.AllowV3, secret("the secret"), func(x *stranger) { x.say(vouch(2)) })
		if told[Told](e) != 0 || told[Trusted](e) != 0 {
			t.Errorf("%v", e.events())
		}
	})
}

func TestOnlyTheFirstKeyThatAPeerTellsInASessionCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := vouchingPeer(t, otr.AllowV3, nil, func(x *stranger) {
			x.say(vouch(2), vouch(1))
			x.say(vouch(1))
		})
		if told[Told](e) != 1 {
			t.Errorf("%v", e.events())
		}
		for _, event := range e.events() {
			if v, ok := event.What.(Told); ok && v.Fingerprint != keyOfVersion4(2) {
				t.Errorf("the key is %v", v.Fingerprint)
			}
		}
	})
}

// A told key is ignored in version 4, and anywhere if it is our own key, a version 3 key, or
// not a key. Texts move nevertheless.
func TestTellingWhatIsNoKeyOfThePeersChangesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		version otr.Policy
		value   []byte
	}{
		"in version 4":       {otr.AllowV4, keyOfVersion4(2).Bytes()},
		"our own key":        {otr.AllowV3, keyOfVersion4(0).Bytes()},
		"a key of version 3": {otr.AllowV3, testKeys()[1].Public().Fingerprint().Bytes()},
		"no key":             {otr.AllowV3, []byte("no key")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := vouchingPeer(t, c.version, nil, func(x *stranger) {
					x.say(wire.TLV{Type: typeVouch, Value: c.value})
				})
				if told[Told](e) != 0 || told[Trusted](e) != 1 {
					t.Errorf("%v", e.events())
				}
				handshakeLines(t, e.lines)
				if err := e.lines.WriteMessage([]byte("hello")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Second)
				if n := e.stats().SentMessages; n != 1 {
					t.Errorf("%d texts have moved", n)
				}
			})
		})
	}
}

// In mode lines a text may move before the keys are told. The session then stays in version
// 3. It also stays there if an end does not accept the told key.
func TestASessionStaysInVersion3WhereATextHasMovedOrTheKeyIsNotTaken(t *testing.T) {
	no := errors.New("it is somebody else's")
	for _, taken := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			var asked []keys.Fingerprint
			e := vouchingPeer(t, otr.AllowV3, func(c *Config) {
				c.Told = func(s otr.Session, f keys.Fingerprint) error {
					asked = append(asked, f)
					if s.Version != 3 || s.Fingerprint != testKeys()[1].Public().Fingerprint() {
						t.Errorf("told in %+v", s)
					}
					if !taken {
						return no
					}
					return nil
				}
			}, func(x *stranger) {
				if taken {
					x.send(x.c.Send([]byte("first")))
				}
				x.say(vouch(1))
			})
			told4 := 0
			if taken {
				told4 = 1
			}
			if len(asked) != 1 || asked[0] != keyOfVersion4(1) || told[Told](e) != told4 || told[otr.Secure](e) != 1 {
				t.Errorf("taken %v: asked about %v; %v", taken, asked, e.events())
			}
			handshakeLines(t, e.lines)
			if err := e.lines.WriteMessage([]byte("hello")); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second)
			if n := e.stats().SentMessages; n != 1 {
				t.Errorf("taken %v: %d texts have moved", taken, n)
			}
		})
	}
}

// After a peer has told its key of version 4, that key may take its place in mid-session, and
// no other one, nor one that it tells later.
func TestOnlyTheKeyThatAPeerHasToldMayTakeItsPlace(t *testing.T) {
	for _, comes := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
			e := open(t, a, setting{lines: true, otr: speaks(0, otr.AllowV3)})
			x := &stranger{t: t, c: newConversation(t, setting{key: 1, otr: speaks(1, otr.AllowV3)}, seeded(99)), in: bufio.NewReader(b), out: b}
			defer b.Close()
			x.becomeSecure()
			x.send(x.c.Send([]byte("a text"))) // so the end does not begin a session of version 4 itself
			x.say(wire.TLV{Type: typePlain, Value: []byte{byte(x.c.Versions())}}, vouch(1))
			for told[Told](e) == 0 {
				(&staller{e, x}).line(t, true)
			}
			x.say(vouch(2)) // which comes too late
			tag := x.c.InstanceTag()
			x.c = newConversation(t, setting{key: comes, otr: func(c *otr.Config) {
				speaks(comes, otr.AllowV4)(c)
				c.InstanceTag = tag
			}}, seeded(100))
			x.send(x.c.Refresh())
			for x.c.State() != otr.StateEncrypted {
				(&staller{e, x}).line(t, true)
			}
			go io.Copy(io.Discard, x.in)
			if comes == 1 {
				time.Sleep(time.Second)
				if told[otr.Secure](e) != 2 || told[Trusted](e) != 1 {
					t.Errorf("the key that was told: %v", e.events())
				}
				return
			}
			if err := e.lines.Wait(); !errors.Is(err, ErrOtherKey) || told[Trusted](e) != 1 {
				t.Errorf("another key: %v; %v", err, e.events())
			}
		})
	}
}
