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
	// MaxText is the length of the longest text that Lines sends, in bytes. With keys,
	// padding and base64 added, it must stay below 1 MiB, the limit of a line.
	MaxText = 512 << 10

	// linesRoom is how many bytes of texts may wait to be sent, or to be read. One text may
	// exceed it.
	linesRoom = 1 << 20

	// headLen is the length of the head of each text in a queue: four bytes with its length,
	// and one byte that says whether it is marked as plain.
	headLen = 4 + 1

	// typePlain is the type of the TLV by which an otrpipe marks its messages, from the first
	// one of a session on. Its value is one byte, the versions of OTR that the sender
	// offered. A text with this TLV is plain text, to be shown unchanged and never treated as
	// HTML. Programs that do not know the TLV ignore it, as the specifications ask.
	typePlain = 0x6F21
	// markedFrom is the first version of OTR in which texts are marked. A version 2 program
	// that is still in use drops messages with TLVs that it does not know.
	markedFrom = 3
)

// Lines carries one message per line to and from any OTR client. All methods may be called
// from any goroutine.
type Lines struct {
	link

	// The owner's.
	lastText time.Time // when the last text was sent or received; at first, when texts could move
	textEnd  int64     // output position where the last text ends
	writing  bool      // the transport had not accepted it when we last looked
	taken    time.Time // when it had, if that took a while
	inputEnd time.Time // when CloseWrite was noticed; zero: not yet
	stuckBy  time.Time // our input has ended: when to give up on a transport that accepts nothing
	scratch  []byte
	texts

	wantsEnd  bool      // we want to end the session
	quits     bool      // we want to end everything
	brief     bool      // do not wait long for acknowledgements
	endBy     time.Time // when we leave even though texts have not been acknowledged
	flushing  bool      // the peer wants to end: it gets only the texts that wait already
	flush     int       // how many of them are left
	lapsing   bool      // the peer says that the session has expired at its end
	refused   bool      // the peer says that it refuses our key
	failed    bool      // the peer says that it has lost texts that it had acknowledged
	toldFail  bool      // this was reported for the present session
	toldWait  bool      // it was reported that we wait for a sign of the peer at the end
	lapsed    bool      // the last session has expired: its keys were too old
	metStream bool      // the peer runs mode stream

	// Guarded by mu. The queues hold texts, each preceded by its head.
	readable, writable sync.Cond
	out                queue
	outTexts           int   // how many texts out holds
	refIn, refOut      int64 // the numbers of the last texts put into and taken from out
	writeClosed        bool
	taking             bool         // there is a session with a trusted peer
	in                 queue        // may be read
	held               queue        // from a peer that has not passed its checks yet
	given              int64        // how many texts ReadText has returned
	handled            int64        // how many of them the reader has dealt with: it came for the next one
	readClosed         bool         // CloseRead was called, or finish has failed
	noMore             bool         // finish is due: no more texts come from the peer
	finish             func() error // see OnLastText; nil: there is nothing to call, or no more
	finishing          bool         // finish runs
	spoiled            bool         // texts that may have been acknowledged are lost here
	everTrusted        bool
}

// OpenLines starts Lines over transport; see Open.
func OpenLines(transport io.ReadWriteCloser, cfg Config) *Lines {
	l := new(Lines)
	l.readable.L, l.writable.L = &l.mu, &l.mu
	l.start(transport, cfg, l, nil)
	return l
}

// Handshake waits until texts may move: the session is encrypted and the peer has passed the
// checks that Config asks for. If ctx ends first, Handshake returns ctx's error and Lines
// goes on.
func (l *Lines) Handshake(ctx context.Context) error { return l.handshake(ctx) }

// ReadMessage appends the next text to buf and returns the extended buffer. It returns io.EOF
// when the session has ended properly, or the error of the function that OnLastText has set. A
// reader that has lost a text calls CloseRead, and not ReadMessage again. Unless Config.Raw is set,
// a text is one line: CR and LF in it are replaced by the characters \r and \n.
func (l *Lines) ReadMessage(buf []byte) ([]byte, error) {
	text, _, err := l.ReadText(buf)
	return text, err
}

// ReadText is like ReadMessage, and also reports whether the peer's program has marked the
// text as plain text, as WriteText does. A text without the mark may be HTML, which IM
// clients send.
func (l *Lines) ReadText(buf []byte) (text []byte, plain bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.handled < l.given && !l.readClosed {
		l.handled = l.given
		l.rouse()
	}
	for {
		switch {
		case l.in.size > 0:
			text, plain := popText(&l.in, buf)
			l.given++
			l.rouse()
			return text, plain, nil
		case l.known && l.result != nil:
			return buf, false, l.result
		case l.finish != nil && (l.noMore || l.known):
			if err := l.callFinish(); err != nil {
				return buf, false, err
			}
			continue
		case l.known:
			return buf, false, io.EOF
		}
		l.readable.Wait()
	}
}

