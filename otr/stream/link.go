package stream

import (
	"bytes"
	"io"
	"runtime"
	"slices"
	"sync"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

const (
	// roomy is the fill level of the output buffer, in bytes, up to which a mode may add
	// another message. Batches of this size keep system calls efficient when messages are
	// small.
	roomy = 32 << 10
	// maxBacklog is how many bytes of output may wait for the transport before we stop
	// reading from it. Honest peers stay far below it; it limits peers that send requests and
	// never read the answers.
	maxBacklog = 4 << 20
)

// maxGather is about how many bytes of lines are handed to the Conversation at once: enough
// for the messages of a bulk stream to keep several cores busy.
const maxGather = 2 << 20

// A mode is the protocol that runs over a link: Stream or Lines. The owner calls all its
// methods, finished and backlogged with the mutex held.
type mode interface {
	// secured: a session is encrypted and Verify has accepted its key.
	secured(s otr.Session) error
	// waits: reports whether to wait for another session after one that ended or whose key
	// was rejected. If so, it drops what belonged to that session.
	waits() bool
	// marks: the peer may not know that we are an otrpipe unless a record says so.
	marks() bool
	// untouched: no payload has moved yet.
	untouched() bool
	// accepted: every check of the session's peer has passed. It is called before Trusted is
	// reported, because the receiver of that event may write at once.
	accepted()
	// trusted: Trusted has been reported. It is called again whenever something else that
	// payload waits for has come.
	trusted()
	// message handles an authentic data message. It must be done with what r
	// borrows before it uses the Conversation.
	message(r *otr.Received)
	// pump sends waiting payload, as long as room and canSend allow it.
	pump()
	// heartbeat sends a message that repeats our state; ask sends one that also makes the
	// peer answer.
	heartbeat()
	ask()
	// lapseRecords returns the records to send with Disconnected when the session expires.
	lapseRecords() []wire.TLV
	// peerEnded handles the peer's Disconnected, expired the end of a session
	// whose keys were too old.
	peerEnded()
	expired()
	// endedHere handles the end of a session that an operation asked for.
	endedHere()
	// transportEnded returns the result when the transport ends with an error, or with nil at
	// its end of file. timedOut returns the result when Config.Timeout passes before payload
	// may move.
	transportEnded(err error) error
	timedOut() error
	// abort ends everything now, for a reason.
	abort(reason string)
	// unwritten returns the result that replaces success when the transport did not accept
	// the last lines.
	unwritten() error
	// farewell returns the records to send with Disconnected.
	farewell(result error, reason string) []wire.TLV
	// unanswered is called when the peer has not answered in the closing handshake in time.
	unanswered()
	// next returns when tick is due; zero: never.
	next() time.Time
	tick()
	// finished: the result is known; wake all waiters.
	finished()
	// appetite returns how many bytes of lines may be handled before pump is called.
	appetite() int
	// drains reports whether, at the end, the remaining output is written for as long as the
	// transport accepts it; see Config.Drain.
	drains() bool
	// backlogged reports whether our reader is so far behind that nothing more should be read
	// from the transport.
	backlogged() bool
}

// A link runs one Conversation over one transport, for a mode.
type link struct {
	// Set by open and never changed.
	cfg       Config
	mode      mode
	transport io.ReadWriteCloser
	reader    *reader
	writer    *writer
	wake      chan struct{} // from anyone to the owner: look at the fields guarded by mu
	alarm     chan struct{} // from the timer to the owner
	quit      chan struct{} // closed by the owner: the reader has to stop
	ready     chan struct{} // closed by the owner: payload may move
	broke     chan struct{} // closed by the owner: the result is known
	done      chan struct{} // closed by the owner: everything is over

	// Owned by the owner, down to mu.
	conv     *otr.Conversation
	now      time.Time
	phase    phase
	reporter reporter
	events   []otr.Event // scratch
	blocks   []*block    // scratch
	lines    [][]byte    // scratch

	pending     []byte   // lines for the writer
	spare       [][]byte // empty buffers
	produced    int64    // bytes that were put into pending
	watchWriter bool     // the owner wants to know when everything has been written
	writeError  bool
	writeCause  error
	readEnded   bool

	secure        bool        // a session is encrypted and its key accepted
	everSecure    bool        // there has been one
	session       otr.Session // the latest
	sessionID     SessionID   // of the session, until it ends
	lastID        uint64      // the last number that was used
	gate          gate
	vouch         vouching
	isTrusted     bool             // every check of the session's peer has passed
	isPinned      bool             // the link belongs to a key
	pinned        keys.Fingerprint // the fingerprint of that key
	offer         wire.Versions    // the versions that we offered for the session
	marked        bool             // the peer has said which versions it offered: it is an otrpipe
	owesMark      bool             // we have to say it too
	toldDowngrade bool
	opened        bool      // payload may move, or could once
	heardAny      bool      // something has arrived from the transport
	heard         time.Time // when the last authentic message came
	beat          time.Time // when we last sent our state
	asked         time.Time // when we last asked the peer for a sign of life
	polite        bool      // after the end, give the peer time to leave
	hasty         bool      // after the end, give the transport little time
	peerLeft      bool      // after the end, the peer's last message has come

	closing   closing
	roundTrip time.Duration // of the transport, measured in the key exchange; at most maxRoundTrip
	spoke     time.Time     // when we last sent lines
	unread    int           // data messages from the peer since our last one

	hold       hold
	queryGap   time.Duration
	queries    int   // sent since the peer last said something
	departMark int64 // output position after the lines that the Conversation tracks; 0: none
	takenMark  int64 // how much the transport had accepted when takesMore last looked
	owed       int64 // output position where the last text or farewell of a session ends

	// When something is due; zero: never.
	queryAt    time.Time // another query
	exchangeBy time.Time // stop holding data back
	readyBy    time.Time // fail, unless payload may move
	leaveBy    time.Time // after a write error, in leaving and in parting: leave
	drainTell  time.Time // report that the transport has not accepted everything yet
	timerAt    time.Time // timer fires
	timer      Timer

	// Guarded by mu.
	mu     sync.Mutex
	ended  bool  // nothing more is accepted from callers
	known  bool  // broke is closed, or about to be
	result error // of the whole, if known
	gone   bool  // the owner runs no operations any more
	abort  *string
	ops    []*operation
	stats  Stats
	// current is the session whose peer has passed every check; zero: there is none.
	current SessionID
}

// Stats counts payload (bytes, and data messages that carried some) and failed comparisons.
type Stats struct {
	SentBytes, SentMessages         int64
	ReceivedBytes, ReceivedMessages int64

	// FailedComparisons counts the comparisons of secrets in the current session that have
	// not succeeded although the peer was shown the outcome. Each of them may be a guess.
	FailedComparisons int
}

// start starts l for a mode. If err is not nil, or the Conversation or Clock is missing, l
// ends at once.
func (l *link) start(transport io.ReadWriteCloser, cfg Config, m mode, err error) {
	l.cfg = cfg
	l.mode = m
	l.transport = transport
	l.conv = cfg.Conversation
	l.quit = make(chan struct{})
	l.reader = newReader(transport, l.quit)
	l.writer = newWriter(transport, m.drains())
	l.wake = make(chan struct{}, 1)
	l.alarm = make(chan struct{}, 1)
	l.ready = make(chan struct{})
	l.broke = make(chan struct{})
	l.done = make(chan struct{})
	l.reporter.tell = cfg.Event
	if err == nil && (cfg.Conversation == nil || cfg.Clock == nil) {
		err = errConfig
	}
	if err != nil {
		l.refuse(err)
		return
	}
	go l.reader.run()
	go l.writer.run()
	go l.run()
}

// refuse ends a link that never starts.
func (l *link) refuse(err error) {
	l.transport.Close()
	l.result, l.known, l.ended, l.gone = err, true, true, true
	close(l.broke)
	close(l.done)
}

// run is the owner's goroutine.
func (l *link) run() {
	l.now = l.cfg.Clock.Now()
	l.begin()
	for {
		l.attend()
		if l.phase == over {
			break
		}
		l.arm()
		l.prepare()
		var full chan<- []byte
		if len(l.pending) > 0 {
			full = l.writer.full
		}
		var empty <-chan []byte
		if l.phase != running || l.watchWriter || l.departMark != 0 {
			empty = l.writer.empty
		}
		// Lines that we have no room for wait in the transport.
		var blocks <-chan *block
		if l.wantsMore() {
			blocks = l.reader.full
		} else {
			l.heard = l.now // we are not listening, so the peer is not silent
		}
		var got *block
		select {
		case full <- l.pending:
			l.handedOver()
		case b := <-empty:
			l.spare = append(l.spare, b)
		case err := <-l.writer.failed:
			l.writeFailed(err)
		case got = <-blocks:
		case <-l.wake:
		case <-l.alarm:
			l.timerAt = time.Time{}
		}
		l.now = l.cfg.Clock.Now()
		if got != nil {
			l.heardFirst()
			l.receive(l.gather(got))
		}
		l.logKeys()
	}
	l.logKeys()
	l.close()
}

// heardFirst starts Config.Timeout at the transport's first line, unless it has started
// already.
func (l *link) heardFirst() {
	if l.heardAny {
		return
	}
	l.heardAny = true
	if l.phase == running && !l.opened {
		l.readyBy = earlier(l.readyBy, after(l.now, l.cfg.Timeout))
	}
}

// prepare makes the Conversation's next keys in another goroutine while there is nothing else
// to do. It lets the goroutines that the owner has just woken go first, because they only
// write a line or read a text, while making keys takes longer and there may be only one core.
func (l *link) prepare() {
	if l.phase != running || !l.secure {
		return
	}
	if work := l.conv.Prepare(); work != nil {
		go func() {
			runtime.Gosched()
			work()
		}()
	}
}

// logKeys passes the keys that the Conversation has logged to Config.Keys.
func (l *link) logKeys() {
	if l.cfg.Keys == nil {
		return
	}
	if keys := l.conv.TakeKeys(); len(keys) > 0 {
		l.cfg.Keys(keys)
	}
}

// begin starts the timeouts and sends the first query.
func (l *link) begin() {
	l.offer = l.conv.Versions()
	if l.cfg.Wait != Forever {
		l.readyBy = after(l.now, l.cfg.Timeout)
		if !l.readyBy.IsZero() {
			l.readyBy = l.readyBy.Add(l.cfg.Wait)
		}
	}
	l.conv.TrackDepartures()
	if l.cfg.Initiate {
		l.queryGap = firstQuery
		l.query()
	}
}

// attend does everything that is due: requests from other goroutines, timers, and sending.
func (l *link) attend() {
	l.operate()
	l.tick()
	if l.phase == running {
		l.tell()
	}
	if l.phase == running {
		l.mode.pump()
		l.answerAwaited()
		l.watchDepartures()
	}
	if l.phase == leaving && l.isWritten(l.produced) {
		l.written()
	}
}

// gather takes further blocks that the reader has ready, as many as the Conversation can
// handle at once.
func (l *link) gather(first *block) []*block {
	l.blocks = append(l.blocks[:0], first)
	for size := len(first.lines); size < l.mode.appetite(); {
		select {
		case b := <-l.reader.full:
			l.blocks = append(l.blocks, b)
			size += len(b.lines)
		default:
			return l.blocks
		}
	}
	return l.blocks
}

// receive handles blocks from the reader and gives them back.
func (l *link) receive(blocks []*block) {
	lines := l.lines[:0]
	for _, b := range blocks {
		if b.dropped > 0 {
			l.receiveLines(lines)
			lines = lines[:0]
			l.report(LineTooLong{Bytes: b.dropped})
		}
		for rest := b.lines; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytes.Cut(rest, []byte{'\n'})
			if line = bytes.TrimSuffix(line, []byte{'\r'}); len(line) > 0 {
				lines = append(lines, line)
			}
		}
	}
	l.receiveLines(lines)
	clear(lines)
	l.lines = lines[:0]
	for _, b := range blocks {
		if b.err != nil {
			l.transportEnded(b.err)
			return
		}
		l.reader.empty <- b
	}
}

