package stream

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

func secret(s string) func(*Config) {
	return func(c *Config) { c.SMP = &SMPConfig{Secret: []byte(s), Question: "which?"} }
}

func TestTwoEndsWithTheSameSecretProveItBeforeAnyPayload(t *testing.T) {
	t.Parallel()
	// A delay longer than starterWait makes the two runs cross.
	for _, delay := range []time.Duration{0, 10 * time.Millisecond, 1500 * time.Millisecond} {
		for seed := range uint64(4) {
			if (quick() || slowtest.LeftOut()) && seed > 0 {
				break
			}
			for _, lines := range []bool{false, true} {
				if quick() && lines == (delay == 0) {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					a, b := cable(t, relay{delay: delay}, relay{delay: delay})
					ea, eb := openPair(t, a, b, setting{seed: seed, lines: lines, config: secret("same")}, setting{seed: seed, lines: lines, config: secret("same")})
					if lines {
						ea.lines.WriteMessage([]byte("a text"))
						ea.lines.CloseWrite()
						texts, err := readTexts(eb.lines)
						if len(texts) != 1 || err != io.EOF {
							t.Errorf("%q, %v", texts, err)
						}
						ea.lines.Wait()
					} else {
						oa, ob := converseBoth(ea, eb, 50_000, 60_000)
						oa.whole(t, "a", 60_000)
						ob.whole(t, "b", 50_000)
					}
					for _, e := range []*end{ea, eb} {
						if told[otr.SMPSucceeded](e) != 1 || told[Trusted](e) != 1 {
							t.Errorf("%v", e.events())
						}
					}
				})
			}
		}
	}
}

func TestDifferentSecretsEndBothBeforeAnyPayload(t *testing.T) {
	for seed := range uint64(4) {
		if quick() && seed > 0 {
			break
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{}, relay{})
			ea, eb := openPair(t, a, b, setting{seed: seed, config: secret("one")}, setting{seed: seed, config: secret("other")})
			for _, e := range []*end{ea, eb} {
				io.WriteString(e, "payload")
			}
			for _, e := range []*end{ea, eb} {
				if n, err := e.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrSMP) {
					t.Errorf("%d, %v", n, err)
				}
				if err := e.Wait(); !errors.Is(err, ErrSMP) {
					t.Errorf("%v", err)
				}
				if sent := e.Stats().SentBytes; sent != 0 {
					t.Errorf("%d bytes were sent", sent)
				}
			}
		})
	}
}

func TestDifferentSecretsEndBothBeforeAnyText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{lines: true, config: secret("one")}, setting{lines: true, config: secret("other")})
		for _, e := range []*end{ea, eb} {
			if err := e.lines.WriteMessage([]byte("a text")); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range []*end{ea, eb} {
			if text, err := e.lines.ReadMessage(nil); len(text) != 0 || !errors.Is(err, ErrSMP) {
				t.Errorf("%q, %v", text, err)
			}
			if err := e.lines.Wait(); !errors.Is(err, ErrSMP) {
				t.Errorf("%v", err)
			}
			if stats := e.lines.Stats(); stats.SentMessages != 0 || stats.ReceivedMessages != 0 {
				t.Errorf("texts have moved: %+v", stats)
			}
		}
	})
}

func TestOneEndsSecretHoldsBackThatEndAlone(t *testing.T) {
	for seed := range uint64(4) {
		if quick() && seed > 0 {
			break
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{}, relay{})
			ea, eb := openPair(t, a, b, setting{seed: seed, config: secret("s")}, setting{seed: seed})
			handshakeBoth(t, eb)
			io.WriteString(ea, "from a")
			io.WriteString(eb, "from b")
			time.Sleep(10 * time.Second)
			if sent := ea.Stats().SentBytes; sent != 0 {
				t.Errorf("%d bytes were sent by the end with the secret", sent)
			}
			if sent := eb.Stats().SentBytes; sent != 6 {
				t.Errorf("%d bytes were sent by the other", sent)
			}
			select {
			case <-ea.ready:
				t.Error("payload may move")
			default:
			}
			// A person answers.
			if err := eb.Do(func(c *otr.Conversation) ([][]byte, error) { return c.AnswerSMP([]byte("s")) }); err != nil {
				t.Fatal(err)
			}
			ea.CloseWrite()
			eb.CloseWrite()
			atA, errA := io.ReadAll(ea)
			atB, errB := io.ReadAll(eb)
			if string(atA) != "from b" || string(atB) != "from a" {
				t.Errorf("%q, %v; %q, %v", atA, errA, atB, errB)
			}
			if err := errors.Join(ea.Wait(), eb.Wait()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestASecretThatNobodyAnswersIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{config: secret("s")}, setting{})
		io.WriteString(eb, "payload")
		if n, err := ea.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoStream) {
			t.Errorf("%d, %v", n, err)
		}
		if err := eb.Wait(); !errors.Is(err, ErrAborted) {
			t.Errorf("%v", err)
		}
	})
}

