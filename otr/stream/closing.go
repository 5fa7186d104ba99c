package stream

import (
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// The records of both modes: private TLVs without a value.
const (
	// typeClose: the sender will say nothing more, except for its last message, which answers
	// the peer's CLOSED.
	typeClose = 0x6F07
	// typeAsk: asks the peer to send its state.
	typeAsk = 0x6F09
	// typeClosed: the message reveals every MAC key that its sender has used to verify
	// messages, and the sender says nothing more.
	typeClosed = 0x6F08
)

const (
	// maxRoundTrip is the upper limit for the estimate of the transport's round trip. It
	// limits how long an end waits for a peer that dies in the closing handshake.
	maxRoundTrip = 4 * time.Second
	// maxSlowTrip is the limit for Lines, whose transport may be an IRC or XMPP client that
	// sends only one line every few seconds.
	maxSlowTrip = 15 * time.Second
	// maxClosed is how often CLOSED is sent: once, and again when a message of the peer has
	// crossed it.
	maxClosed = 3
	// revealAfter is the number of data messages from the peer after which an idle end sends
	// an answer anyway. Each answer reveals the MAC keys that are due: in version 4 those of
	// all messages before it, as many as fit into one message; in versions 2 and 3 those of
	// the previous answer.
	revealAfter = 256
)

// A closing is the state of the handshake by which two ends of this package end a session. It
// belongs to the owner. After the handshake, anyone who recorded the traffic could have
// forged every data message except the last one of each side.
//
//	leader CLOSE I have sent everything
//	follower CLOSED so have I; these are the keys that I verified with
//	leader    Disconnected        and these are mine
//
// After CLOSED the follower's revealed keys must not verify anything. Nothing is lost by
// this, because the leader's last message answers CLOSED and therefore uses newer keys. The
// handshake starts only after all payload has been exchanged, so an end that gets no answer
// simply leaves.
type closing struct {
	closeSent bool          // we have sent CLOSE
	closes    int           // in mode lines: how often since the peer was last heard
	closeAt   time.Time     // in mode lines: when we sent it last, or heard the peer since
	asked     bool          // the peer's CLOSE has come
	closed    int           // how often we have sent CLOSED
	answered  bool          // the peer's CLOSED has come
	mark      int64         // output position where the message ends whose answer we wait for
	waiting   bool          // we wait for an answer
	grace     time.Duration // how long to wait in addition to the round trips
	by        time.Time     // when we leave without an answer
}

// leads reports whether this end sends CLOSE when both want to leave. That is the end that
// sent the Reveal Signature or Auth-R message.
func (l *link) leads() bool { return l.session.FirstHalfBold }

// follow records the peer's steps in the closing handshake.
func (c *closing) follow(tlvs []wire.TLV) {
	for _, t := range tlvs {
		switch t.Type {
		case typeClose:
			c.asked = true
		case typeClosed:
			c.answered = true
		}
	}
}

// awaitAnswer starts to wait for the peer's next message of the handshake. The wait counts
// from when the transport has accepted our message.
func (l *link) awaitAnswer(grace time.Duration) {
	c := &l.closing
	if c.waiting {
		return
	}
	c.waiting = true
	c.mark, c.grace = l.produced, grace
	l.watchWriter = true
	c.by = after(l.now, l.cfg.Timeout)
	switch {
	case l.hasty:
		c.by = l.now.Add(l.hastyWait())
	case l.mode.drains():
		c.by = after(l.now, l.drainWait())
	}
	l.beginDraining()
	l.answerAwaited()
}

// answerAwaited sets the time to leave once the transport has accepted the message that the
// peer has to answer.
func (l *link) answerAwaited() {
	c := &l.closing
	if c.waiting && c.mark >= 0 && l.isWritten(c.mark) {
		c.mark = -1
		trip := l.roundTrip
		if l.mode.drains() {
			trip = max(trip, min(l.conv.RoundTrip(), maxSlowTrip))
		}
		c.by = l.now.Add(c.grace + 2*trip)
	}
}

// sendClosed sends other records followed by CLOSED.
func (l *link) sendClosed(tlvs []wire.TLV) {
	c := &l.closing
	if c.closed == maxClosed {
		return
	}
	c.closed++
	err := l.seal(otr.Message{TLVs: append(tlvs, wire.TLV{Type: typeClosed}), IgnoreUnreadable: true, RevealAll: true})
	if err != nil {
		l.end(err, internalError)
	}
}