// receiveLines hands lines to the Conversation, as many as it takes at a time, and does
// what its answers ask for.
func (l *link) receiveLines(lines [][]byte) {
	for len(lines) > 0 {
		line := lines[0]
		if l.phase != running {
			l.receiveLate(line)
			lines = lines[1:]
			continue
		}
		if len(line) > wire.MaxMessage {
			l.report(LineTooLong{Bytes: int64(len(line))})
			lines = lines[1:]
			continue
		}
		got, err := l.conv.ReceiveAll(lines)
		for i, r := range got {
			if l.phase != running {
				l.receiveLate(lines[i])
				continue
			}
			if !l.secure {
				l.heardInClear(lines[i], r.Events)
			}
			if i < len(got)-1 {
				l.handle(r, nil)
			} else {
				l.handle(r, err)
			}
		}
		lines = lines[len(got):]
		// Messages that arrived before their session began can be read now, before the next
		// lines.
		for range maxDue {
			if !l.due(l.conv.NextTick()) {
				break
			}
			l.tickConversation()
		}
	}
}

// maxDue bounds how often the Conversation is ticked for one line. It is more than the number
// of messages that the Conversation keeps.
const maxDue = 32

// receiveLate handles a line after the end. Once the peer's last message has come, the peer
// needs no more time.
func (l *link) receiveLate(line []byte) {
	switch wire.Classify(line) {
	case wire.KindEncoded, wire.KindFragment:
		l.peerLeft = true
	}
	if l.phase == parting && l.peerLeft {
		l.phase = over
	}
}