// callFinish calls finish, and lets the peer know if it fails. The mutex is held, but not meanwhile.
func (l *Lines) callFinish() error {
	finish := l.finish
	l.finish, l.finishing = nil, true
	l.mu.Unlock()
	err := finish()
	l.mu.Lock()
	l.finishing = false
	if err != nil {
		l.readClosed, l.spoiled = true, l.given > 0
	}
	l.rouse()
	return err
}

// OnLastText sets a function that ReadText calls once after the last text, before the session ends.
// The function may close the reader's output: some outputs, such as files of a network, only show
// then that they have lost something. If it returns an error, the peer learns that texts are lost,
// and ReadText returns the error. The session does not wait for it longer than half a second. If the
// peer ends the session without the closing handshake, ReadText calls the function after that, and
// if the session breaks, not at all. Set it before the first call of ReadText.
func (l *Lines) OnLastText(finish func() error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.finish = finish
	l.rouse()
}

// WriteMessage is WriteText for callers that do not track the delivery of texts.
func (l *Lines) WriteMessage(text []byte) error {
	_, err := l.WriteText(text)
	return err
}

// EndSession ends the session properly, after sending the texts that wait. With Config.Stay,
// Lines then waits for another session; otherwise everything ends. The error is
// otr.ErrNotEncrypted if there is no session.
func (l *Lines) EndSession() error {
	return l.Do(func(c *otr.Conversation) ([][]byte, error) {
		if c.State() != otr.StateEncrypted {
			return nil, otr.ErrNotEncrypted
		}
		l.wantsEnd, l.brief = true, true
		return nil, nil
	})
}

// WriteText sends a text, now or when there is a session. It blocks only while too many texts
// wait. An empty text is sent as a message without text, which clients do not show. From
// version 3 on, texts are marked as plain text, not HTML. After ErrNUL, ErrTooLong or
// ErrNoSession, other texts can still be written.
//
// Between two ends of this package, from version 3 on, texts are numbered and acknowledged.
// WriteText returns the text's number, counted from 1 on for each Lines; the events
// Unacknowledged, Undelivered and Delivered refer to it.
func (l *Lines) WriteText(text []byte) (number int64, err error) {
	return l.write(SessionID{}, text)
}

// WriteTextIn is WriteText for one session, whose peer has passed every check. It needs
// Config.OneSession: the text is sent in that session or not at all. If the session is over
// the error is ErrSessionOver. If it ends before the text is sent, an Unsent event follows.
func (l *Lines) WriteTextIn(id SessionID, text []byte) (number int64, err error) {
	if id == (SessionID{}) {
		return 0, ErrNoSession
	}
	return l.write(id, text)
}

// write queues a text for a session; zero: the current one.
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

// CloseRead means that the reader has failed: it has lost the text that ReadText returned last. Texts
// that still come are dropped, and ReadText only waits for the end. None of these texts are
// acknowledged, unless they had waited for half a second before. Then the peer is told that some of
// the texts that were acknowledged are lost.
func (l *Lines) CloseRead() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readClosed = true
	l.in.clear()
	l.rouse()
}

// CloseWrite means that no texts will follow. When all have been sent, and Config.Linger has
// passed without another text in either direction, the session is ended.
func (l *Lines) CloseWrite() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeClosed = true
	l.writable.Broadcast()
	l.rouse()
	return nil
}

// Wait waits until everything is over and returns the result. It is nil if either end ended
// the session, all written texts were sent, and, with a peer that acknowledges texts, all
// texts arrived in both directions.
func (l *Lines) Wait() error {
	<-l.done
	return l.result
}

// Surplus returns how many of the bytes that the transport has accepted come after the last
// text or farewell of a session. It does not matter if these are lost. Call it after Wait.
func (l *Lines) Surplus() int64 { return l.writer.written.Load() - l.owed }

// TextsAmong reports whether the last n bytes that the transport has accepted contain a text
// that the peer has not acknowledged. Call it after Wait.
func (l *Lines) TextsAmong(n int64) bool {
	return !l.allCame && l.textEnd > 0 && l.textEnd > l.writer.written.Load()-n
}

// Close sends the waiting texts, if there is a session for them, and ends the session. It
// does not wait long for a peer that does not answer. It returns the result: ErrClosed if
// texts were left unsent, and ErrUndelivered if the peer acknowledges texts and has not
// acknowledged all of them.
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
