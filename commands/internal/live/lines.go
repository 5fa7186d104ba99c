package live

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

const (
	// lastLine is how long a session that the peer has ended waits for the end of our input,
	// which may be about to arrive.
	lastLine = 100 * time.Millisecond
	// lastOutput is how long it waits for the end of COMMAND's output after COMMAND's input has
	// ended.
	lastOutput = 2 * time.Second
	// lastWrite is how long the output may take to write a text when we are told to leave, before
	// the peer learns that the text is lost.
	lastWrite = 500 * time.Millisecond
)

// moveLines moves texts both ways, one per line, until the session ends. The function that it
// returns waits until all received texts have been written, and returns the error of that, or of
// a text that could not be sent.
func (s *Session) moveLines(lines *stream.Lines, p *Payload) <-chan error {
	if p.Show != nil {
		received := make(chan error, 1)
		go func() { received <- s.showLines(lines, p.Show) }()
		return received
	}
	sent := make(chan error, 1)
	go func() { sent <- s.sendLines(lines, p) }()
	received := make(chan error, 1)
	go func() {
		err := s.receiveLines(lines, p)
		if err == nil {
			err = s.restOfInput(sent, p)
		}
		received <- err
	}()
	return received
}

// restOfInput returns an error if the session ended before all of our input was sent, that is,
// before its end was reached. A person at a terminal and a silent COMMAND have no more input,
// and a user who ends the session wants no more sent.
func (s *Session) restOfInput(sent <-chan error, p *Payload) error {
	wait := lastLine
	if p.Application != nil {
		wait = lastOutput
	}
	select {
	case err := <-sent:
		return err
	case <-time.After(wait):
	}
	if in, ok := p.In.(*terminal.Reader); p.Application != nil || ok && in.Terminal() || s.Cause() == ErrEndedHere {
		return nil
	}
	return exit.Errorf(exit.Broken, "%s ended the session before our input had ended, so not everything of it was sent", s.peerName())
}

// errUnsent says that some of our input was not sent.
var errUnsent = exit.Errorf(exit.Broken, "not everything of our input was sent")

// sendLines sends one message per line.
func (s *Session) sendLines(lines *stream.Lines, p *Payload) error {
	in := bufio.NewReaderSize(p.In, stream.MaxText+1)
	var unsent error
	for number := 1; ; number++ {
		line, err := in.ReadSlice('\n')
		tooLong := errors.Is(err, bufio.ErrBufferFull)
		if tooLong {
			// Do not wait for the end of such a line, which may never come.
			s.Warn("line %d of the input is not sent: it is longer than %d bytes", number, stream.MaxText)
			unsent = errUnsent
		}
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = in.ReadSlice('\n')
		}
		if err == nil && !tooLong {
			line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
		}
		if !tooLong && (err == nil || len(line) > 0) {
			sendErr := lines.WriteMessage([]byte(s.asTyped(string(line))))
			switch {
			case errors.Is(sendErr, stream.ErrNUL), errors.Is(sendErr, stream.ErrTooLong):
				s.Warn("line %d of the input is not sent: %v", number, Reword(sendErr))
				unsent = errUnsent
			case sendErr != nil:
				return errUnsent
			}
		}
		if err != nil {
			s.inputEnded(err, func() { _ = lines.CloseWrite() })
			return unsent
		}
	}
}

// receiveLines writes one line per message.
func (s *Session) receiveLines(lines *stream.Lines, p *Payload) error {
	var buf []byte
	out := output{payload: p}
	var to io.Writer = &out
	var lost error            // the output's, when it was closed
	if p.Application == nil { // a pipe to an application has nothing to say when it is closed
		lines.OnLastText(func() error {
			s.writing <- struct{}{}
			lost = out.Close()
			<-s.writing
			return lost
		})
	}
	for {
		var err error
		if buf, err = s.readText(lines, buf[:0]); err == io.EOF && p.Application != nil {
			lost = out.Close()
		}
		switch {
		case lost != nil:
			return s.outputLost(lost, out.written)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		buf = append(buf, '\n')
		s.writing <- struct{}{}
		_, err = to.Write(buf)
		<-s.writing
		if err != nil {
			lines.CloseRead()
			if !p.left(err) {
				return s.outputLost(err, out.written)
			}
			to = io.Discard
		}
	}
}

// leaveLines ends the session. A text that the output does not take counts as lost.
func (s *Session) leaveLines(lines *stream.Lines) {
	select {
	case s.writing <- struct{}{}:
		<-s.writing
	case <-time.After(lastWrite):
		lines.CloseRead()
	}
	_ = lines.Close()
}

// readText appends the next text to buf, which is empty, in the form to show. A text that the
// peer's program marks as plain is never treated as HTML.
func (s *Session) readText(lines *stream.Lines, buf []byte) ([]byte, error) {
	buf, plain, err := lines.ReadText(buf)
	if err == nil && !plain && s.options.HTML == options.HTMLText {
		buf = append(buf[:0], s.markup.ofPeer(s.Snapshot()).Text(string(buf))...)
	}
	return buf, err
}

// asTyped returns what to send so that the peer's client shows text exactly as typed.
func (s *Session) asTyped(text string) string {
	if s.options.HTML != options.HTMLText {
		return text
	}
	return s.markup.ofPeer(s.Snapshot()).Escape(text)
}

// showLines shows the texts that arrive.
func (s *Session) showLines(lines *stream.Lines, show func(text string)) error {
	for {
		text, err := s.readText(lines, nil)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		show(string(text))
	}
}

// A markup knows whether the peer's present client writes HTML.
type markup struct {
	mu   sync.Mutex
	html terminal.HTML // guarded by mu; also safe by itself
	of   client        // guarded by mu
}

// A client identifies one of the peer's clients. Each may or may not write HTML.
type client struct {
	fingerprint keys.Fingerprint
	instance    uint32
}

// ofPeer returns the markup of the client that the session is with now.
func (m *markup) ofPeer(now Snapshot) *terminal.HTML {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c := (client{now.Fingerprint, now.Instance}); c != m.of {
		m.of = c
		m.html.Forget()
	}
	return &m.html
}
