package stream

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"sync"
	"time"

	"otrpipe/otr"
)

const (
	// MaxText is the longest text that Lines sends, in bytes: with its keys,
	// padding and base64 around it, it has to stay below the 1 MiB of a line.
	MaxText = 512 << 10

	// linesRoom is how many bytes of texts may wait to be sent, or to be read,
	// besides the one that goes over it.
	linesRoom = 1 << 20

	// headLen is what stands before a text in a queue: its length in four bytes,
	// and one that says whether it is marked as plain.
	headLen = 4 + 1

	// typePlain is the type of the TLV by which an otrpipe marks its messages, from the
	// first one of a session on: its value is a byte that says which versions of OTR it
	// offered, and a text with it is plain, to be shown as it is and never taken for
	// HTML. Programs that do not know it ignore it, as the specifications ask.
	typePlain = 0x6F21
	// markedFrom is the version of OTR from which on texts are marked. A program
	// of version 2 that is still about drops messages with TLVs that it does not know.
	markedFrom = 3
)

// Lines carries one message a line to and from any OTR client. All methods may
// be called from any goroutine.
type Lines struct {
	link

	// The owner's.
	lastText time.Time // when a text came or went, or could first
	textEnd  int64     // where in the output the last text ends
	writing  bool      // the transport had not taken it when we last looked
	taken    time.Time // when it had, if it was late
	inputEnd time.Time // when CloseWrite was noticed; zero: not yet
	stuckBy  time.Time // give up a transport that takes nothing though our input has ended
	scratch  []byte
	texts

	wantsEnd  bool      // the session is to be ended
	quits     bool      // and so is all
	brief     bool      // without waiting for acknowledgements for long
	endBy     time.Time // when we leave though texts have not been acknowledged
	flushing  bool      // the peer wants to end, and gets only what waits already:
	flush     int       // so many texts
	lapsing   bool      // the peer says that its session has lapsed
	lapsed    bool      // the last session has ended because its keys were too old
	metStream bool      // the peer runs mode stream

	// Guarded by mu. The queues hold texts, each behind its head.
	readable, writable sync.Cond
	out                queue
	outTexts           int   // how many texts out holds
	refIn, refOut      int64 // the number of the last text put into out, and taken from it
	writeClosed        bool
	taking             bool  // there is a session with a trusted peer
	in                 queue // may be read
	held               queue // from a peer that has still to prove itself
	everTrusted        bool
}

// OpenLines starts Lines over transport; see Open.
func OpenLines(transport io.ReadWriteCloser, cfg Config) *Lines {
	l := new(Lines)
	l.readable.L, l.writable.L = &l.mu, &l.mu
	l.start(transport, cfg, l, nil)
	return l
}

// Handshake waits until texts may move: the session is encrypted and the peer
// has met the trust that was asked for. If ctx ends before, it returns ctx's
// error and Lines goes on.
func (l *Lines) Handshake(ctx context.Context) error { return l.handshake(ctx) }

// ReadMessage appends the next text to buf and returns the whole. It returns
// io.EOF when the session has ended as it should. A text is one line, CR and LF
// in it made visible, unless Config.Raw is set.
func (l *Lines) ReadMessage(buf []byte) ([]byte, error) {
	text, _, err := l.ReadText(buf)
	return text, err
}

// ReadText is ReadMessage, and says whether the peer's program has marked the
// text as plain, as WriteMessage does. One without the mark may be HTML, which
// IM clients send.
func (l *Lines) ReadText(buf []byte) (text []byte, plain bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.in.size > 0:
			text, plain := popText(&l.in, buf)
			l.rouse()
			return text, plain, nil
		case l.known && l.result != nil:
			return buf, false, l.result
		case l.known:
			return buf, false, io.EOF
		}
		l.readable.Wait()
	}
}

// WriteMessage is WriteText for a caller that does not follow what becomes of a text.
func (l *Lines) WriteMessage(text []byte) error {
	_, err := l.WriteText(text)
	return err
}

