// Package exchange implements what send and receive do around a transfer: they verify the other
// end (by a code if nothing else is given), run the transfer inside a session, show its
// progress, and report what has arrived.
package exchange

import (
	"errors"
	"fmt"
	"io"
	"time"

	"otrpipe/commands/internal/ends"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transfer"
)

// A Transfer is one end's part of a transfer. NewSending and NewReceiving make one.
type Transfer struct {
	IO       *terminal.IO
	Opposite string // the command for the other end, without its flags
	Contact  string // the contact expected at the other end; "": none was named

	verb  string // what happens to the files: sent or received
	other string // the other end's role
	where string // where the files have arrived, in text; "": at the other end
	run   func(transfer.Link, transfer.Progress) ([]transfer.Done, error)
	// arrived, unless nil, is called with the files that have arrived here.
	arrived func([]transfer.Done) error
}

// A pipeLink is the transfer's side of the pipes to its session.
type pipeLink struct {
	in  *io.PipeReader
	out *io.PipeWriter
}

func (l *pipeLink) Read(p []byte) (int, error) { return l.in.Read(p) }

func (l *pipeLink) Write(p []byte) (int, error) { return l.out.Write(p) }

func (l *pipeLink) CloseWrite() error { return l.out.Close() }

// A result is the outcome of a transfer.
type result struct {
	done []transfer.Done
	err  error
}

// errSessionOver ends a transfer when its session has ended.
var errSessionOver = errors.New("the session has ended")

// Over runs the transfer inside a session of e, which was made with v, over COMMAND or the way
// that the flags name. It returns when transfer and session have ended.
func (t *Transfer) Over(e *ends.End, v *Verification, command []string) error {
	if err := e.FindWay(command); err != nil {
		return err
	}
	if v.made {
		t.announce(e.Way(), command, v.Code)
	}
	fromSession, toUs := io.Pipe()
	toSession, fromUs := io.Pipe()
	link := &pipeLink{fromSession, fromUs}
	finished := make(chan result, 1)
	begun, started := false, time.Now()
	sessionErr := e.RunOver(live.Config{OwnProgress: true, ByCode: v.Code != nil}, nil, func(*live.Session) (*live.Payload, error) {
		begun, started = true, time.Now()
		go func() {
			meter := terminal.NewMeter(t.IO, t.verb)
			done, err := t.run(link, meter.Show)
			meter.End()
			finished <- result{done, err}
		}()
		return &live.Payload{In: toSession, Out: toUs, DoneOut: toUs.Close}, nil
	})
	if !begun {
		return sessionErr
	}
	toUs.CloseWithError(errSessionOver)
	toSession.CloseWithError(errSessionOver)
	r := <-finished
	var told error
	if t.arrived != nil {
		told = t.arrived(r.done)
	}
	if len(r.done) > 0 {
		t.IO.Note("%s", closingLine(t.place(), r.done, time.Since(started)))
	}
	if err := t.outcome(r.err, sessionErr); err != nil {
		return err
	}
	return told
}

// outcome returns the error to end the program with: err is the transfer's error, sessionErr the
// session's.
func (t *Transfer) outcome(err, sessionErr error) error {
	stopped := (*transfer.StoppedError)(nil)
	switch {
	case err == nil:
		return sessionErr
	case errors.Is(err, errSessionOver), errors.Is(err, io.ErrClosedPipe):
		return t.cutShort(sessionErr)
	case errors.As(err, &stopped) && stopped.Complete:
		return exit.Errorf(exit.Failure, "%s says: %s", t.peer(), stopped.Reason)
	case errors.As(err, &stopped):
		return exit.Errorf(exit.Failure, "%s stopped: %s", t.peer(), stopped.Reason)
	case errors.Is(err, transfer.ErrNoReason):
		return exit.Errorf(exit.Failure, "%s %w", t.peer(), exit.Plain(err))
	case errors.Is(err, transfer.ErrChanged):
		return exit.As(exit.Failed(err)).WithHint("to send it again under another name, give --%s NAME; this one is taken at the other end now", AsFlag)
	}
	return exit.Failed(err)
}

// cutShort tells a sender whose session broke how to go on. A receiver is told when it keeps an
// incomplete file.
func (t *Transfer) cutShort(sessionErr error) error {
	receives := t.arrived != nil
	if e := exit.As(sessionErr); !receives && e.Code == exit.Broken && e.Hint == "" {
		return exit.Errorf(exit.Broken, "%w", sessionErr).WithHint("the same command, at both ends, continues it")
	}
	return sessionErr
}

// place describes where the files have arrived.
func (t *Transfer) place() string {
	switch {
	case t.where != "":
		return t.where
	case t.Contact != "":
		return "at " + terminal.Visible(t.Contact) + "'s end"
	}
	return "at the other end"
}

// peer returns the name that messages use for the peer, which has passed every check by then.
func (t *Transfer) peer() string {
	if t.Contact != "" {
		return terminal.Visible(t.Contact)
	}
	return "the " + t.other
}

// closingLine reports what has arrived, and where.
func closingLine(where string, done []transfer.Done, took time.Duration) string {
	files, bytes := 0, int64(0)
	for _, d := range done {
		files += d.Files
		bytes += d.Bytes
	}
	what, has := done[0].Name, "has"
	if n := len(done) - 1; n > 0 {
		what, has = fmt.Sprintf("%s and %d more", what, n), "have"
	}
	if files != 1 || len(done) > 1 {
		what += fmt.Sprintf(" (%d files)", files)
	}
	return fmt.Sprintf("%s %s arrived %s: %s in %v, checksum right", what, has, where, terminal.Size(bytes), took.Round(100*time.Millisecond))
}
