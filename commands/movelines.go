package commands

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

const (
	// lastLine is how long a session that the peer has ended waits for the end of our
	// input, which a reader may be about to find.
	lastLine = 100 * time.Millisecond
	// lastOutput is how long it waits for the end of COMMAND's output, whose input has
	// ended.
	lastOutput = 2 * time.Second
)

// moveLines moves texts both ways, a line each, until the session ends. What
// it returns yields the error of writing texts, or of one that could not be
// sent, once all that came has been written.
func (l *live) moveLines(lines *stream.Lines, p *payload) <-chan error {
	if p.person != nil {
		return p.person.converse(lines)
	}
	sent := make(chan error, 1)
	go func() { sent <- l.sendLines(lines, p) }()
	received := make(chan error, 1)
	go func() {
		err := l.receiveLines(lines, p)
		if err == nil {
			err = l.restOfInput(sent, p)
		}
		received <- err
	}()
	return received
}

// restOfInput returns what became of our input when the session has ended: only where
// its end has been reached is all of it sent. A person at a terminal and a COMMAND
// that says nothing have no more of it.
func (l *live) restOfInput(sent <-chan error, p *payload) error {
	wait := lastLine
	if p.application != nil {
		wait = lastOutput
	}
	select {
	case err := <-sent:
		return err
	case <-time.After(wait):
	}
	if in, ok := p.in.(*os.File); p.application != nil || ok && terminal.Is(in) {
		return nil
	}
	return errInputOpen
}

// errInputOpen says that the peer left before our input had ended.
var errInputOpen = exit.Errorf(exit.Broken, "the peer ended the session before our input had ended, so not everything of it was sent")

// errUnsent says that some of our input was not sent.
var errUnsent = exit.Errorf(exit.Broken, "not everything of our input was sent")

// sendLines sends a line a message.
func (l *live) sendLines(lines *stream.Lines, p *payload) error {
	in := bufio.NewReaderSize(p.in, stream.MaxText+1)
	var unsent error
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		if tooLong {
			// At once: the end of such a line may never come.
			l.Warn("line %d of the input is not sent: it is longer than %d bytes", number, stream.MaxText)
			unsent = errUnsent
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err == nil && !tooLong {
			line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		}
		if !tooLong && (err == nil || len(line) > 0) {
			sendErr := lines.WriteMessage([]byte(l.asTyped(string(line))))
			switch {
			case errors.Is(sendErr, stream.ErrNUL), errors.Is(sendErr, stream.ErrTooLong):
				l.Warn("line %d of the input is not sent: %v", number, reworded(sendErr))
				unsent = errUnsent
			case sendErr != nil:
				return errUnsent
			}
		}
		if err != nil {
			l.inputEnded(err, func() { _ = lines.CloseWrite() })
			return unsent
		}
	}
}

// receiveLines writes a message a line.
func (l *live) receiveLines(lines *stream.Lines, p *payload) error {
	var buf []byte
	out := p.out
	for {
		var err error
		if buf, err = l.readText(lines, buf[:0]); errors.Is(err, io.EOF) {
			if err := p.doneOut(); err != nil && !p.left(err) {
				return l.outputLost(err)
			}
			return nil
		} else if err != nil {
			return err
		}
		buf = append(buf, '\n')
		if _, err := out.Write(buf); err != nil {
			if !p.left(err) {
				return l.outputLost(err)
			}
			out = io.Discard
		}
	}
}

// readText appends the next text to buf, which is empty, as it is to be shown. What
// the peer's program says is plain is never taken for HTML.
func (l *live) readText(lines *stream.Lines, buf []byte) ([]byte, error) {
	buf, plain, err := lines.ReadText(buf)
	if err == nil && !plain && l.options.HTML == htmlText {
		buf = append(buf[:0], l.markup().Text(string(buf))...)
	}
	return buf, err
}

// asTyped is what to send so that the peer's client shows text as it was typed.
func (l *live) asTyped(text string) string {
	if l.options.HTML != htmlText {
		return text
	}
	return l.markup().Escape(text)
}

// An htmlPeer is a client of a peer: whether it writes HTML is not known of another.
type htmlPeer struct {
	fingerprint keys.Fingerprint
	instance    uint32
}

// markup is how the client that the session is with writes.
func (l *live) markup() *terminal.HTML {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := (htmlPeer{l.session.Fingerprint, l.session.PeerInstance}); now != l.htmlOf {
		l.htmlOf = now
		l.html.Forget()
	}
	return &l.html
}