// EndSession ends the session properly, after the texts that wait. That ends all,
// save with Config.Stay: then another session is waited for.
func (l *Lines) EndSession() error {
	return l.Do(func(c *otr.Conversation) ([][]byte, error) {
		if c.State() != otr.StateEncrypted {
			return nil, otr.ErrNotEncrypted
		}
		l.wantsEnd, l.brief = true, true
		return nil, nil
	})
}

// WriteText sends a text, now or when there is a session: it waits only
// while many others do. An empty one is a message that nobody sees. From version
// 3 on it is marked as plain text, which is no HTML. ErrNUL,
// ErrTooLong and ErrNoSession refuse this text alone.
//
// Between two ends of this package, from version 3 on, texts are numbered and
// acknowledged. The number that WriteText returns, which counts the texts of this
// Lines from 1 on, is the one of Unacknowledged, Undelivered and Delivered.
func (l *Lines) WriteText(text []byte) (number int64, err error) {
	return l.write(SessionID{}, text)
}

// WriteTextIn is WriteText for one session, whose peer has passed every check, with
// Config.OneSession: the text is sent in it or not at all. If it is over the error is
// ErrSessionOver, or later an Unsent event tells.
func (l *Lines) WriteTextIn(id SessionID, text []byte) (number int64, err error) {
	if id == (SessionID{}) {
		return 0, ErrNoSession
	}
	return l.write(id, text)
}

// write takes a text for a session; zero: for the present one.
func (l *Lines) write(id SessionID, text []byte) (number int64, err error) {
	switch {
	case bytes.IndexByte(text, 0) >= 0:
		return 0, ErrNUL
	case len(text) > MaxText:
		return 0, ErrTooLong
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		switch {
		case l.known && l.result != nil:
			return 0, l.result
		case l.ended:
			return 0, ErrPeerEnded
		case l.writeClosed:
			return 0, ErrClosed
		case l.cfg.OneSession && !l.taking:
			return 0, ErrNoSession
		case id != (SessionID{}) && id != l.current:
			return 0, ErrSessionOver
		case l.out.size < linesRoom:
			pushText(&l.out, text, true)
			l.outTexts++
			l.refIn++
			l.rouse()
			return l.refIn, nil
		}
		l.writable.Wait()
	}
}

// CloseWrite says that no texts will follow. When all have been sent, and
// Config.Linger has passed without another either way, the session is ended.
func (l *Lines) CloseWrite() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeClosed = true
	l.writable.Broadcast()
	l.rouse()
	return nil
}

// Wait waits until all is over and returns the result: nil if the session was
// ended by either end, everything that was written was sent, and with a peer that
// acknowledges texts, all of them arrived either way.
func (l *Lines) Wait() error {
	<-l.done
	return l.result
}

// Surplus returns how many bytes of what the transport has taken come behind the last
// text or farewell of a session: nobody misses them. It is to be called after Wait.
func (l *Lines) Surplus() int64 { return l.writer.written.Load() - l.owed }

// TextsAmong reports whether a text that the peer has not acknowledged is among the last
// n bytes that the transport has taken. It is to be called after Wait.
func (l *Lines) TextsAmong(n int64) bool {
	return !l.allCame && l.textEnd > 0 && l.textEnd > l.writer.written.Load()-n
}

// Close sends the texts that wait, if there is a session to send them in, and
// ends it; a peer that does not answer is not waited for long. It returns the
// result, which is ErrClosed if texts were left, and ErrUndelivered if the peer
// acknowledges texts and has not acknowledged all.
func (l *Lines) Close() error {
	l.requestAbort("")
	return l.Wait()
}

// pushText puts a text at the end of q.
func pushText(q *queue, text []byte, plain bool) {
	var head [headLen]byte
	binary.BigEndian.PutUint32(head[:], uint32(len(text)))
	if plain {
		head[headLen-1] = 1
	}
	q.push(head[:])
	q.push(text)
}

// popText appends the first text of q to buf.
func popText(q *queue, buf []byte) (text []byte, plain bool) {
	var head [headLen]byte
	q.pop(head[:])
	n := len(buf)
	buf = append(buf, make([]byte, binary.BigEndian.Uint32(head[:]))...)
	q.pop(buf[n:])
	return buf, head[headLen-1] == 1
}
