package otr

import (
	"bytes"
	"time"

	"otrpipe/otr/wire"
)

// An earlyMessage is a data message that came before its key exchange was complete here. It
// may have overtaken the Auth-I message, or the last message of the exchange is being held
// (see besideMessage).
type earlyMessage struct {
	from peerID
	msg  []byte
	came time.Time
}

// earlyData holds early messages in the order in which they came: at most maxEarly messages,
// with at most maxEarlyBytes in total.
type earlyData struct {
	kept  []earlyMessage
	bytes int
}

// keep keeps a copy of a message; false: there is no room.
func (e *earlyData) keep(from peerID, msg []byte, now time.Time) bool {
	if len(e.kept) == maxEarly || e.bytes+len(msg) > maxEarlyBytes {
		return false
	}
	e.kept = append(e.kept, earlyMessage{from, bytes.Clone(msg), now})
	e.bytes += len(msg)
	return true
}

// take removes the first message. There must be one.
func (e *earlyData) take() earlyMessage {
	m := e.kept[0]
	e.kept = e.kept[1:]
	e.bytes -= len(m.msg)
	return m
}

func (e *earlyData) forget() { *e = earlyData{} }

// earlyAt returns when to handle the first kept message: at once if its key exchange has
// ended, otherwise when its time is up; zero: there is none.
func (c *Conversation) earlyAt() time.Time {
	if len(c.early.kept) == 0 {
		return time.Time{}
	}
	m := c.early.kept[0]
	if c.beside.line != nil && m.from == c.beside.from {
		return c.beside.until
	}
	if p := c.peers[m.from]; p == nil || p.engine.authState() != AuthWaitingAuthI {
		return m.came
	}
	return m.came.Add(earlyTime)
}

// receiveEarly handles the first kept message, if its time has come.
func (c *Conversation) receiveEarly(now time.Time, got *Received) error {
	if at := c.earlyAt(); at.IsZero() || now.Before(at) {
		return nil
	}
	m := c.early.take()
	h, body, err := wire.ParseHeader(m.msg)
	if err != nil {
		got.event(Malformed{Reason: err})
		return nil
	}
	return c.receiveData(m.from, h, body, m.msg, nil, got)
}
