package stream

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// sayText sends a text with records.
func (x *stranger) sayText(text string, tlvs ...wire.TLV) {
	x.t.Helper()
	b, err := x.c.AppendMessage(nil, otr.Message{Text: []byte(text), TLVs: tlvs})
	if err != nil {
		x.t.Fatal(err)
	}
	x.out.Write(b)
}

// acked listens until the transport ends or texts of the present session are acknowledged. It returns
// the number of the first one that is not; false: the transport has ended.
func (x *stranger) acked() (next int64, ok bool) {
	x.t.Helper()
	for {
		line, err := x.in.ReadBytes('\n')
		if err != nil {
			return 0, false
		}
		r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			x.t.Fatal(err)
		}
		x.send(r.Send, nil)
		session, _ := x.c.Session()
		for _, v := range r.TLVs {
			if v.Type != typeTextAck {
				continue
			}
			a, err := parseAck(v.Value)
			if err != nil || len(a.gaps) > 0 {
				x.t.Fatal(a, err)
			}
			if a.id == session.SSID {
				return a.next, true
			}
		}
	}
}

// ackedAtLast listens until the transport ends. It returns how many texts of the present session are
// acknowledged.
func (x *stranger) ackedAtLast() (most int64) {
	x.t.Helper()
	for {
		next, ok := x.acked()
		if !ok {
			return most
		}
		most = max(most, next)
	}
}

// A peer numbers its texts in version 2, which no otrpipe does. The watchdog barks if the end tries
// for ever to send the acknowledgement, which it never sends in this version.
func TestANumberedTextOfVersion2IsATextLikeAnyOther(t *testing.T) {
	version2 := func(c *otr.Config) { c.Policy = otr.AllowV2 | otr.RequireEncryption | otr.RestartAKE }
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
		e := open(t, a, setting{lines: true, otr: version2})
		x := &stranger{t: t, c: newConversation(t, setting{key: 1, otr: version2}, seeded(99)), in: bufio.NewReader(b), out: b}
		defer b.Close()
		x.becomeSecure()
		go io.Copy(io.Discard, x.in)
		for range 2 {
			x.sayText("hello", number(0))
			if text, err := e.lines.ReadMessage(nil); string(text) != "hello" || err != nil {
				t.Errorf("%q, %v", text, err)
			}
		}
		time.Sleep(10 * time.Second)
	})
}

// The transport takes nothing more when a text has to be acknowledged. The end waits for the
// transport: the watchdog barks if it tries for ever.
func TestAnAcknowledgementWaitsForTheTransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		e := open(t, a, setting{lines: true, config: func(c *Config) { c.Heartbeat, c.Dead = 0, 0 }})
		x := &stranger{t: t, c: newConversation(t, setting{key: 1}, seeded(99)), in: bufio.NewReader(b), out: b}
		defer b.Close()
		x.becomeSecure()
		handshakeLines(t, e.lines)
		for range 10 { // which the peer does not take from the transport
			e.lines.WriteMessage(bytes.Repeat([]byte{'x'}, MaxText/8))
		}
		x.sayText("hello", number(0))
		if text, err := e.lines.ReadMessage(nil); string(text) != "hello" || err != nil {
			t.Errorf("%q, %v", text, err)
		}
		time.Sleep(time.Minute)
		for next, ok := x.acked(); next != 1; next, ok = x.acked() {
			if !ok {
				t.Fatal("the transport has ended")
			}
		}
	})
}

// A text arrives, and again in the next session, while the reader is dealing with it. It is
// acknowledged in the next session if the reader does not fail.
func TestATextThatIsSentAgainIsNotAcknowledgedIfTheReaderLosesIt(t *testing.T) {
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meetLines(t, setting{lines: true})
			session, _ := x.c.Session()
			x.sayText("hello", number(0))
			if text, err := e.lines.ReadMessage(nil); string(text) != "hello" || err != nil {
				t.Fatalf("%q, %v", text, err)
			}
			x.send(x.c.Refresh())
			for now := session; now.SSID == session.SSID; now, _ = x.c.Session() {
				if _, ok := x.text(); !ok {
					t.Fatal("the transport has ended")
				}
			}
			x.sayText("hello", number(0), wire.TLV{Type: typeAgain, Value: appendOffset(session.SSID[:], 0)})
			x.say(wire.TLV{Type: typeAsk})
			time.Sleep(readWait / 2)
			if fails {
				e.lines.CloseRead()
			}
			time.Sleep(2 * readWait)
			x.say(wire.TLV{Type: typeAsk})
			go func() {
				time.Sleep(time.Second)
				e.lines.Close()
			}()
			if n := x.ackedAtLast(); (n == 0) != fails {
				t.Errorf("the reader fails: %v, and %d texts are acknowledged", fails, n)
			}
		})
	}
}

// Texts came before their sender had passed the comparison of secrets, and a heartbeat said meanwhile
// that none is acknowledged. They are as soon as the sender has passed.
func TestTextsThatCameBeforeTheComparisonAreAcknowledgedAfterIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{}, relay{})
		patient := func(c *Config) { c.Heartbeat, c.Timeout = 10*time.Minute, 0 }
		ours := func(c *Config) {
			patient(c)
			secret("s")(c)
			c.Heartbeat = time.Minute
		}
		ea, eb := openPair(t, a, b, setting{lines: true, config: ours}, setting{lines: true, config: patient})
		handshakeLines(t, eb.lines)
		go readTexts(ea.lines)
		eb.lines.WriteMessage([]byte("hello"))
		time.Sleep(90 * time.Second)
		if n := told[Delivered](eb); n != 0 {
			t.Errorf("%d texts are told as delivered before the comparison", n)
		}
		if err := eb.lines.Do(func(c *otr.Conversation) ([][]byte, error) { return c.AnswerSMP([]byte("s")) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * ackEvery)
		if n := told[Delivered](eb); n != 1 {
			t.Errorf("%d texts are told as delivered: %v", n, eb.events())
		}
	})
}

