package stream

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
)

func TestARefusedPeerGetsNothingAndIsTold(t *testing.T) {
	no := errors.New("never seen this key")
	for _, lines := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			refuse := func(c *Config) {
				c.Stay = lines // which only matters once a peer is known
				c.Verify = func(s otr.Session) error {
					if want := fingerprintOf(1); s.Fingerprint != want {
						t.Errorf("Verify was asked about %v, not %v", s.Fingerprint, want)
					}
					return no
				}
			}
			ea, eb := openPair(t, a, b, setting{config: refuse, lines: lines}, setting{})
			io.WriteString(eb, "payload")
			handshake, wait := ea.handshaker()
			if err := handshake(context.Background()); !errors.Is(err, ErrRefused) || !errors.Is(err, no) {
				t.Errorf("Handshake: %v", err)
			}
			if lines {
				if _, err := ea.lines.ReadMessage(nil); !errors.Is(err, ErrRefused) {
					t.Errorf("ReadMessage: %v", err)
				}
			} else {
				if n, err := ea.Read(make([]byte, 10)); n != 0 || !errors.Is(err, ErrRefused) {
					t.Errorf("Read: %d, %v", n, err)
				}
				if _, err := ea.Write([]byte("x")); !errors.Is(err, ErrRefused) {
					t.Errorf("Write: %v", err)
				}
			}
			if err := wait(); !errors.Is(err, ErrRefused) {
				t.Errorf("Wait: %v", err)
			}
			if err := eb.Wait(); !errors.Is(err, ErrOurKeyRefused) || told[OurKeyRefused](eb) != 1 {
				t.Errorf("the refused end: %v, %v", err, eb.events())
			}
			if sent := eb.Stats().SentBytes; sent != 0 {
				t.Errorf("%d bytes were sent to an end that refused", sent)
			}
		})
	}
}

// Lines tells another Lines, except in version 2, in which some programs drop messages with TLVs that
// they do not know. An end that has nothing to send fails like any other, and an end that stays waits
// for another session.
func TestLinesWhoseKeyIsRefusedSaySo(t *testing.T) {
	namesItsVersions(t)
	for _, test := range []struct {
		name    string
		version otr.Policy
		text    string
		stays   bool
		want    error
	}{
		{"version 3", otr.AllowV3, "text", false, ErrOurKeyRefused},
		{"version 4", otr.AllowV4, "text", false, ErrOurKeyRefused},
		{"nothing to send", otr.AllowV3, "", false, ErrOurKeyRefused},
		{"an end that stays", otr.AllowV3, "", true, nil},
		{"version 2", otr.AllowV2, "text", false, nil}, // nothing is acknowledged there either
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
				refusing := open(t, a, setting{lines: true, otr: speaks(0, test.version), config: func(c *Config) {
					c.Verify = func(otr.Session) error { return errors.New("never seen this key") }
				}})
				refused := open(t, b, setting{lines: true, key: 1, otr: speaks(1, test.version), config: func(c *Config) { c.Stay = test.stays }})
				if test.text != "" {
					refused.lines.WriteMessage([]byte(test.text))
				}
				if err := refusing.lines.Wait(); !errors.Is(err, ErrRefused) {
					t.Errorf("the end that refuses: %v", err)
				}
				if err := refused.lines.Wait(); !errors.Is(err, test.want) {
					t.Errorf("the refused end: %v, want %v", err, test.want)
				}
				if told := told[OurKeyRefused](refused) == 1; told != (test.version != otr.AllowV2) {
					t.Errorf("it was told: %v, %v", told, refused.events())
				}
			})
		})
	}
}

// handshaker returns e's Handshake and Wait.
func (e *end) handshaker() (func(context.Context) error, func() error) {
	if e.lines != nil {
		return e.lines.Handshake, e.lines.Wait
	}
	return e.Handshake, e.Wait
}

func TestASilentTransportIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		start := time.Now()
		e := open(t, a, setting{})
		if err := e.Wait(); !errors.Is(err, ErrTimeout) || errors.Is(err, ErrNoStream) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("after %v", d)
		}
	})
}

// A peer that sends an endless line byte by byte cannot delay us forever.
func TestALineThatNeverEndsIsATimeout(t *testing.T) {
	for _, lines := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			go io.Copy(io.Discard, b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				for _, c := range []byte("?OTR:AAM") {
					b.Write([]byte{c})
				}
				for {
					if _, err := b.Write([]byte("A")); err != nil {
						return
					}
					time.Sleep(time.Second)
				}
			}()
			start := time.Now()
			e := open(t, a, setting{lines: lines})
			wait := e.Wait
			if lines {
				wait = e.lines.Wait
			}
			if err := wait(); !errors.Is(err, ErrTimeout) {
				t.Errorf("%v", err)
			}
			if d := time.Since(start); d != time.Minute {
				t.Errorf("after %v", d)
			}
			b.Close()
			<-done
		})
	}
}

// saysAfter is a transport whose other end says one line of nonsense after a while.
func saysAfter(t *testing.T, d time.Duration) net.Conn {
	a, b := net.Pipe()
	go io.Copy(io.Discard, b)
	line := time.AfterFunc(d, func() { io.WriteString(b, "?OTR:nonsense.\n") })
	t.Cleanup(func() { line.Stop(); b.Close() })
	return a
}

