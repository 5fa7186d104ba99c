package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// A stranger is a peer that sends and receives single records.
type stranger struct {
	t    *testing.T
	c    *otr.Conversation
	in   *bufio.Reader
	out  io.WriteCloser
	told []otr.Event
}

// meet starts an end and a stranger, and establishes a session between them.
func meet(t *testing.T, s setting) (*end, *stranger) {
	t.Helper()
	a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
	e := open(t, a, s)
	x := &stranger{t: t, c: newConversation(t, setting{key: 1}, seeded(99)), in: bufio.NewReader(b), out: b}
	t.Cleanup(func() { b.Close() })
	x.becomeSecure()
	return e, x
}

// becomeSecure reads lines until there is a session.
func (x *stranger) becomeSecure() {
	x.t.Helper()
	for x.c.State() != otr.StateEncrypted {
		if _, ok := x.listen(); !ok {
			x.t.Fatal("the transport ended before there was a session")
		}
	}
}

// listen reads one line and returns its records; nil and false at the end.
func (x *stranger) listen() ([]record, bool) {
	x.t.Helper()
	line, err := x.in.ReadBytes('\n')
	if err != nil {
		return nil, false
	}
	r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
	if err != nil {
		x.t.Fatal(err)
	}
	for _, line := range r.Send {
		x.out.Write(append(bytes.Clone(line), '\n'))
	}
	x.told = append(x.told, r.Events...)
	var records []record
	for _, v := range r.TLVs {
		if v.Type >= typeClose && v.Type <= typeAsk {
			continue // which no stream needs
		}
		rec, known, err := parseRecord(wire.TLV{Type: v.Type, Value: bytes.Clone(v.Value)})
		if err != nil || !known {
			x.t.Fatalf("a record of type %04x: %v", v.Type, err)
		}
		records = append(records, rec)
	}
	return records, true
}

// await listens until a record of a kind comes.
func (x *stranger) await(kind uint16) record {
	x.t.Helper()
	for {
		records, ok := x.listen()
		if !ok {
			x.t.Fatalf("the transport ended before a record %04x", kind)
		}
		for _, r := range records {
			if r.kind == kind {
				return r
			}
		}
	}
}

// hears reports whether a record of a kind comes before the transport ends.
func (x *stranger) hears(kind uint16) bool {
	x.t.Helper()
	for {
		records, ok := x.listen()
		if !ok {
			return false
		}
		for _, r := range records {
			if r.kind == kind {
				return true
			}
		}
	}
}

// say sends one message of records.
func (x *stranger) say(tlvs ...wire.TLV) {
	x.t.Helper()
	b, err := x.c.AppendMessage(nil, otr.Message{TLVs: tlvs, IgnoreUnreadable: true})
	if err != nil {
		x.t.Fatal(err)
	}
	x.out.Write(b)
}

func (x *stranger) send(lines [][]byte, err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
	for _, line := range lines {
		x.out.Write(append(bytes.Clone(line), '\n'))
	}
}

var strangeID = streamID{'s', 't', 'r'}

func hello() wire.TLV {
	return wire.TLV{Type: typeHello, Value: appendHello(nil, strangeID, 1000, 0x18)}
}

func data(offset int64, b string) wire.TLV {
	return wire.TLV{Type: typeData, Value: append(appendOffset(nil, offset), b...)}
}

func ack(offset int64) wire.TLV { return wire.TLV{Type: typeAck, Value: appendOffset(nil, offset)} }

func ended(offset int64) wire.TLV { return wire.TLV{Type: typeEnd, Value: appendOffset(nil, offset)} }

func TestAnImplementationOfTheRecordsAloneIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		if h := x.await(typeHello); h.window != DefaultWindow || h.id == (streamID{}) {
			t.Errorf("HELLO %+v", h)
		}
		x.say(hello())
		io.WriteString(e, "from us")
		if d := x.await(typeData); string(d.data) != "from us" || d.offset != 0 {
			t.Errorf("DATA %+v", d)
		}
		x.say(wire.TLV{Type: 0x6F99, Value: []byte("unknown")}, data(0, "from "))
		x.say(data(5, "them"), ended(9))
		if got, err := io.ReadAll(e); string(got) != "from them" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if a := x.await(typeAck); a.offset != 9 {
			t.Errorf("ACK %+v", a)
		}
		e.CloseWrite()
		if end := x.await(typeEnd); end.offset != 7 {
			t.Errorf("END %+v", end)
		}
		x.say(ack(7))
		for x.c.State() == otr.StateEncrypted {
			if _, ok := x.listen(); !ok {
				t.Fatal("no Disconnected")
			}
		}
		x.out.Close()
		if err := e.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestRecordsOutOfOrderBreakTheStream(t *testing.T) {
	long(t)
	for _, test := range []struct {
		name string
		say  [][]wire.TLV
	}{
		{"DATA before HELLO", [][]wire.TLV{{data(0, "x")}}},
		{"END before HELLO", [][]wire.TLV{{ended(0)}}},
		{"a gap", [][]wire.TLV{{hello()}, {data(0, "x")}, {data(2, "x")}}},
		{"a gap that an empty DATA shows", [][]wire.TLV{{hello()}, {data(5, "")}}},
		{"DATA twice", [][]wire.TLV{{hello()}, {data(0, "x")}, {data(0, "x")}}},
		{"an empty DATA from before", [][]wire.TLV{{hello()}, {data(0, "x")}, {data(0, "")}}},
		{"DATA after END", [][]wire.TLV{{hello()}, {ended(0)}, {data(0, "x")}}},
		{"END too early", [][]wire.TLV{{hello()}, {data(0, "xy")}, {ended(1)}}},
		{"END too late", [][]wire.TLV{{hello()}, {ended(1)}}},
		{"another END", [][]wire.TLV{{hello()}, {ended(0)}, {ended(1)}}},
		{"ACK of what was not sent", [][]wire.TLV{{hello()}, {ack(1)}}},
		{"another stream", [][]wire.TLV{{hello()}, {{Type: typeHello, Value: appendHello(nil, streamID{}, 1, 0x18)}}}},
		{"another version", [][]wire.TLV{{{Type: typeHello, Value: append([]byte{1}, appendHello(nil, strangeID, 1, 0x18)[1:]...)}}}},
		{"a malformed record", [][]wire.TLV{{hello()}, {{Type: typeAck, Value: []byte{1}}}}},
		{"a malformed record behind a good one", [][]wire.TLV{{hello()}, {data(0, "x"), {Type: typeEnd}}}},
		{"a record that has no value, with one", [][]wire.TLV{{hello()}, {{Type: typeAsk, Value: []byte{0}}}}},
		{"REFUSED with a value", [][]wire.TLV{{{Type: typeRefused, Value: []byte{0}}}}},
		{"more than the window", [][]wire.TLV{{hello()}, {data(0, "0123456789abcdef")}, {data(16, "x")}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, x := meet(t, setting{config: func(c *Config) { c.Window = 16 }})
				for _, tlvs := range test.say {
					x.say(tlvs...)
				}
				if !x.hears(typeAbort) {
					t.Error("nobody was told")
				}
				if x.c.State() != otr.StateFinished {
					t.Error("no Disconnected came with ABORT")
				}
				if err := e.Wait(); !errors.Is(err, ErrBroken) || errors.Is(err, ErrTransport) || err == ErrDead {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestNothingOfAMalformedMessageIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello())
		x.say(data(0, "x"), wire.TLV{Type: typeEnd})
		if got, err := io.ReadAll(e); len(got) != 0 || !errors.Is(err, ErrBroken) {
			t.Errorf("%q, %v", got, err)
		}
	})
}

func TestAnAckThatGoesBackIsBroken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello())
		io.WriteString(e, "0123456789")
		x.await(typeData)
		x.say(ack(10))
		x.say(ack(9))
		if err := e.Wait(); !errors.Is(err, ErrBroken) || err == ErrDead {
			t.Errorf("%v", err)
		}
	})
}

func TestThePeersWindowIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello()) // of 1000 bytes
		go e.Write(make([]byte, 2500))
		for i, want := range []int64{0, 1000, 2000} {
			d := x.await(typeData)
			if d.offset != want || len(d.data) != min(1000, 2500-int(want)) {
				t.Fatalf("DATA %d: offset %d, %d bytes", i, d.offset, len(d.data))
			}
			x.say(ack(d.offset + int64(len(d.data))))
		}
	})
}

func TestAKnownStreamContinuesAfterAKeyExchangeAndAnotherBreaks(t *testing.T) {
	for _, known := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meet(t, setting{})
			x.say(hello(), data(0, "before "))
			x.await(typeHello)
			session, _ := x.c.Session()
			x.send(x.c.Refresh())
			for {
				x.listen()
				if now, ok := x.c.Session(); ok && now.SSID != session.SSID {
					break
				}
			}
			x.await(typeHello)
			if known {
				x.say(hello(), data(7, "after"), ended(12))
			} else {
				x.say(wire.TLV{Type: typeHello, Value: appendHello(nil, streamID{1}, 1, 0x18)}, data(0, "after"))
			}
			got, err := io.ReadAll(e)
			if known && (string(got) != "before after" || err != nil) {
				t.Errorf("%q, %v", got, err)
			}
			if !known && (string(got) != "before " || !errors.Is(err, ErrBroken)) {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestAnotherKeyCannotContinueTheStream(t *testing.T) {
	for _, proven := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meet(t, setting{config: func(c *Config) {
				if !proven {
					secret("the secret")(c)
				}
			}})
			x.say(hello(), data(0, "before"))
			tag := x.c.InstanceTag()
			x.c = newConversation(t, setting{key: 2, otr: func(c *otr.Config) { c.InstanceTag = tag }}, seeded(100))
			if overVersion4() { // in which a query during a session has no effect
				x.send(x.c.Refresh())
			} else {
				x.send(x.c.Query(), nil)
			}
			x.becomeSecure()
			got, err := io.ReadAll(e)
			if want := map[bool]string{true: "before"}[proven]; string(got) != want || !errors.Is(err, ErrRefused) {
				t.Errorf("proven %v: %q, %v", proven, got, err)
			}
		})
	}
}

func TestTextInAStreamIsNoPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		b, err := x.c.AppendMessage(nil, otr.Message{Text: []byte("hi"), TLVs: []wire.TLV{hello(), data(0, "payload"), ended(7)}})
		if err != nil {
			t.Fatal(err)
		}
		x.out.Write(b)
		if got, err := io.ReadAll(e); string(got) != "payload" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if told[Text](e) != 1 {
			t.Errorf("%v", e.events())
		}
	})
}

func TestDisconnectedBeforeTheEndIsBroken(t *testing.T) {
	for _, greet := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meet(t, setting{})
			if greet {
				x.say(hello(), data(0, "all but the end"))
			}
			x.send(x.c.End())
			got, err := io.ReadAll(e)
			if greet != (string(got) == "all but the end") || !errors.Is(err, ErrPeerEnded) || !errors.Is(err, ErrBroken) {
				t.Errorf("%q, %v", got, err)
			}
			if told[otr.PeerEnded](e) != 1 {
				t.Errorf("%v", e.events())
			}
		})
	}
}

func TestDisconnectedBeforeThePeersEndIsBrokenThoughOursWasAcknowledged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello(), data(0, "all but the end"))
		e.CloseWrite()
		x.await(typeEnd)
		x.say(ack(0))
		x.send(x.c.End())
		if got, err := io.ReadAll(e); string(got) != "all but the end" || !errors.Is(err, ErrPeerEnded) {
			t.Errorf("%q, %v", got, err)
		}
		if err := e.Wait(); !errors.Is(err, ErrPeerEnded) {
			t.Errorf("%v", err)
		}
	})
}

func TestAPeerThatGoesSilentIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello())
		start := time.Now()
		go func() {
			for _, ok := x.listen(); ok; _, ok = x.listen() {
			}
		}()
		if err := e.Wait(); err != ErrDead || !errors.Is(err, ErrBroken) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d < 5*time.Minute || d > 5*time.Minute+time.Second {
			t.Errorf("after %v", d)
		}
	})
}

func TestEveryHeartbeatShowsWhereWeStand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		x.say(hello(), data(0, "12345"))
		x.await(typeHello)
		io.ReadFull(e, make([]byte, 3))
		io.WriteString(e, "1234567")
		e.CloseWrite()
		x.await(typeEnd)
		for range 3 {
			records, _ := x.listen()
			got := make(map[uint16]int64)
			for _, r := range records {
				got[r.kind] = r.offset
				if len(r.data) != 0 {
					t.Errorf("DATA of %d bytes", len(r.data))
				}
			}
			want := map[uint16]int64{typeData: 7, typeEnd: 7, typeAck: 3}
			for kind, offset := range want {
				if at, ok := got[kind]; !ok || at != offset {
					t.Errorf("record %04x at %d, not %d", kind, at, offset)
				}
			}
			x.say(data(5, ""))
		}
	})
}

func TestHelloIsRepeatedUntilThePeersComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, x := meet(t, setting{})
		for range 4 {
			x.await(typeHello)
		}
		x.say(hello())
		io.WriteString(e, "x")
		if d := x.await(typeData); string(d.data) != "x" {
			t.Errorf("%+v", d)
		}
	})
}

// In version 2 nothing shows that the peer is an otrpipe, and some programs drop messages
// with unknown records, so Lines sends none of its own. Therefore a lost text is not noticed
// there.
func TestLinesOfVersion2HaveNoRecordsOfOurs(t *testing.T) {
	version2 := func(c *otr.Config) { c.Policy = otr.AllowV2 | otr.RequireEncryption | otr.RestartAKE }
	synctest.Test(t, func(t *testing.T) {
		a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
		e := open(t, a, setting{lines: true, otr: version2})
		x := &stranger{t: t, c: newConversation(t, setting{key: 1, otr: version2}, seeded(99)), in: bufio.NewReader(b), out: b}
		defer b.Close()
		x.becomeSecure()
		e.lines.WriteMessage([]byte("hello"))
		e.lines.CloseWrite()
		text := ""
		for x.c.State() == otr.StateEncrypted {
			line, err := x.in.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
			if err != nil {
				t.Fatal(err)
			}
			text += string(r.Text)
			for _, v := range r.TLVs {
				if v.Type >= 0x6F00 && v.Type <= 0x6FFF {
					t.Errorf("a record of type %04x", v.Type)
				}
			}
		}
		if text != "hello" {
			t.Errorf("%q", text)
		}
	})
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			a, b := cable(t, relay{filter: swallow(&deaf)}, relay{})
			ea, eb := openPair(t, a, b, setting{lines: true, otr: version2}, setting{lines: true, otr: version2})
			handshakeLines(t, ea.lines, eb.lines)
			for i := range 3 {
				deaf.Store(lost && i == 1)
				ea.lines.WriteMessage(fmt.Appendf(nil, "line %d", i))
				synctest.Wait()
			}
			deaf.Store(false)
			eb.lines.WriteMessage([]byte("an answer"))
			eb.lines.CloseWrite()
			ea.lines.CloseWrite()
			want := map[bool]int{false: 3, true: 2}[lost]
			if texts, err := readTexts(eb.lines); len(texts) != want || err != io.EOF {
				t.Errorf("lost %v: %q, %v", lost, texts, err)
			}
			if texts, err := readTexts(ea.lines); len(texts) != 1 || err != io.EOF {
				t.Errorf("lost %v: %q, %v", lost, texts, err)
			}
			if told[Lost](eb)+told[Undelivered](ea)+told[Downgraded](ea) != 0 || ea.lines.Wait() != nil || eb.lines.Wait() != nil {
				t.Errorf("lost %v: %v, %v; %v", lost, ea.lines.Wait(), eb.lines.Wait(), eb.events())
			}
		})
	}
}
