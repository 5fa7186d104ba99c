package stream

import (
	"bufio"
	"bytes"
	"io"
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

// awaitAck listens until all texts of the present session below next are acknowledged.
func (x *stranger) awaitAck(next int64) {
	x.t.Helper()
	session, _ := x.c.Session()
	for {
		line, err := x.in.ReadBytes('\n')
		if err != nil {
			x.t.Fatal(err)
		}
		r, err := x.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			x.t.Fatal(err)
		}
		for _, v := range r.TLVs {
			if v.Type != typeTextAck {
				continue
			}
			if a, err := parseAck(v.Value); err != nil {
				x.t.Fatal(err)
			} else if a.id == session.SSID && a.next == next && len(a.gaps) == 0 {
				return
			}
		}
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
		x.awaitAck(1)
	})
}
