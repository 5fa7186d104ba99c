package stream

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"otrpipe/otr/wire"
)

// The records by which two Lines detect lost texts. Like the mark of plain text they are sent
// only from version 3 of OTR on.
const (
	typeNumber = 0x6F22 // number (8): of this message's text in the session, from 0 on
	// typeTextAck: session id (8), next (8), and for each run of lost texts below next its
	// first number (8) and count (8). All other texts below next have arrived.
	typeTextAck = 0x6F23
	typeCount   = 0x6F24 // session id (8), count (8): how many texts were sent in that session
	// typeLapsed is in a session's last message: the session has expired because its keys
	// were too old, and the sender stays.
	typeLapsed = 0x6F25
	// typeAgain: session id (8) and number (8), for each session in which this message's text
	// was sent before and may have arrived.
	typeAgain = 0x6F26
	// typeRefused is in a session's last message: the sender refuses the peer's key. It says no
	// more than the reason of an ABORT does.
	typeRefused = 0x6F27
	// typeUnwritten: the sender could not write texts that it may have acknowledged.
	typeUnwritten = 0x6F28
)

const (
	// ackEvery is the minimum time between two acknowledgements.
	ackEvery = time.Second
	// overdueAfter is the time after which an unacknowledged text is reported. The peer
	// acknowledges within a second; slow lines need some more time.
	overdueAfter = 10 * time.Second
	// lateWait is how long to wait for a missing text before it is reported as lost. Later
	// texts have arrived already, so it can only be late if the transport reorders lines.
	lateWait = 2 * time.Second
	// maxSpans bounds the runs of texts that are kept for a session. An honest peer causes a
	// few. If there are more, neighbouring runs are merged, so that too many texts count as
	// lost rather than too few.
	maxSpans = 256
	// maxAgain is the number of sessions in which a text is sent before it counts as
	// undelivered. Several sessions in a row without a sign of life from the peer occur only
	// if someone drops the last message of each key exchange.
	maxAgain = 8
	// maxPast is the number of ended sessions whose received texts are remembered. It is
	// larger than the number of sessions in which a text can be sent.
	maxPast = 2 * maxAgain
	// maxSessions is the number of sessions whose texts are tracked: the current one, and
	// earlier ones that were replaced by key exchanges before all their texts were settled.
	maxSessions = 4
)

// A sessionID is OTR's secure session id.
type sessionID [8]byte

// A span is a run of texts with consecutive numbers.
type span struct {
	first, n int64
	at       time.Time // when the first one was sent, or was noticed to be missing
	told     bool      // reported to the user as overdue, or as lost
	lost     bool      // the peer has reported them as lost
}

func (s span) end() int64 { return s.first + s.n }

// count returns the number of texts in spans.
func count(spans []span) (n int64) {
	for _, s := range spans {
		n += s.n
	}
	return n
}

// bounded merges the oldest spans until there are at most maxSpans.
func bounded(spans []span) []span {
	for len(spans) > maxSpans {
		spans[1].n = spans[1].end() - spans[0].first
		spans[1].first, spans[1].at = spans[0].first, spans[0].at
		spans = spans[1:]
	}
	return spans
}

// sentTexts tracks the texts that we have sent in one session.
type sentTexts struct {
	id    sessionID
	sent  int64
	ref   int64  // the number that WriteText returned for text 0
	acked bool   // the peer acknowledges texts
	open  []span // not acknowledged, in order
}

// add counts a text that is sent now, and returns its number. Texts sent within one second
// share a span.
func (s *sentTexts) add(now time.Time, ref int64) int64 {
	number := s.sent
	s.sent++
	if number == 0 {
		s.ref = ref
	}
	if n := len(s.open); n > 0 {
		last := &s.open[n-1]
		if last.end() == number && !last.told && !last.lost && now.Sub(last.at) < ackEvery {
			last.n++
			return number
		}
	}
	s.open = bounded(append(s.open, span{first: number, n: 1, at: now}))
	return number
}

