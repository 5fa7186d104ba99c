package commands

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"

	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/stream"
)

// pumpSize is how much plaintext is moved at once, in bytes: more than a pipe
// holds, and enough that the cost of a call does not show.
const pumpSize = 256 << 10

// moveBytes moves payload both ways until both directions have ended. What it
// returns yields the error of writing plaintext, once all that came has been
// written.
func (l *live) moveBytes(s *stream.Stream, p *payload) <-chan error {
	go l.send(s, p)
	received := make(chan error, 1)
	go func() { received <- l.receive(s, p) }()
	return received
}

// send moves payload to the peer.
func (l *live) send(s *stream.Stream, p *payload) {
	buf := make([]byte, pumpSize)
	for {
		n, err := p.in.Read(buf)
		if n > 0 {
			if _, err := s.Write(buf[:n]); err != nil {
				return // the stream knows why
			}
		}
		if err != nil {
			l.inputEnded(err, func() { _ = s.CloseWrite() })
			return
		}
	}
}

// inputEnded ends our direction, properly if the input has ended so.
func (l *live) inputEnded(err error, end func()) {
	var exit *exitError
	switch {
	case errors.Is(err, io.EOF):
		end()
	case errors.As(err, &exit):
		l.stop(exit, "the application was killed")
	default:
		l.stop(fail(exitFailure, "reading the plaintext: %w", bare(err)), "reading failed")
	}
}

// receive moves payload from the peer. An application that leaves before it
// has read all needs no more of it.
func (l *live) receive(s *stream.Stream, p *payload) error {
	if p.application != nil {
		go func() {
			<-p.application.exited
			_ = s.CloseRead("the application has left")
		}()
	}
	buf := make([]byte, pumpSize)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := p.out.Write(buf[:n]); err != nil {
				if p.left(err) {
					return s.CloseRead("the application reads no more")
				}
				return l.outputLost(err)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			if err := p.doneOut(); err != nil && !p.left(err) {
				return l.outputLost(err)
			}
			return nil
		case err == stream.ErrClosed && p.application != nil:
			return nil
		case err != nil:
			return err
		}
	}
}

// left says whether err, of writing, comes from an application that reads no
// more.
func (p *payload) left(err error) bool {
	return p.application != nil && (errors.Is(err, syscall.EPIPE) || errors.Is(err, fs.ErrClosed))
}

// standard is the payload of our own standard input and output, or of those
// that the other half has brought.
func (l *live) standard(in, out *os.File) *payload {
	return &payload{
		in:      in,
		out:     terminal.Output(out),
		doneOut: out.Close,
	}
}

// outputLost ends the session when standard output takes no more plaintext,
// and returns the error that this is.
func (l *live) outputLost(err error) error {
	lost := fail(exitFailure, "writing the plaintext: %w", bare(err))
	if errors.Is(err, syscall.EPIPE) {
		lost = leave(128 + int(syscall.SIGPIPE))
	}
	l.stop(lost, "nobody reads any more")
	return lost
}

// bare is an error of a file without the file's name, which the user does not
// know: it is a standard stream.
func bare(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}

// progressEvery is how often the progress line is told where we are.
const progressEvery = 200 * time.Millisecond

// showProgress shows on the terminal how far the transfer is, until the
// function it returns is called.
func (l *live) showProgress(lk link) (end func()) {
	errs := l.messages.File()
	onTerminal := terminal.Is(errs) && !terminal.Is(l.out) && !terminal.Is(l.in)
	if !l.options.progress && (l.quiet || !onTerminal) {
		return func() {}
	}
	var total int64
	if info, err := l.in.Stat(); err == nil && info.Mode().IsRegular() && l.role != roleDecrypt {
		total = info.Size()
	}
	line := l.messages.Progress(total)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				s := lk.Stats()
				line.Show(s.SentBytes, s.ReceivedBytes)
			case <-stop:
				line.End()
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}
