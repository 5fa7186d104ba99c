package chat

import (
	"fmt"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/otr"
)

// With --retry, firstRetry is the pause before the next connection. It doubles, up to maxRetry,
// as long as no connection leads to a session.
const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// connecting is what can be done while a connection is made again.
const connecting = "connecting; Ctrl-D: leave"

// thrownAway is told when something is entered while there is no connection.
const thrownAway = "there is no connection: what you typed was thrown away, and nobody has read it"

// stay talks over one connection after another until the person leaves. A chat never ends by
// itself, because the shell would then receive what the person is typing.
func (h *Chat) stay(way live.Way, conversation *otr.Conversation) error {
	pause := firstRetry
	var last error // how the connection before has ended
	for {
		h.texts.newConnection()
		err := h.talkOrLeave(way, conversation)
		switch cause := h.session.Cause(); {
		case cause == live.ErrQuit && h.again:
			return h.left(last)
		case cause != nil || err == nil && !h.cfg.Stay:
			return err
		}
		last = err
		if h.texts.metPeer() {
			pause = firstRetry
		}
		for {
			if !h.isToConnectAgain(err, pause) {
				return h.left(err)
			}
			pause = min(2*pause, maxRetry)
			if way, err = h.cfg.Again(); err == nil {
				break
			}
		}
		h.again, h.holding = true, true
		h.hold(connecting)
		h.cfg.IO.Note("connecting again; Ctrl-D leaves")
		if conversation, err = h.session.Again(); err != nil {
			return err
		}
	}
}

// holdUntilConnected keeps the console on hold while a connection is made again, and gives
// the line back when it is there. The owner of the session calls it.
func (h *Chat) holdUntilConnected(s standing) {
	if !h.again || s.connected != h.holding {
		return
	}
	if h.holding = !s.connected; h.holding {
		h.hold(connecting)
	} else {
		h.console.Load().Release()
	}
}

// hold puts the console on hold, and says what can be done.
func (h *Chat) hold(does string) {
	console, s := h.console.Load(), h.standing()
	s.connected, s.encrypted = false, false
	console.Hold(console.Paint(s.prompt(), s.colour()) + " " + does + " ")
}

// talkOrLeave is talk, in which the person can leave also by what they type while the console
// is on hold.
func (h *Chat) talkOrLeave(way live.Way, conversation *otr.Conversation) error {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case typed := <-h.held:
				switch strings.TrimSpace(typed) {
				case "":
				case "q", "/quit":
					h.session.Stop(live.ErrQuit, "")
				default:
					h.answers.Note(thrownAway)
				}
			case <-over:
				return
			}
		}
	}()
	defer func() { close(over); <-done }()
	return h.talk(way, conversation)
}

// left returns the outcome of a chat that the person leaves after a connection has ended.
func (h *Chat) left(err error) error {
	if cause := h.session.Cause(); cause != nil && cause != live.ErrQuit && cause != live.ErrEndedHere {
		return cause // a signal
	}
	h.told = err
	return err
}

// isToConnectAgain tells the person how a connection ended and waits until they, or --retry, ask
// for another one. It returns false if they leave. It discards what they type meanwhile.
func (h *Chat) isToConnectAgain(err error, pause time.Duration) bool {
	select {
	case <-h.held: // left over from an earlier wait
	default:
	}
	again := mayConnectAgain(err)
	var retry <-chan time.Time
	does := "Enter leaves"
	switch {
	case again && h.cfg.Retry:
		does = fmt.Sprintf("connecting again in %v; Enter: now; Ctrl-D: leave", pause)
		timer := time.NewTimer(pause)
		defer timer.Stop()
		retry = timer.C
	case again:
		does = "Enter: connect again; Ctrl-D: leave"
	}
	h.again = false
	h.hold(does)
	h.tellEnd(err)
	for {
		select {
		case <-h.session.Stopped():
			return false
		case <-retry:
			return true
		case typed := <-h.held:
			switch strings.TrimSpace(typed) {
			case "", "r":
				return again
			case "q", "/quit":
				return false
			}
			h.answers.Note(thrownAway)
		}
	}
}

// tellEnd tells the person how a connection ended, and which messages may be lost.
func (h *Chat) tellEnd(err error) {
	if err == nil {
		h.cfg.IO.Note("the transport has ended%s", h.session.TransportStatus())
		return
	}
	h.refuse(err)
	if text := h.LastText(); text != "" && exit.As(err).Code == exit.Broken {
		h.answers.Warning("your last message may be lost: " + text)
	}
}

// mayConnectAgain reports whether another connection may succeed after one that ended with this
// error. A refused key or a wrong secret needs the person's attention, and a bad file of ours
// would still be bad.
func mayConnectAgain(err error) bool {
	if err == nil {
		return true
	}
	switch exit.As(err).Code {
	case exit.Broken, exit.Timeout, exit.Failure:
		return true
	}
	return false
}