// handle processes an answer of the Conversation. It uses what the answer borrows before it
// calls the Conversation again. An error is an internal one.
func (l *link) handle(r otr.Received, err error) {
	spoke := l.spoke
	l.sendLines(r.Send)
	l.events = append(l.events[:0], r.Events...)
	inClear := slices.Clone(r.Unencrypted[:min(len(r.Unencrypted), MaxClear)])
	if r.DataMessage && l.secure {
		l.heard = l.now
		l.unread++
		for _, t := range r.TLVs {
			if t.Type == typeVouch {
				l.heardVouch(t.Value)
			}
		}
		l.mode.message(&r)
	}
	for i, e := range l.events {
		if e, ok := e.(otr.Secure); ok {
			l.closing, l.unread = closing{}, 0
			l.roundTrip = min(l.now.Sub(spoke), maxRoundTrip)
			l.becameSecure(e)
			continue
		}
		if e, ok := e.(otr.Unencrypted); ok {
			l.report(Unencrypted{Bytes: e.Bytes, Text: inClear})
			continue
		}
		l.happened(e, l.events[i+1:])
	}
	if err != nil {
		l.end(err, internalError)
	}
	l.watchExchange()
}

// room reports whether another message may be added to the output.
func (l *link) room() bool {
	return l.phase == running && !l.writeError && len(l.pending) < roomy
}

