package commands

import (
	"strings"

	"github.com/fatih/color"

	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/stream"
)

// maxWho is how many characters of a contact's name stand in front of the line.
const maxWho = 32

// A standing is what a person has to know of a session at every moment: who is
// at the other end, and how far that is sure.
type standing struct {
	who       string
	encrypted bool   // and every check that was asked for has passed
	trust     string // of the event secure
	session   stream.SessionID
}

// word says it, and colour shows it.
func (s standing) word() string {
	switch {
	case !s.encrypted:
		return "unencrypted"
	case s.trust == string(trust.Verified):
		return "verified"
	}
	return "unverified"
}

func (s standing) colour() color.Attribute {
	switch {
	case !s.encrypted:
		return color.FgRed
	case s.trust == string(trust.Verified):
		return color.FgGreen
	}
	return color.FgYellow
}

// prompt is what stands in front of the line.
func (s standing) prompt() string { return "[" + s.who + " " + s.word() + "]" }

// lead is the name in front of the peer's messages, and its colour.
func (s standing) lead() (string, color.Attribute) { return s.who, s.colour() }

// standing is how the session stands now.
func (l *live) standing() standing {
	who := "peer"
	if l.options.Contact != "" {
		who = terminal.Visible(l.options.Contact)
	}
	if r := []rune(who); len(r) > maxWho {
		who = string(r[:maxWho-1]) + "…"
	}
	who = notOurs(who)
	l.mu.Lock()
	defer l.mu.Unlock()
	s := standing{who: who, encrypted: l.trusted}
	if l.link != nil && l.trusted {
		s.session, _ = l.link.Session()
	}
	if l.peer != nil {
		s.trust = l.peer.Trust
	}
	return s
}

// notOurs is a name that can stand before messages: not the one before ours, nor the
// one before what the program says.
func notOurs(name string) string {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "you", programName:
		return "<" + name + ">"
	}
	return name
}

// showStanding puts the standing in front of the line.
func (h *chat) showStanding() {
	s := h.standing()
	h.mu.Lock()
	h.shown = s.session
	h.mu.Unlock()
	h.console.SetPrompt(h.console.Paint(s.prompt(), s.colour()) + " ")
}

// reconsider looks whether the contact's key is trusted otherwise by now, as
// another shell may have seen to.
func (h *chat) reconsider() {
	if h.options.Contact == "" || !h.standing().encrypted {
		return
	}
	h.mu.Lock()
	lk := h.link
	h.mu.Unlock()
	// The keeper is the owner's. After the end nothing is to be reviewed.
	_ = lk.Do(func(*otr.Conversation) ([][]byte, error) {
		h.setTrust(h.keeper.Review())
		return nil, nil
	})
}

// setTrust is told how far the key of the session is trusted.
func (h *chat) setTrust(standing trust.Standing) {
	h.mu.Lock()
	h.peer.Trust = string(standing)
	h.mu.Unlock()
	h.showStanding()
}

// addressed is the session that the person sees in front of the line.
func (h *chat) addressed() stream.SessionID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown
}
