package live

import (
	"errors"
	"io"
	"io/fs"
	"runtime"
	"syscall"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/stream"
)

// pumpSize is the amount of plaintext to move at once, in bytes. It is more than a pipe holds,
// and so large that the cost of a call does not matter.
const pumpSize = 256 << 10

// moveBytes moves payload both ways until both directions have ended. The function that it
// returns waits until all received plaintext has been written, and returns the error of that.
func (s *Session) moveBytes(b *stream.Stream, p *Payload) <-chan error {
	if s.options.ReceiveOnly {
		_ = b.CloseWrite() // if it fails, so does the stream
	} else {
		go s.send(b, p)
	}
	received := make(chan error, 1)
	if s.options.SendOnly {
		_ = b.CloseRead(sendsOnly)
		received <- p.DoneOut()
	} else {
		go func() { received <- s.receive(b, p) }()
	}
	return received
}

// sendsOnly is the reason that an end which only sends gives its peer.
const sendsOnly = "this end only sends"

// lonePiece is up to how many bytes, read at once, count as the whole of what there is to
// read for now. The next read is going to block, and holds on to its processor for a while
// when it does, so the goroutine that sends those bytes goes first.
const lonePiece = 4 << 10

// send moves payload to the peer.
func (s *Session) send(b *stream.Stream, p *Payload) {
	buf := make([]byte, pumpSize)
	for {
		n, err := p.In.Read(buf)
		if n > 0 {
			if _, err := b.Write(buf[:n]); err != nil {
				return // the stream has the reason
			}
			if n <= lonePiece {
				runtime.Gosched()
			}
		}
		if err != nil {
			s.inputEnded(err, func() { _ = b.CloseWrite() })
			return
		}
	}
}

// inputEnded ends our direction, properly if the input ended without an error.
func (s *Session) inputEnded(err error, end func()) {
	var e *exit.Error
	switch {
	case errors.Is(err, io.EOF):
		end()
	case errors.As(err, &e):
		s.Stop(e, "the application was killed")
	case errors.Is(err, terminal.ErrHangup):
		s.Stop(hangup(), "interrupted")
	default:
		s.Stop(exit.Errorf(exit.Failure, "reading the plaintext: %w", withoutName(err)), "reading failed")
	}
}

// receive moves payload from the peer. An application that exits before it has read everything
// does not need the rest.
func (s *Session) receive(b *stream.Stream, p *Payload) error {
	if p.Application != nil {
		go func() {
			<-p.Application.Exited
			_ = b.CloseRead("the application has left")
			_ = p.DoneOut() // a write of which nobody reads the rest ends
		}()
	}
	out := output{payload: p}
	err := b.Deliver(&out)
	switch {
	case out.err != nil && p.left(out.err):
		return b.CloseRead("the application reads no more")
	case out.err != nil:
		return s.outputLost(out.err, out.written)
	case err == stream.ErrClosed && p.Application != nil:
		return nil
	}
	return err
}

// An output is a payload's destination. It keeps its error, and how much it has taken.
type output struct {
	payload *Payload
	written int64
	err     error
}

func (o *output) Write(b []byte) (n int, err error) {
	n, o.err = o.payload.Out.Write(b)
	o.written += int64(n)
	return n, o.err
}

// Close ends the output. An application that reads no more does not mind.
func (o *output) Close() error {
	if o.err = o.payload.DoneOut(); o.err != nil && o.payload.left(o.err) {
		o.err = nil
	}
	return o.err
}

// left reports whether err, returned by a write, means that the application reads no more.
func (p *Payload) left(err error) bool {
	return p.Application != nil && (descriptor.ReaderGone(err) || errors.Is(err, fs.ErrClosed))
}

// outputLost ends the session when standard output takes no more plaintext, and returns the
// error for that. written is how many bytes it has taken.
func (s *Session) outputLost(err error, written int64) error {
	lost := exit.Errorf(exit.Failure, "writing the plaintext: %w; the output is incomplete: it ends after %s",
		withoutName(err), bytesOf(written))
	reason := "writing failed"
	switch {
	case descriptor.ReaderGone(err):
		lost, reason = exit.Silently(128+int(syscall.SIGPIPE)), "nobody reads any more"
	case errors.Is(err, terminal.ErrHangup):
		lost, reason = hangup(), "nobody reads any more"
	}
	s.Stop(lost, reason)
	return lost
}

// hangup is the outcome of a session whose terminal is gone. The signal for that may come later,
// or not to this process.
func hangup() *exit.Error { return exit.Silently(128 + int(syscall.SIGHUP)) }

// withoutName returns a file's error without the file's name, which means nothing to the user if
// the file is a standard stream.
func withoutName(err error) error {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		return pathErr.Err
	}
	return err
}