func TestTheTimeLimitCountsFromTheFirstLineWhereItWaitsForThat(t *testing.T) {
	for _, test := range []struct {
		name             string
		wait, says, want time.Duration
		silent           bool
	}{
		{"without a wait it counts at once", 0, 40 * time.Second, time.Minute, false},
		{"and nothing may come", 0, time.Hour, time.Minute, true},
		{"some of it has passed", -10 * time.Second, time.Hour, 50 * time.Second, true},
		{"within the wait", time.Hour, 40 * time.Minute, 41 * time.Minute, false},
		{"after the wait", time.Minute, 90 * time.Second, 2 * time.Minute, false},
		{"the wait and the time limit pass", time.Minute, time.Hour, 2 * time.Minute, true},
		{"a wait without an end", Forever, 10 * time.Hour, 10*time.Hour + time.Minute, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			e := open(t, saysAfter(t, test.says), setting{config: func(c *Config) { c.Wait = test.wait }})
			err := e.Wait()
			if !errors.Is(err, ErrTimeout) || errors.Is(err, ErrSilent) != test.silent {
				t.Errorf("%s: %v", test.name, err)
			}
			if d := time.Since(start); d != test.want {
				t.Errorf("%s: after %v, not %v", test.name, d, test.want)
			}
		})
	}
}

func TestATransportThatTakesNothingIsATimeoutToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := net.Pipe()
		if err := open(t, a, setting{}).Wait(); !errors.Is(err, ErrTimeout) {
			t.Errorf("%v", err)
		}
	})
}

func TestATransportThatEchoesIsATimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go io.Copy(b, b)
		e := open(t, a, setting{})
		if err := e.Wait(); !errors.Is(err, ErrTimeout) {
			t.Errorf("%v", err)
		}
		if told[otr.Echo](e) == 0 || told[otr.Secure](e) != 0 {
			t.Errorf("%v", e.events())
		}
	})
}

func TestATransportThatClosesBeforeASessionIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go func() {
			io.ReadFull(b, make([]byte, 5))
			b.Close()
		}()
		if err := open(t, a, setting{}).Wait(); !errors.Is(err, ErrClosedBeforeSession) || !errors.Is(err, ErrBroken) {
			t.Errorf("%v", err)
		}
	})
}

func TestModeStreamAgainstModeLinesIsSaidAtBothEndsAtOnce(t *testing.T) {
	for _, delay := range []time.Duration{0, time.Second} {
		synctest.Test(t, func(t *testing.T) {
			a, b := cable(t, relay{delay: delay}, relay{delay: delay})
			start := time.Now()
			ea, eb := openPair(t, a, b, setting{}, setting{lines: true})
			if err := ea.Wait(); !errors.Is(err, ErrPeerLines) || !errors.Is(err, ErrNoStream) || !errors.Is(err, ErrTimeout) {
				t.Errorf("stream: %v", err)
			}
			if err := eb.lines.Wait(); err != ErrPeerStream {
				t.Errorf("lines: %v", err)
			}
			if d := time.Since(start); d > 10*delay+time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestAPeerWithoutAStreamIsATimeoutOfItsOwnKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		go x.hears(0)
		if err := e.Wait(); !errors.Is(err, ErrNoStream) || !errors.Is(err, ErrTimeout) || errors.Is(err, ErrPeerLines) {
			t.Errorf("%v", err)
		}
	})
}

func TestAPeerThatComesLateIsAskedAgain(t *testing.T) {
	for _, late := range []time.Duration{100 * time.Millisecond, 2 * time.Second, 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			deaf := func(_ int, line []byte) [][]byte {
				if time.Since(start) < late {
					return nil
				}
				return [][]byte{line}
			}
			a, b := cable(t, relay{filter: deaf}, relay{filter: deaf})
			quiet := func(c *Config) { c.Initiate = false }
			ea, eb := openPair(t, a, b, setting{}, setting{config: quiet})
			handshakeBoth(t, ea, eb)
			if took := time.Since(start); took > 2*late+time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestBothInitiatingOnASlowLineMakeOneSession(t *testing.T) {
	long(t)
	for _, delay := range []time.Duration{time.Millisecond, 700 * time.Millisecond, 1500 * time.Millisecond, 5 * time.Second} {
		for seed := range uint64(4) {
			if quick() && seed > 0 {
				break
			}
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{delay: delay}, relay{delay: delay})
				ea, eb := openPair(t, a, b, setting{seed: seed}, setting{seed: seed})
				oa, ob := converseBoth(ea, eb, 50_000, 50_000)
				oa.whole(t, "a", 50_000)
				ob.whole(t, "b", 50_000)
			})
		}
	}
}

func TestAHandshakeCanBeGivenUpWithoutTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		go io.Copy(io.Discard, b)
		e := open(t, a, setting{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.Handshake(ctx); err != context.DeadlineExceeded {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Second)
		select {
		case <-e.done:
			t.Error("the stream is over")
		default:
		}
	})
}