func TestAPersonWhoGivesUpFailsTheProof(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{config: secret("s")}, setting{})
		eventually(t, "question", func() bool { return told[otr.SMPAsked](eb) > 0 })
		if err := eb.Do((*otr.Conversation).AbortSMP); err != nil {
			t.Fatal(err)
		}
		if err := ea.Wait(); !errors.Is(err, ErrSMP) {
			t.Errorf("%v", err)
		}
		eb.Wait()
	})
}

func TestAProofHoldsForTheKeyThroughKeyExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{config: secret("s")}, setting{config: secret("s")})
		handshakeBoth(t, ea, eb)
		for range 3 {
			if err := refresh(ea); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		oa, ob := converseBoth(ea, eb, 5000, 6000)
		oa.whole(t, "a", 6000)
		ob.whole(t, "b", 5000)
		if n := told[otr.SMPSucceeded](ea); n != 1 {
			t.Errorf("%d proofs", n)
		}
	})
}

// A Delay that fails ends everything before anything is compared.
func TestAComparisonThatMayNotBeginIsAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		no := errors.New("too many wait")
		ea, eb := openPair(t, a, b, setting{config: func(c *Config) {
			secret("same")(c)
			c.SMP.Delay = func() (time.Duration, error) { return 0, no }
		}}, setting{config: secret("same")})
		if err := ea.Wait(); !errors.Is(err, ErrSMP) || !errors.Is(err, no) {
			t.Errorf("%v", err)
		}
		if told[Trusted](ea) != 0 || told[otr.SMPShown](ea) != 0 || told[otr.SMPShown](eb) != 0 {
			t.Errorf("%v; %v", ea.events(), eb.events())
		}
		eb.Wait()
	})
}

// Some networks take ten seconds for each message: seventy seconds are enough for the key
// exchange or for the comparison, but not for both.
func TestEachMessageOfTheComparisonHasItsTime(t *testing.T) {
	for seed := range uint64(4) {
		if quick() && seed > 0 {
			break
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: 10 * time.Second}, relay{delay: 10 * time.Second})
			same := func(c *Config) {
				secret("same")(c)
				c.Timeout = 70 * time.Second
			}
			ea, eb := openPair(t, a, b, setting{seed: seed, config: same}, setting{seed: seed, config: same})
			for _, e := range []*end{ea, eb} {
				if err := e.Handshake(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A peer that continues the comparison gets more time for the next step, but not forever.
func TestAComparisonThatStandsStillIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		e, x := meet(t, setting{config: secret("the secret")})
		for !slices.ContainsFunc(x.told, func(e otr.Event) bool { _, asked := e.(otr.SMPAsked); return asked }) {
			if _, ok := x.listen(); !ok {
				t.Fatal("the comparison was not begun")
			}
		}
		time.Sleep(50 * time.Second)
		lines, err := x.c.AnswerSMP([]byte("the secret"))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range lines {
			x.out.Write(append(line, '\n'))
		}
		go io.Copy(io.Discard, x.in) // it says nothing more
		if err := e.Wait(); !errors.Is(err, ErrBrokenOff) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d < 109*time.Second || d > 113*time.Second {
			t.Errorf("it took %v", d)
		}
	})
}

// However many sessions a peer begins before the comparison, Delay is called once, and
// extends the time limit once, so a peer cannot extend it further. And none of these sessions
// counts as one whose peer has passed.
func TestNewKeysBeforeTheComparisonGiveNoMoreTime(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		const delay, limit = 30 * time.Second, time.Minute
		start := time.Now()
		e, x := meet(t, setting{config: func(c *Config) {
			secret("the secret")(c)
			c.Timeout = limit
			c.SMP.Delay = func() (time.Duration, error) { asked++; return delay, nil }
		}})
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 200 {
				if _, ok := x.listen(); !ok {
					return
				}
				if x.c.State() == otr.StateEncrypted && !x.c.Exchanging() {
					if lines, err := x.c.Refresh(); err == nil {
						for _, line := range lines {
							x.out.Write(append(line, '\n'))
						}
					}
				}
				time.Sleep(time.Second)
			}
		}()
		if err := e.Wait(); !errors.Is(err, ErrTimeout) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d > delay+limit+time.Second {
			t.Errorf("it took %v", d)
		}
		x.out.Close()
		<-over
		if n := told[otr.Secure](e); n < 3 || asked != 1 {
			t.Errorf("asked %d times in %d sessions", asked, n)
		}
		if told[Trusted](e) != 0 || e.stats().SentMessages != 0 {
			t.Errorf("the peer is trusted: %v", e.events())
		}
	})
}

