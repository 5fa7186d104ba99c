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

// With --retry, firstRetry is the time before another connection, and doubles up to maxRetry
// while no connection comes to a session.
const (
	firstRetry = time.Second
	maxRetry   = 30 * time.Second
)

// stay talks over one connection after another, until the person leaves. A chat never leaves
// by itself: what is being typed at that moment would end up in the shell.
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

// left is the outcome of a chat that the person leaves after a connection has ended.
func (h *Chat) left(err error) error {
	if cause := h.session.Cause(); cause != nil && cause != live.ErrQuit && cause != live.ErrEndedHere {
		return cause // a signal
	}
	h.told = err
	return err
}

// isToConnectAgain tells the person how a connection has ended, and waits until they, or
// --retry, want another one; false: they leave. What they type meanwhile is thrown away.
func (h *Chat) isToConnectAgain(err error, pause time.Duration) bool {
	console := h.console.Load()
	select {
	case <-h.held: // of a wait before this one
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

// tellEnd tells the person how a connection has ended, and what may be lost with it.
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

// mayConnectAgain reports whether another connection can do better than one that has ended
// so. A key that was refused, or a secret that was not the same, is for the person to think
// about, and a file of ours that is not as it should be stays so.
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
