package commands

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"otrpipe/commands/internal/exit"
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
	var e *exit.Error
	switch {
	case errors.Is(err, io.EOF):
		end()
	case errors.As(err, &e):
		l.stop(e, "the application was killed")
	default:
		l.stop(exit.Errorf(exit.Failure, "reading the plaintext: %w", bare(err)), "reading failed")
	}
}

// receive moves payload from the peer. An application that leaves before it
// has read all needs no more of it.
func (l *live) receive(s *stream.Stream, p *payload) error {
	if p.application != nil {
		go func() {
			<-p.application.Exited
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
		out:     l.Messages.Output(out),
		doneOut: out.Close,
	}
}

// outputLost ends the session when standard output takes no more plaintext,
// and returns the error that this is.
func (l *live) outputLost(err error) error {
	lost := exit.Errorf(exit.Failure, "writing the plaintext: %w", bare(err))
	if errors.Is(err, syscall.EPIPE) {
		lost = exit.Silently(128 + int(syscall.SIGPIPE))
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

// progressEvery is how often the progress line is drawn anew: often enough to
// look alive, and no load on a slow terminal.
const progressEvery = 200 * time.Millisecond

// showProgress shows on the terminal how far the transfer is, until we are
// told to leave or the function it returns is called.
func (l *live) showProgress(lk link) (end func()) {
	if !l.wantsProgress() {
		return func() {}
	}
	line := l.Messages.Progress(time.Now(), l.remaining())
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer line.End()
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case now := <-tick.C:
				s := lk.Stats()
				line.Show(now, s.SentBytes, s.ReceivedBytes, l.trustInPeer())
			case <-l.stopped:
				return
			case <-stop:
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// wantsProgress reports whether there is a progress line: only ever on a
// terminal. It is guessed on where the payload is elsewhere; but not for serve,
// of which several may run at one terminal.
func (l *live) wantsProgress() bool {
	switch {
	case !terminal.Is(l.Messages.File()):
		return false
	case l.options.Progress:
		return true
	}
	return !l.Quiet && l.command != commandServe && !slices.ContainsFunc(l.streams(), terminal.Is)
}

// remaining is how many bytes of plaintext there are still to send; 0: nobody
// knows.
func (l *live) remaining() int64 {
	in := l.In
	switch {
	case l.command == commandServe:
		return 0
	case l.role == roleDecrypt:
		in = l.partner.in
	}
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	at, err := in.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return max(0, info.Size()-at)
}

// trustInPeer says, for the progress line, who the peer is and how far that is
// sure.
func (l *live) trustInPeer() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.peer == nil:
		return ""
	case l.options.Contact != "":
		return fmt.Sprintf("%s (%s)", l.options.Contact, l.peer.Trust)
	case l.options.SMP != nil && l.trusted:
		return "peer knows the secret"
	}
	return "peer " + l.peer.Trust
}