// acknowledge handles an acknowledgement. It returns the texts that are newly known to be
// lost, those that have arrived, and those that have arrived after they were reported as
// overdue or lost.
func (s *sentTexts) acknowledge(next int64, gaps []span) (lost, arrived, afterAll []span) {
	s.acked = true
	next = min(next, s.sent)
	var open []span
	for _, o := range s.open {
		for o.n > 0 {
			piece, gap := o, false
			switch {
			case o.first >= next:
			default:
				piece.n = min(piece.end(), next) - piece.first
				for _, g := range gaps {
					switch {
					case g.end() <= piece.first:
					case g.first <= piece.first:
						piece.n = min(piece.end(), g.end()) - piece.first
						gap = true
					case g.first < piece.end():
						piece.n = g.first - piece.first
					}
				}
			}
			switch {
			case piece.first >= next:
				open = append(open, piece)
			case gap:
				if !piece.lost {
					lost = append(lost, piece)
				}
				piece.lost = true
				open = append(open, piece)
			case piece.told || piece.lost:
				afterAll = append(afterAll, piece)
			default:
				arrived = append(arrived, piece)
			}
			o.first, o.n = piece.end(), o.end()-piece.end()
		}
	}
	s.open = bounded(open)
	return lost, arrived, afterAll
}

// overdue returns, once, the texts that should have been acknowledged by now. taken is when
// the transport accepted the last text, if that took a while.
func (s *sentTexts) overdue(now, taken time.Time, wait time.Duration) (late []span) {
	for i := range s.open {
		if o := &s.open[i]; s.acked && !o.told && !o.lost && !now.Before(overdueAt(o, taken, wait)) {
			o.told = true
			late = append(late, *o)
		}
	}
	return late
}

// nextOverdue returns when overdue will return something; zero: never.
func (s *sentTexts) nextOverdue(taken time.Time, wait time.Duration) (next time.Time) {
	for i := range s.open {
		if o := &s.open[i]; s.acked && !o.told && !o.lost {
			next = earlier(next, overdueAt(o, taken, wait))
		}
	}
	return next
}

func overdueAt(o *span, taken time.Time, wait time.Duration) time.Time {
	if o.at.After(taken) {
		taken = o.at
	}
	return taken.Add(wait)
}

// settled reports whether the fate of every text is known.
func (s *sentTexts) settled() bool {
	for _, o := range s.open {
		if !o.lost {
			return false
		}
	}
	return true
}

// giveUp marks the unacknowledged texts as lost, and returns those that were not marked
// before.
func (s *sentTexts) giveUp() (lost []span) {
	for i := range s.open {
		if o := &s.open[i]; !o.lost {
			o.lost = true
			lost = append(lost, *o)
		}
	}
	return lost
}

// receivedTexts tracks the texts that the peer has sent in one session.
type receivedTexts struct {
	id      sessionID
	next    int64  // one more than the highest number that we know of
	missing []span // texts below next that have not arrived, in order
}

// An arrival classifies a received text.
type arrival int

const (
	inOrder  arrival = iota
	late             // after a text with a higher number
	repeated         // a second time
)

// arrive records the arrival of a text.
func (r *receivedTexts) arrive(number int64, now time.Time) arrival {
	if number >= r.next {
		r.reach(number, now)
		r.next = number + 1
		return inOrder
	}
	for i, m := range r.missing {
		if number < m.first || number >= m.end() {
			continue
		}
		before, after := m, m
		before.n = number - m.first
		after.first, after.n = number+1, m.end()-number-1
		var rest []span
		for _, s := range []span{before, after} {
			if s.n > 0 {
				rest = append(rest, s)
			}
		}
		r.missing = bounded(append(append(append([]span(nil), r.missing[:i]...), rest...), r.missing[i+1:]...))
		return late
	}
	return repeated
}

// has reports whether a text has arrived.
func (r *receivedTexts) has(number int64) bool {
	if number >= r.next {
		return false
	}
	return !slices.ContainsFunc(r.missing, func(m span) bool { return number >= m.first && number < m.end() })
}

// reach records that the peer has sent count texts.
func (r *receivedTexts) reach(count int64, now time.Time) {
	if count > r.next {
		r.missing = bounded(append(r.missing, span{first: r.next, n: count - r.next, at: now}))
		r.next = count
	}
}

// lose returns how many more texts count as lost now. At the end of the session, all missing
// texts do.
func (r *receivedTexts) lose(now time.Time, end bool) (n int64) {
	for i := range r.missing {
		if m := &r.missing[i]; !m.told && (end || !now.Before(m.at.Add(lateWait))) {
			m.told = true
			n += m.n
		}
	}
	return n
}

// nextLoss returns when lose will return something; zero: never.
func (r *receivedTexts) nextLoss() (next time.Time) {
	for _, m := range r.missing {
		if !m.told {
			next = earlier(next, m.at.Add(lateWait))
		}
	}
	return next
}

