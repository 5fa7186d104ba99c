package live

import (
	"context"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/otr/stream"
)

const (
	// notice is how long the session waits for the other end before it tells the user.
	notice = 2 * time.Second
	// leavingNotice is how long leaving may take before a person is told about it. It usually
	// takes less.
	leavingNotice = 500 * time.Millisecond
)

// waitTime returns how long the other end may be silent before the time limit starts to count:
// stream.Forever if we listen, or if a person sees that we wait and can leave. The owner calls
// it.
func (s *Session) waitTime() time.Duration {
	switch {
	case s.spoken:
		return 0
	case s.options.Wait != nil:
		return *s.options.Wait
	case s.setup.Served:
		return 0
	case s.listens || s.hasPerson():
		return stream.Forever
	}
	return 0
}

// hasPerson reports whether a person at a terminal reads the session's messages.
func (s *Session) hasPerson() bool {
	return s.cfg.AtTerminal || !s.Quiet && terminal.Is(s.Messages.File())
}

// longest returns how long a session may wait in total for an end that says nothing;
// stream.Forever: no limit.
func (s *Session) longest() time.Duration {
	wait := s.waitTime()
	if wait == stream.Forever || s.options.Timeout <= 0 {
		return stream.Forever
	}
	return wait + s.options.Timeout
}

// whileWaiting returns a context that ends when the session is stopped or has waited as long as
// it may.
func (s *Session) whileWaiting() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-s.stopped:
			cancel()
		case <-ctx.Done():
		}
	}()
	longest := s.longest()
	if longest == stream.Forever {
		return ctx, cancel
	}
	bounded, late := context.WithDeadline(ctx, s.begun.Add(longest)) // the goroutine reads ctx
	return bounded, func() { late(); cancel() }
}

// noticeWait tells a person after a while that the other end is not there yet, unless they have
// been told already. The function that it returns cancels this.
func (s *Session) noticeWait() (stop func()) {
	if !terminal.Is(s.Messages.File()) || s.setup.Served {
		return func() {}
	}
	t := time.AfterFunc(notice, func() {
		if s.Snapshot().Peer == nil && !s.isFinished() {
			s.tellWaiting("")
		}
	})
	return func() { t.Stop() }
}

// tellWaiting tells the user once that the other end is not there yet; more adds where or why.
// In a chat, the prompt already shows it, so only more is worth telling.
func (s *Session) tellWaiting(more string) {
	if (!s.cfg.AtTerminal || more != "") && s.toldWaiting.CompareAndSwap(false, true) {
		s.Note("waiting for %s%s%s", s.otherEnd(), more, s.waysOut())
	}
}

// noticeAnswer tells a person after a while that the peer has not answered the comparison of
// secrets that must precede payload.
func (s *Session) noticeAnswer() {
	if !s.hasPerson() || s.setup.Served {
		return
	}
	time.AfterFunc(notice, func() {
		if now := s.Snapshot(); now.Peer != nil && !now.Trusted && !s.isFinished() {
			s.Note("waiting for %s's answer%s", s.otherEnd(), s.waysOut())
		}
	})
}

// tellLeaving tells a person that the session is still ending.
func (s *Session) tellLeaving() {
	if s.hasPerson() && !s.isFinished() {
		s.Note("leaving… (Ctrl-C leaves at once)")
	}
}

// otherEnd returns the name that messages use for the other end before there is a session.
func (s *Session) otherEnd() string {
	if s.options.Contact != "" {
		return s.contactName()
	}
	return "the other end"
}

// waysOut returns the end of a message about a wait, which says how a person can leave.
func (s *Session) waysOut() string {
	if s.cfg.AtTerminal || !terminal.Is(s.Messages.File()) {
		return ""
	}
	return " (Ctrl-C leaves)"
}

// uncalled returns the outcome if nobody has called in time.
func (s *Session) uncalled() error {
	return exit.Errorf(exit.Timeout, "%s has not called within %v", s.otherEnd(), s.longest()).
		WithHint("is otrpipe running there, and does it dial this address? --wait D waits for longer")
}
