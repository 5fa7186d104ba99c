package chat

import (
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/fatih/color"

	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/terminal/editor"
	"otrpipe/otr/stream"
)

// keptTexts is how many messages are kept to be marked, or named when they do not arrive:
// more than a person sends in the time until that is known.
const keptTexts = 200

// maxNamed is how many characters of such a message are shown.
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
	lost             // it was not sent, or did not arrive, or the session ended before that was known
)

// mark is how a result is shown before the message: in one column, otherwise where the
// terminal cannot show it.
func (r result) mark() (mark, fallback string, colour color.Attribute) {
	if r == delivered {
		return "✓", "+", color.FgGreen
	}
	return "✗", "x", color.FgRed
}

// texts are the latest messages that were sent over a connection. Its methods may be called
// from several goroutines.
type texts struct {
	mu    sync.Mutex
	all   []sentText // guarded by mu
	first int64      // guarded by mu: the number of the first of them
	// early, guarded by mu, are results of messages that are still to be added.
	early []span
	// Guarded by mu: since the connection began,
	met      bool // there was a session
	answered bool // the peer has said something since the last message
	acks     bool // the peer acknowledges messages
}

// A span is a run of messages with one result.
type span struct {
	first, n int64
	result   result
}

// newConnection forgets all, for another connection counts anew.
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

// settle notes the result of n messages from a first one on, and returns those that are kept.
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

// unanswered is the last message, if nothing shows whether it has arrived; "" otherwise. A
// peer that acknowledges messages leaves no doubt.
func (t *texts) unanswered() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.all); n > 0 && !t.acks && !t.answered && t.all[n-1].result == unknown {
		return t.all[n-1].short
	}
	return ""
}

// quoted returns those messages that are still kept of n from a first one on.
func (t *texts) quoted(first, n int64) (all []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := max(first-t.first, 0); i < min(first-t.first+n, int64(len(t.all))); i++ {
		all = append(all, quote(t.all[i].short))
	}
	return all
}

func quote(text string) string { return terminal.Visible(strconv.Quote(text)) }

// SentTexts returns those messages, quoted, that are still kept of n from a
// first one on. It is for live.Config.
func (h *Chat) SentTexts(first, n int64) []string { return h.texts.quoted(first, n) }

// LastText returns the message that was sent last, quoted, if nothing shows whether it has
// arrived; "" otherwise. It is for live.Config.
func (h *Chat) LastText() string {
	if text := h.texts.unanswered(); text != "" {
		return quote(text)
	}
	return ""
}

// Settled marks messages that have arrived, or have not. It is for live.Config.
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

// mark marks a message. One that has arrived and is not on the screen any more is named.
func (h *Chat) mark(t sentText, result result) {
	mark, fallback, colour := result.mark()
	if t.mark == nil || !h.console.Load().Set(t.mark, mark, fallback, colour) && result == delivered {
		h.cfg.IO.Note("reached %s: %s", h.standing().who, quote(t.short))
	}
}

// InClear shows text that came unencrypted, so that nobody takes it for the session's. It is
// for live.Config.
func (h *Chat) InClear(what stream.Unencrypted, count int) {
	if what.Bytes == 0 {
		return // a tag that offers OTR, and nothing else
	}
	h.soon(func() {
		text := string(what.Text)
		switch {
		case count > 1:
			text += fmt.Sprintf(" … (the latest of %d texts)", count)
		case what.Bytes > len(what.Text):
			text += fmt.Sprintf(" … (%s in all)", terminal.Size(int64(what.Bytes)))
		}
		h.console.Load().Message(h.stamp()+"  "+h.paint("UNENCRYPTED:", color.FgRed, color.Bold)+" ", text, color.FgRed)
		h.ring()
		if !h.warned {
			h.warned = true
			h.cfg.IO.Advise("anyone on the way can have written that; it is not part of an encrypted session")
		}
	})
}

// show shows a text of the peer's.
func (h *Chat) show(text string) {
	h.texts.heard()
	s := h.standing()
	lead, text := spoken(s.who, text)
	h.message(h.stamp()+"  "+h.paint(lead, s.colour(), color.Bold)+" ", text)
	h.ring()
}

// ring rings the bell, if that is wanted.
func (h *Chat) ring() {
	if h.cfg.Bell {
		h.console.Load().Bell()
	}
}

// stamp is the time, which leads a text.
func (h *Chat) stamp() string {
	return h.paint(h.cfg.Now().Local().Format("15:04"), color.Faint) + " "
}

// spoken is how a text of somebody's is shown: an action, which networks send as "/me waves",
// without a colon.
func spoken(who, text string) (lead, shown string) {
	if action, ok := strings.CutPrefix(text, actionPrefix); ok {
		return "* " + who, action
	}
	return who + ":", text
}

// actionPrefix begins a text that says what its sender does.
const actionPrefix = "/me "

// send sends a message now, or not at all.
func (h *Chat) send(text string) {
	running := h.session.Running()
	number, err := h.session.Send(h.addressed(), text)
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
	next := "/refresh begins a new session"
	if !running {
		next = h.otherEnd() + " is not there yet"
	}
	h.answers.Hint("Up brings the line back; " + next)
}