// appendAck appends the value of an acknowledgement. It reaches up to the first text that is
// neither here nor lost yet, and not beyond limit, the number of a text that is here.
func (r *receivedTexts) appendAck(b []byte, limit int64) []byte {
	next := limit
	for i, m := range r.missing {
		if !m.told || m.end() > limit {
			next = min(m.first, limit)
			return appendAckValue(b, r.id, next, r.missing[:i])
		}
	}
	return appendAckValue(b, r.id, next, r.missing)
}

func appendAckValue(b []byte, id sessionID, next int64, gaps []span) []byte {
	b = append(b, id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(next))
	for _, g := range gaps {
		b = binary.BigEndian.AppendUint64(b, uint64(g.first))
		b = binary.BigEndian.AppendUint64(b, uint64(g.n))
	}
	return b
}

func appendCount(b []byte, id sessionID, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, id[:]...), uint64(n))
}

// A textAck is a parsed acknowledgement, a textCount is a parsed COUNT, and a textAgain is
// one entry of AGAIN.
type (
	textAgain struct {
		id     sessionID
		number int64
	}
	textAck struct {
		id   sessionID
		next int64
		gaps []span
	}
	textCount struct {
		id sessionID
		n  int64
	}
)

// textRecords holds the records of a data message that concern texts.
type textRecords struct {
	numbered bool
	number   int64
	again    []textAgain // where the same text may have arrived before
	acks     []textAck
	counts   []textCount
	lapsed   bool
	refused  bool
	failed   bool // the peer has lost texts that it had acknowledged
	ask      bool
	stream   bool // it has records of a Stream
}

// ours reports whether only a Lines of this package can have sent these records.
func (r *textRecords) ours() bool { return r.numbered || len(r.acks) > 0 || len(r.counts) > 0 }

// parseTextRecords parses all the records of a data message. If one is malformed it returns
// an error, and the message must be ignored.
func parseTextRecords(tlvs []wire.TLV) (r textRecords, err error) {
	for _, t := range tlvs {
		v := t.Value
		switch t.Type {
		case typeNumber:
			if len(v) != 8 || r.numbered {
				return r, badLength("NUMBER", v)
			}
			r.number, err = parseOffset(v)
			r.numbered = true
			if r.number == math.MaxInt64 {
				err = fmt.Errorf("%w: number %d", errRecord, r.number)
			}
		case typeAgain:
			if len(r.again) > 0 {
				return r, badLength("AGAIN", v)
			}
			r.again, err = parseAgain(v)
		case typeTextAck:
			var a textAck
			a, err = parseAck(v)
			r.acks = append(r.acks, a)
		case typeCount:
			if len(v) != 16 {
				return r, badLength("COUNT", v)
			}
			c := textCount{id: sessionID(v)}
			c.n, err = parseOffset(v[8:])
			r.counts = append(r.counts, c)
		case typeLapsed, typeRefused, typeUnwritten, typeAsk, typeClose, typeClosed:
			err = checkEmpty(t)
			r.lapsed = r.lapsed || t.Type == typeLapsed
			r.refused = r.refused || t.Type == typeRefused
			r.failed = r.failed || t.Type == typeUnwritten
			r.ask = r.ask || t.Type == typeAsk
		case typeHello, typeData, typeAck, typeEnd, typeAbort, typeStop:
			r.stream = true
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func parseAgain(v []byte) (again []textAgain, err error) {
	if len(v) == 0 || len(v)%16 != 0 || len(v)/16 > maxAgain {
		return nil, badLength("AGAIN", v)
	}
	for ; len(v) > 0 && err == nil; v = v[16:] {
		a := textAgain{id: sessionID(v)}
		a.number, err = parseOffset(v[8:16])
		again = append(again, a)
	}
	return again, err
}

func parseAck(v []byte) (a textAck, err error) {
	if len(v) < 16 || len(v)%16 != 0 || len(v)/16-1 > maxSpans {
		return a, badLength("the acknowledgement of texts", v)
	}
	a.id = sessionID(v)
	if a.next, err = parseOffset(v[8:16]); err != nil {
		return a, err
	}
	at := int64(0)
	for v = v[16:]; len(v) > 0; v = v[16:] {
		var g span
		if g.first, err = parseOffset(v[:8]); err != nil {
			return a, err
		}
		if g.n, err = parseOffset(v[8:16]); err != nil {
			return a, err
		}
		if g.n == 0 || g.first < at || g.first >= a.next || g.n > a.next-g.first {
			return a, fmt.Errorf("%w: a run of %d lost texts at %d", errRecord, g.n, g.first)
		}
		at = g.end()
		a.gaps = append(a.gaps, g)
	}
	return a, nil
}