// A stranger learns nothing of what has become of its texts, and the mark in every answer shows
// first which versions were offered.
func TestTextsOfAPeerThatHasYetToProveItselfAreNotAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{lines: true, config: secret("the secret")})
		lines := make(chan []byte, 100)
		go func() {
			for {
				line, err := x.in.ReadBytes('\n')
				if err != nil {
					return
				}
				lines <- bytes.TrimSuffix(line, []byte("\n"))
			}
		}()
		x.sayText("hello", number(0))
		time.Sleep(2 * readWait)
		x.say(wire.TLV{Type: typeAsk})
		time.Sleep(readWait)
		acks := 0
		for len(lines) > 0 {
			r, err := x.c.Receive(<-lines)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range r.TLVs {
				if v.Type != typeTextAck {
					continue
				}
				if a, err := parseAck(v.Value); err != nil || a.next != 0 || len(a.gaps) > 0 {
					t.Errorf("%+v, %v", a, err)
				}
				acks++
			}
		}
		if n := e.stats().ReceivedMessages; acks < 2 || n != 1 {
			t.Errorf("%d acknowledgements, %d texts have come", acks, n)
		}
	})
}

// Nobody reads the texts of a peer that never proves itself, so they must not fill the memory.
func TestTextsOfAPeerThatNeverProvesItselfTakeBoundedMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{lines: true, config: secret("the secret")})
		text, n := strings.Repeat("t", linesRoom/10), 60
		go func() {
			for i := range n {
				x.sayText(text, number(int64(i)))
			}
		}()
		time.Sleep(10 * time.Second)
		if held := e.stats().ReceivedMessages; held < 5 || held > int64(n/2) {
			t.Errorf("%d texts of %d bytes are held", held, len(text))
		}
	})
}

func TestAPeerThatRefusesOurKeyAgainAndAgainIsToldOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{lines: true, config: func(c *Config) { c.Stay = true }})
		for range 5 {
			x.say(wire.TLV{Type: typeRefused})
		}
		time.Sleep(time.Second)
		if n := told[OurKeyRefused](e); n != 1 {
			t.Errorf("told %d times", n)
		}
	})
}

// A peer acknowledges texts before they are sent, also in sessions that are over or never were. None
// of that counts for a text that is sent later.
func TestAnAcknowledgementCountsOnlyForTextsThatWereSentBeforeIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meetLines(t, setting{lines: true})
		listen := func(until func() bool) {
			for !until() {
				if _, ok := x.text(); !ok {
					t.Fatal("the transport has ended")
				}
			}
		}
		ack := func(id [8]byte, next int64, gaps ...span) wire.TLV {
			return wire.TLV{Type: typeTextAck, Value: appendAckValue(nil, id, next, gaps)}
		}
		sessions := func() (past, now [8]byte) {
			session, _ := x.c.Session()
			x.send(x.c.Refresh())
			listen(func() bool { s, _ := x.c.Session(); return s.SSID != session.SSID })
			s, _ := x.c.Session()
			return session.SSID, s.SSID
		}
		past, now := sessions()
		x.say(ack(past, 100), ack(now, 100), ack(now, 1<<62), ack(now, 100, span{first: 50, n: 50}), ack([8]byte{1}, 100))
		time.Sleep(time.Second)
		e.lines.WriteMessage([]byte("one"))
		got := ""
		for got == "" {
			got, _ = x.text()
		}
		x.say(ack(past, 100), ack([8]byte{1}, 100))
		time.Sleep(time.Second)
		if n := told[Delivered](e) + told[Undelivered](e); n != 0 {
			t.Errorf("%d texts are told as settled: %v", n, e.events())
		}
		_, later := sessions()
		x.say(ack(past, 100), ack(later, 100)) // it has forgotten the session of the text
		time.Sleep(time.Second)
		if got := eventsOf[Undelivered](e); len(got) != 1 || got[0] != (Undelivered{First: 1, Texts: 1, Perhaps: true}) || told[Delivered](e) != 0 {
			t.Errorf("%v", e.events())
		}
		go io.Copy(io.Discard, x.in)
		e.lines.CloseWrite()
		if err := e.lines.Wait(); !errors.Is(err, ErrUndelivered) {
			t.Error(err)
		}
	})
}

// A peer has said that it has no more texts, and sends some all the same, for ever: numbers that leave
// gaps, or more than the reader takes. An end that is told to leave leaves.
func TestAPeerThatGoesOnAfterItsLastTextDoesNotKeepAnEnd(t *testing.T) {
	for _, step := range []int64{1, 2} {
		for _, leave := range []func(*Lines) error{(*Lines).Close, (*Lines).EndSession} {
			synctest.Test(t, func(t *testing.T) {
				e, x := meetLines(t, setting{lines: true})
				go io.Copy(io.Discard, x.in)
				x.sayText("the last", number(0), wire.TLV{Type: typeClose})
				over := make(chan struct{})
				defer close(over)
				go func() {
					for n := step; ; n += step {
						select {
						case <-over:
							return
						case <-time.After(400 * time.Millisecond):
							x.sayText("and one more", number(n))
						}
					}
				}()
				time.Sleep(5 * time.Second)
				start := time.Now()
				go leave(e.lines)
				e.lines.Wait()
				if d := time.Since(start); d > 5*time.Second {
					t.Errorf("it leaves after %v", d)
				}
			})
		}
	}
}