// seal encrypts m and adds it to the output.
func (l *link) seal(m otr.Message) error {
	b, err := l.conv.AppendMessage(l.pending, m)
	if err != nil {
		return err
	}
	l.produced += int64(len(b) - len(l.pending))
	l.pending = b
	l.unread = 0
	return nil
}

// sealAll encrypts messages and adds them to the output.
func (l *link) sealAll(ms []otr.Message) error {
	b, err := l.conv.AppendMessages(l.pending, ms)
	if len(b) > len(l.pending) {
		l.unread = 0
	}
	l.produced += int64(len(b) - len(l.pending))
	l.pending = b
	return err
}

// sendLines adds lines to the output.
func (l *link) sendLines(lines [][]byte) {
	if len(lines) > 0 {
		l.spoke = l.now
	}
	for _, line := range lines {
		l.produced += int64(len(line) + 1)
		l.pending = append(append(l.pending, line...), '\n')
	}
	if l.writeError {
		l.pending = l.pending[:0]
	}
}

// isWritten reports whether the transport has accepted the first n bytes of the output.
func (l *link) isWritten(n int64) bool { return l.writer.written.Load() >= n }

// handedOver replaces pending after it went to the writer. At most one buffer is being
// written and one waits, so a third one is empty.
func (l *link) handedOver() {
	if len(l.spare) == 0 {
		l.spare = append(l.spare, <-l.writer.empty)
	}
	last := len(l.spare) - 1
	l.pending = l.spare[last]
	l.spare = l.spare[:last]
}

// wantsMore reports whether to read more from the transport.
func (l *link) wantsMore() bool {
	if l.phase != running {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) < maxBacklog && !l.mode.backlogged()
}
