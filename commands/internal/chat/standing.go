package chat

import (
	"slices"
	"strings"
	"unicode"

	"github.com/fatih/color"

	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
)

// maxWho is the maximum number of characters of a contact's name in the prompt.
const maxWho = 32

// A standing is what the person must see at every moment: who is at the other end, and whether
// they are verified.
type standing struct {
	who       string
	connected bool // there is a transport to the other end
	encrypted bool // and the peer has passed every check that was asked for
	trust     trust.Standing
}

// word describes the standing in one word, which colour supports.
func (s standing) word() string {
	switch {
	case s.encrypted:
		return s.trust.ForPeople()
	case s.connected:
		return "unencrypted"
	}
	return "not connected"
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

// prompt returns the prompt for a standing.
func (s standing) prompt() string { return "[" + s.who + " " + s.word() + "]" }

// standing returns the present standing of the session.
func (h *Chat) standing() standing { return h.standingOf(h.session.Snapshot()) }

func (h *Chat) standingOf(now live.Snapshot) standing {
	who := "peer"
	if h.cfg.Contact != "" {
		who = terminal.Visible(h.cfg.Contact)
	}
	if r := []rune(who); len(r) > maxWho {
		who = string(r[:maxWho-1]) + "…"
	}
	return standing{who: h.notOurs(who), connected: now.Connected, encrypted: now.Trusted, trust: now.Standing()}
}

// notOurs returns a name for the peer's messages that differs from the one before our own, from
// the program's and from the label of unencrypted text, also where these are in brackets or have
// a colon, and from the sign before an action. The first word of the name decides.
func (h *Chat) notOurs(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) })
	ours := []string{"you", strings.ToLower(unencryptedLabel), h.cfg.Program}
	if strings.HasPrefix(name, "*") || len(words) > 0 && slices.Contains(ours, words[0]) {
		return "<" + name + ">"
	}
	return name
}

// reconsider checks whether trust in the contact's key has changed since, for example from
// another shell.
func (h *Chat) reconsider() {
	if h.cfg.Contact != "" && h.standing().encrypted {
		h.session.Review()
	}
}
