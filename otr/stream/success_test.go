package stream

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// The peer has lost a session, and with it a text that it has not acknowledged: its list of
// sessions shows that.
func TestATextOfASessionThatThePeerHasLostIsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{lines: true, config: func(c *Config) { c.Heartbeat, c.Dead = 0, 0 }})
		handshakeLines(t, e.lines)
		x.sayText("hello", number(0)) // which shows that it acknowledges texts
		time.Sleep(time.Second)
		if _, err := e.lines.WriteText([]byte("lost")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		before, _ := x.c.Session()
		x.send(x.c.Refresh())
		now := before
		for now.SSID == before.SSID {
			x.listenToTexts()
			now, _ = x.c.Session()
		}
		time.Sleep(time.Second)
		x.say(wire.TLV{Type: typeTextAck, Value: appendAckValue(nil, now.SSID, 0, nil)})
		time.Sleep(time.Second)
		want := []Undelivered{{First: 1, Texts: 1, Perhaps: true}}
		if got := eventsOf[Undelivered](e); !slices.Equal(got, want) {
			t.Errorf("%+v", got)
		}
		x.send(x.c.End())
		if err := e.lines.Wait(); !errors.Is(err, ErrUndelivered) {
			t.Errorf("%v", err)
		}
	})
}

// listenToTexts handles one line, which may have any records.
func (x *stranger) listenToTexts() otr.Received {
	x.t.Helper()
	line, err := x.in.ReadBytes('\n')
	if err != nil {
		x.t.Fatal(err)
	}
	r, err := x.c.Receive(line[:len(line)-1])
	if err != nil {
		x.t.Fatal(err)
	}
	for _, line := range r.Send {
		x.out.Write(append(slices.Clone(line), '\n'))
	}
	return r
}

// The peer stops reading when everything that was sent has arrived, but bytes that were written
// wait for room in its window: they are lost.
func TestBytesThatWaitWhenThePeerStopsReadingAreNoSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(wire.TLV{Type: typeHello, Value: appendHello(nil, strangeID, 4, 0x18)})
		go io.WriteString(e, "12345678")
		x.await(typeData)
		x.say(ack(4), wire.TLV{Type: typeStop}, ended(0))
		e.CloseWrite()
		x.await(typeEnd)
		x.say(ack(4))
		if got, err := io.ReadAll(e); len(got) > 0 || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		go io.Copy(io.Discard, x.in)
		time.Sleep(time.Minute)
		x.out.Close()
		if err := e.Wait(); !errors.Is(err, ErrStopped) {
			t.Errorf("%v", err)
		}
	})
}

// Bytes that are written after the peer has stopped reading are lost, even if everything before
// them has arrived.
func TestBytesWrittenAfterThePeerHasStoppedAreNoSuccess(t *testing.T) {
	for _, writes := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meet(t, setting{})
			x.say(hello(), wire.TLV{Type: typeStop}, ended(0))
			x.await(typeEnd)
			var want error
			if writes {
				want = ErrStopped
				if _, err := io.WriteString(e, "late"); err != ErrStopped {
					t.Errorf("%v", err)
				}
			}
			e.CloseWrite()
			if _, err := io.ReadAll(e); err != nil {
				t.Error(err)
			}
			x.say(ack(0))
			go io.Copy(io.Discard, x.in)
			time.Sleep(time.Minute)
			x.out.Close()
			if err := e.Wait(); err != want {
				t.Errorf("writes %v: %v", writes, err)
			}
		})
	}
}

// The secret has been compared once. The end of that session allows no second comparison, with
// another key.
func TestTheEndOfASessionAllowsNoComparisonWithAnotherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		connect := switchboard(b)
		sameTag := func(c *otr.Config) { c.InstanceTag = 0x1234567 }
		ea := open(t, a, setting{lines: true, config: func(c *Config) {
			secret("same")(c)
			c.MoreKeys, c.Stay = true, true
		}})
		wire := &cut{ReadWriteCloser: connect()}
		first := open(t, wire, setting{lines: true, key: 1, seed: 1, otr: sameTag, config: secret("same")})
		handshakeLines(t, ea.lines, first.lines)
		if err := first.lines.EndSession(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if told[otr.PeerEnded](ea) != 1 {
			t.Fatalf("the session goes on: %v", ea.events())
		}
		wire.cut()
		second := open(t, connect(), setting{lines: true, key: 2, seed: 2, otr: sameTag, config: secret("same")})
		second.lines.Wait()
		if told[Trusted](ea) != 1 || told[otr.SMPSucceeded](ea) != 1 || told[Refused](ea) == 0 {
			t.Errorf("%v", ea.events())
		}
	})
}
