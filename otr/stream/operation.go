package stream

import (
	"context"

	"otrpipe/otr"
)

// An operation is a function that the owner is to run.
type operation struct {
	f    func(*otr.Conversation) ([][]byte, error)
	in   SessionID     // the session it is for; zero: it needs none
	err  error         // valid once done is closed
	done chan struct{} // closed by the owner
}

func (o *operation) finish(err error) {
	o.err = err
	close(o.done)
}

// Do runs f in the owner's goroutine, where the Conversation may be used, and sends the lines
// that it returns. It returns f's error. f must not send texts. If f ends the session, the
// Stream or Lines ends too, except that Lines with Config.Stay waits for another session.
// After the end Do returns the result, or ErrClosed.
func (l *link) Do(f func(*otr.Conversation) ([][]byte, error)) error {
	return l.do(&operation{f: f, done: make(chan struct{})})
}

// DoIn is like Do, but only for the session id, whose peer has passed every check. If that
// session is over, DoIn does not run f and returns ErrSessionOver.
func (l *link) DoIn(id SessionID, f func(*otr.Conversation) ([][]byte, error)) error {
	if id == (SessionID{}) {
		return ErrSessionOver
	}
	return l.do(&operation{f: f, in: id, done: make(chan struct{})})
}

func (l *link) do(o *operation) error {
	l.mu.Lock()
	if l.gone {
		l.mu.Unlock()
		return l.closedError()
	}
	l.ops = append(l.ops, o)
	l.mu.Unlock()
	l.rouse()
	<-o.done
	return o.err
}

// handshake waits until payload may move.
func (l *link) handshake(ctx context.Context) error {
	select {
	case <-l.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.broke:
	}
	select {
	case <-l.ready: // payload could move, for a while
		return nil
	default:
		return l.closedError()
	}
}

// Stats returns the counts so far.
func (l *link) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// operate runs the operations that other goroutines have asked for.
func (l *link) operate() {
	l.mu.Lock()
	ops, abort := l.ops, l.abort
	l.ops, l.abort = nil, nil
	if l.phase == running && len(l.pending) > maxBacklog/2 {
		// Operations that produce output faster than the transport accepts it have to wait.
		l.ops, ops = ops, nil
	}
	l.mu.Unlock()
	for _, o := range ops {
		if l.phase != running {
			o.finish(l.closedError())
			continue
		}
		if o.in != (SessionID{}) && (o.in != l.sessionID || !l.isTrusted) {
			o.finish(ErrSessionOver)
			continue
		}
		shown := l.conv.SMPOutcomeShown()
		lines, err := o.f(l.conv)
		l.sendLines(lines)
		if shown && !l.conv.SMPOutcomeShown() { // the operation has broken off the run
			l.happened(otr.SMPFailed{BrokenOff: true}, nil)
		}
		o.finish(err)
		l.watchExchange()
		if l.secure && l.conv.State() == otr.StatePlaintext {
			l.report(otr.Ended{})
			l.mode.endedHere()
		}
	}
	if abort != nil && l.phase == running {
		l.hasty = true
		l.mode.abort(*abort)
	}
}
