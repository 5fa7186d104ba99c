package stream

import (
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// Records of both modes, private TLVs without a value.
const (
	// typeClose: the sender has nothing more to say but its last message, which
	// answers the peer's CLOSED.
	typeClose = 0x6F07
	// typeAsk: the peer is to show where it stands.
	typeAsk = 0x6F09
	// typeClosed: the message reveals every MAC key that its sender has verified
	// with, and the sender says nothing more.
	typeClosed = 0x6F08
)

const (
	// maxRoundTrip bounds what is believed of the transport's delay, there and
	// back. It bounds how long an end waits for a peer that dies in the closing
	// handshake.
	maxRoundTrip = 4 * time.Second
	// maxSlowTrip bounds it for Lines, which network clients carry that send one line in
	// several seconds.
	maxSlowTrip = 15 * time.Second
	// maxClosed is how often CLOSED is sent: once, and again for messages of the
	// peer's that crossed it.
	maxClosed = 3
	// revealAfter is after how many data messages of the peer's an end that has
	// nothing to say answers all the same. Each answer reveals the MAC keys that are
	// due: in version 4 those of all messages before it, as many as one message
	// takes, and in versions 2 and 3 those of the answer before.
	revealAfter = 256
)

// A closing is the handshake that two ends of this package leave by, so that after
// it anybody who has listened could have written every data message but the last of
// each side. All of it is the owner's.
//
//	leader    CLOSE               I have said everything
//	follower  CLOSED              so have I; these are the keys that I have verified with
//	leader    Disconnected        and these are mine
//
// The follower's keys verify nothing after CLOSED. That costs nothing, because the
// leader's last message answers it and so is under newer keys. The handshake
// comes after everything that counts: the end that gets no answer leaves.
type closing struct {
	closeSent bool          // our CLOSE is out
	asked     bool          // the peer's CLOSE has come
	closed    int           // how often our CLOSED is out
	answered  bool          // the peer's CLOSED has come
	mark      int64         // where in the output what we wait for an answer to ends
	waiting   bool          // for an answer
	grace     time.Duration // how long, beside the way there and back
	by        time.Time     // when we leave without one
}

// leads says whether this end sends CLOSE where both want to leave. One of the two
// has sent the Reveal Signature, or the Auth-R.
func (l *link) leads() bool { return l.session.FirstHalfBold }

// follow notes the records of the closing handshake.
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

// awaitAnswer begins to wait for the peer's next message of the handshake: from the
// time when the transport has taken ours.
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

// answerAwaited sets the time to leave once the transport has taken what the peer is
// to answer.
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

// sendClosed sends CLOSED after other records.
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
