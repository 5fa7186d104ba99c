package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/fatih/color"

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

// stay talks over one connection after another until the person leaves. A chat never ends by
// itself, because the shell would then receive what the person is typing.
func (h *Chat) stay(way live.Way, conversation *otr.Conversation) error {
	pause := firstRetry
	for {
		h.texts.newConnection()
		err := h.talk(way, conversation)
		if h.session.Cause() != nil || err == nil && !h.cfg.Stay {
			return err
		}
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
		if conversation, err = h.session.Again(); err != nil {
			return err
		}
		h.cfg.IO.Note("connecting again; Ctrl-D leaves")
		h.console.Load().Release()
	}
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
	console := h.console.Load()
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
	console.Hold(console.Paint("["+h.standing().who+" not connected]", color.FgRed) + " " + does + " ")
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
			h.answers.Note("there is no connection: what you typed was thrown away, and nobody has read it")
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
