package chat

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/fatih/color"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/otr/stream"
)

// keptTexts is how many sent messages are kept, so that they can be marked as delivered or
// quoted as lost. A person sends fewer before their fate is known.
const keptTexts = 200

// maxNamed is the maximum number of characters of such a message to quote.
const maxNamed = 40

// A sentText is a message that was sent.
type sentText struct {
	short  string // of its text
	mark   *editor.Mark
	result result
}

// A result is what is known of a message that was sent.
type result int

const (
	unknown   result = iota
	delivered        // the peer has acknowledged it
	lost             // not sent, or not delivered, or the session ended before that was known
)

// mark returns the one-column mark of a result, in ASCII if the terminal cannot show the usual
// one.
func (r result) mark() (mark, fallback string, colour color.Attribute) {
	if r == delivered {
		return "✓", "+", color.FgGreen
	}
	return "✗", "x", color.FgRed
}

// texts holds the latest messages that were sent over a connection. Several goroutines may call
// its methods.
type texts struct {
	mu    sync.Mutex
	all   []sentText // guarded by mu
	first int64      // guarded by mu: the number of the first message in all
	// early, guarded by mu, holds results that came before their messages were added.
	early []span
	// Guarded by mu: since the connection began,
	met      bool // there was a session
	answered bool // the peer has said something since the last message
	acks     bool // the peer acknowledges messages
}

// A span is a run of messages that have the same result.
type span struct {
	first, n int64
	result   result
}

// newConnection forgets all messages, because each connection numbers them from the start.
func (t *texts) newConnection() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all, t.first, t.early = nil, 0, nil
	t.met, t.answered, t.acks = false, false, false
}

// meetPeer notes that there is a session, and metPeer reports whether there was one.
func (t *texts) meetPeer() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.met = true
}

func (t *texts) metPeer() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.met
}

// heard notes that the peer has said something.
func (t *texts) heard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.answered = true
}

// add keeps a message that was sent. The numbers of messages follow each other.
func (t *texts) add(number int64, text string, mark *editor.Mark) result {
	if short := []rune(text); len(short) > maxNamed {
		text = string(short[:maxNamed-1]) + "…"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.all) == 0 {
		t.first = number
	}
	one := sentText{short: text, mark: mark}
	rest := t.early[:0]
	for _, e := range t.early {
		if number >= e.first && number < e.first+e.n {
			one.result = e.result
		}
		if e.first+e.n > number+1 {
			rest = append(rest, e)
		}
	}
	t.early, t.answered = rest, false
	t.all = append(t.all, one)
	if len(t.all) > keptTexts {
		t.all = t.all[1:]
		t.first++
	}
	return one.result
}

// settle records the result of n messages, the first of which is number first, and returns those
// that are kept.
func (t *texts) settle(first, n int64, result result) []sentText {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acks = t.acks || result == delivered
	next := t.first + int64(len(t.all))
	if len(t.all) == 0 {
		next = first
	}
	if first+n > next && len(t.early) < keptTexts {
		t.early = append(t.early, span{max(first, next), first + n - max(first, next), result})
	}
	var settled []sentText
	for i := max(first-t.first, 0); i < min(first-t.first+n, int64(len(t.all))); i++ {
		t.all[i].result = result
		settled = append(settled, t.all[i])
	}
	return settled
}

// unanswered returns the last message if nothing shows whether it has arrived, and "" otherwise.
// If the peer acknowledges messages, there is no doubt.
func (t *texts) unanswered() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.all); n > 0 && !t.acks && !t.answered && t.all[n-1].result == unknown {
		return t.all[n-1].short
	}
	return ""
}

// quoted returns, in quotation marks, those of the n messages from first on that are still kept.
func (t *texts) quoted(first, n int64) (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := max(first-t.first, 0); i < min(first-t.first+n, int64(len(t.all))); i++ {
		all = append(all, quote(t.all[i].short))
	}
	return all
}

func quote(text string) string { return terminal.Visible(strconv.Quote(text)) }

// SentTexts returns, in quotation marks, those of the n messages from first on that are still
// kept. It is for live.Config.
func (h *Chat) SentTexts(first, n int64) []string { return h.texts.quoted(first, n) }