// Only the key that has passed the comparison needs no other one.
func TestAKeyHasProvedItselfForNoOther(t *testing.T) {
	with := &SMPConfig{Secret: []byte("s")}
	one, other := otr.Session{Fingerprint: fingerprintOf(1)}, otr.Session{Fingerprint: fingerprintOf(2)}
	for _, test := range []struct {
		name   string
		gate   gate
		config *SMPConfig
		of     otr.Session
		needed bool
	}{
		{"without a secret", gate{}, nil, one, false},
		{"before", gate{}, with, one, true},
		{"wanted", gate{state: gateWanted}, with, one, true},
		{"shown", gate{state: gateShown}, with, one, true},
		{"failed", gate{state: gateFailed, passedBy: one.Fingerprint}, with, one, true},
		{"passed", gate{state: gatePassed, passedBy: one.Fingerprint}, with, one, false},
		{"passed by another key", gate{state: gatePassed, passedBy: one.Fingerprint}, with, other, true},
	} {
		if needed := test.gate.needed(test.config, test.of); needed != test.needed {
			t.Errorf("%s: a comparison is needed: %v", test.name, needed)
		}
	}
}

// A peer whose run crosses ours may begin once more. One whose run crosses again has failed.
func TestThePeersRunMayCrossOursOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{config: func(c *Config) {
			secret("the secret")(c)
			c.Timeout = 10 * time.Minute
		}})
		go io.Copy(io.Discard, x.in) // it goes on whatever the end says
		start := time.Now()
		for range 2 {
			time.Sleep(3 * crossedWait) // by now the end has started
			x.send(x.c.StartSMP([]byte("a guess"), ""))
			x.send(x.c.AbortSMP())
		}
		if err := e.Wait(); !errors.Is(err, ErrSMP) || time.Since(start) > 7*crossedWait {
			t.Errorf("%v, after %v", err, time.Since(start))
		}
		if told[otr.SMPCrossed](e) != 2 || told[otr.SMPShown](e)+told[Trusted](e) != 0 {
			t.Errorf("%v", e.events())
		}
	})
}

// More keys of the same contact are let in, but not where a comparison was asked for: it is
// not made a second time.
func TestWithASecretARunBelongsToOneKeyWhateverOthersTheContactHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		connect := switchboard(b)
		sameTag := func(c *otr.Config) { c.InstanceTag = 0x1234567 }
		asked := make(map[keys.Fingerprint]int)
		ea := open(t, a, setting{lines: true, config: func(c *Config) {
			secret("same")(c)
			c.MoreKeys = true
			c.Verify = func(s otr.Session) error { asked[s.Fingerprint]++; return nil }
		}})
		wire := &cut{ReadWriteCloser: connect()}
		first := open(t, wire, setting{lines: true, key: 1, seed: 1, otr: sameTag, config: secret("same")})
		handshakeLines(t, ea.lines, first.lines)
		wire.cut()
		second := open(t, connect(), setting{lines: true, key: 2, seed: 2, otr: sameTag, config: func(c *Config) {
			secret("same")(c)
			c.Initiate = false
		}})
		if err := second.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		if err := ea.lines.Wait(); !errors.Is(err, ErrOtherKey) {
			t.Errorf("%v", err)
		}
		if asked[fingerprintOf(1)] == 0 || asked[fingerprintOf(2)] != 0 || told[Trusted](ea) != 1 {
			t.Errorf("Verify was asked about %v; %v", asked, ea.events())
		}
	})
}

// A peer that starts a comparison has more time for the next step. However often it begins anew,
// with new keys, it has that for a few steps only.
func TestAComparisonThatBeginsAgainAndAgainIsATimeout(t *testing.T) {
	long(t)
	if overVersion4() {
		t.Skip("the end begins first there, and the two would cross")
	}
	synctest.Test(t, func(t *testing.T) {
		const limit, every = time.Minute, 50 * time.Second
		start := time.Now()
		e, x := meet(t, setting{config: func(c *Config) {
			secret("the secret")(c)
			c.Timeout = limit
		}})
		// It only hears what it needs for new keys, and so it never answers.
		exchange := func() {
			x.send(x.c.Refresh())
			for session, _ := x.c.Session(); ; {
				line, err := x.in.ReadBytes('\n')
				if err != nil {
					return
				}
				if !isExchange(bytes.TrimSuffix(line, []byte("\n"))) {
					continue
				}
				r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
				x.send(r.Send, err)
				if now, ok := x.c.Session(); ok && now.SSID != session.SSID {
					return
				}
			}
		}
		over := make(chan struct{})
		go func() {
			defer close(over)
			for range 4 * maxSteps {
				x.send(x.c.StartSMP([]byte("a guess"), ""))
				time.Sleep(every)
				select {
				case <-e.broke:
					return
				default:
					exchange()
				}
			}
		}()
		if err := e.Wait(); !errors.Is(err, ErrTimeout) || told[otr.SMPShown](e) != 0 {
			t.Errorf("%v; %v", err, e.events())
		}
		if d := time.Since(start); d < 2*limit || d > maxSteps*limit {
			t.Errorf("it took %v", d)
		}
		x.out.Close()
		<-over
		if n := told[otr.SMPAsked](e); n <= maxSteps-1 {
			t.Errorf("it began %d times", n)
		}
	})
}
