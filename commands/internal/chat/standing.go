package chat

import (
	"strings"

	"github.com/fatih/color"

	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
)

// maxWho is how many characters of a contact's name stand in front of the line.
const maxWho = 32

// A standing is what a person has to know of a session at every moment: who is
// at the other end, and how far that is sure.
type standing struct {
	who       string
	encrypted bool // and every check that was asked for has passed
	trust     trust.Standing
}

// word says it, and colour shows it.
func (s standing) word() string {
	if !s.encrypted {
		return "unencrypted"
	}
	return s.trust.ForPeople()
}

func (s standing) colour() color.Attribute {
	switch {
	case !s.encrypted:
		return color.FgRed
	case s.trust == trust.Verified:
		return color.FgGreen
	}
	return color.FgYellow
}

// prompt is what stands in front of the line.
func (s standing) prompt() string { return "[" + s.who + " " + s.word() + "]" }

// standing is how the session stands now.
func (h *Chat) standing() standing { return h.standingOf(h.session.Snapshot()) }

func (h *Chat) standingOf(now live.Snapshot) standing {
	who := "peer"
	if h.cfg.Contact != "" {
		who = terminal.Visible(h.cfg.Contact)
	}
	if r := []rune(who); len(r) > maxWho {
		who = string(r[:maxWho-1]) + "…"
	}
	return standing{who: h.notOurs(who), encrypted: now.Trusted, trust: now.Standing()}
}

// notOurs is a name that can stand before messages: not the one before ours, nor the
// one before what the program says.
func (h *Chat) notOurs(name string) string {
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "you", h.cfg.Program:
		return "<" + name + ">"
	}
	return name
}

// reconsider looks whether the contact's key is trusted otherwise by now, as
// another shell may have seen to.
func (h *Chat) reconsider() {
	if h.cfg.Contact != "" && h.standing().encrypted {
		h.session.Review()
	}
}