// LastText returns the last sent message, in quotation marks, if nothing shows whether it has
// arrived, and "" otherwise. It is for live.Config.
func (h *Chat) LastText() string {
	if text := h.texts.unanswered(); text != "" {
		return quote(text)
	}
	return ""
}

// Settled marks messages as delivered or lost. It is for live.Config.
func (h *Chat) Settled(first, n int64, arrived bool) {
	result := lost
	if arrived {
		result = delivered
	}
	settled := h.texts.settle(first, n, result)
	h.soon(func() {
		for _, t := range settled {
			h.mark(t, result)
		}
	})
}

// mark marks a message. A delivered message that has scrolled off the screen is quoted instead.
func (h *Chat) mark(t sentText, result result) {
	mark, fallback, colour := result.mark()
	if t.mark == nil || !h.console.Load().Set(t.mark, mark, fallback, colour) && result == delivered {
		h.cfg.IO.Note("reached %s: %s", h.standing().who, quote(t.short))
	}
}

// unencryptedLabel is in the place of the sender's name before text that came unencrypted.
const unencryptedLabel = "UNENCRYPTED"

// InClear shows text that came unencrypted, in a way that cannot be mistaken for an encrypted
// message. It is for live.Config.
func (h *Chat) InClear(what stream.Unencrypted, count int) {
	if what.Bytes == 0 {
		return // it was only a tag that offers OTR
	}
	h.soon(func() {
		text := string(what.Text)
		switch {
		case count > 1:
			text += fmt.Sprintf(" … (the latest of %d texts)", count)
		case what.Bytes > len(what.Text):
			text += fmt.Sprintf(" … (%s in all)", terminal.Size(int64(what.Bytes)))
		}
		h.console.Load().Message(h.stamp()+"  "+h.paint(unencryptedLabel+":", color.FgRed, color.Bold)+" ", text, color.FgRed)
		h.ring()
		if !h.warned {
			h.warned = true
			h.cfg.IO.Advise("anyone on the way can have written that; it is not part of an encrypted session")
		}
	})
}

// show shows one of the peer's texts.
func (h *Chat) show(text string) {
	h.texts.heard()
	s := h.standing()
	lead, text := spoken(s.who, text)
	h.message(h.stamp()+"  "+h.paint(lead, s.colour(), color.Bold)+" ", text)
	h.ring()
}

// ring rings the bell if the person asked for it.
func (h *Chat) ring() {
	if h.cfg.Bell {
		h.console.Load().Bell()
	}
}

// stamp returns the time that begins a text.
func (h *Chat) stamp() string {
	return h.paint(h.cfg.Now().Local().Format("15:04"), color.Faint) + " "
}

// spoken returns a text with its sender's name. An action, which networks send as "/me waves",
// has no colon.
func spoken(who, text string) (lead, shown string) {
	if action, ok := strings.CutPrefix(text, actionPrefix); ok {
		return "* " + who, action
	}
	return who + ":", text
}

// actionPrefix begins a text that describes what its sender does.
const actionPrefix = "/me "

// errOtherPeer refuses a line that was begun for the peer of an earlier session.
var errOtherPeer error = exit.Errorf(exit.Failure, "the session is now with another key than when you began the line").
	WithHint("look at the prompt; Up brings the line back, and Enter sends it")

// send sends a message now or reports that it cannot; it never queues.
func (h *Chat) send(text string) {
	running := h.session.Running()
	number, err := int64(0), errOtherPeer
	if !h.changesPeer() {
		number, err = h.session.Send(h.recipient().session, text)
	}
	lead, shown := spoken("you", text)
	if lead != "you:" {
		lead = "* (you)"
	}
	mark := h.console.Load().Marked(h.stamp(), " "+h.paint(lead, color.Bold)+" ", shown)
	if err == nil {
		if result := h.texts.add(number, text, mark); result != unknown {
			h.mark(sentText{short: text, mark: mark}, result)
		}
		return
	}
	h.mark(sentText{mark: mark}, lost)
	h.answers.Error(fmt.Sprintf("not sent: %v", live.Reword(err)))
	if err == errOtherPeer {
		h.answers.Hint(exit.As(err).Hint)
		return
	}
	h.answers.Hint("Up brings the line back; " + h.nextSession(running))
}
