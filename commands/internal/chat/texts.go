package chat

import (
	"strconv"

	"otrpipe/commands/internal/terminal"
)

// keptTexts is how many messages are kept to be named when they do not arrive: more
// than a person sends in the time until that is known.
const keptTexts = 200

// maxNamed is how many characters of such a message are shown.
const maxNamed = 40

// keepText keeps a message that was sent. The numbers of messages follow each other.
func (h *Chat) keepText(number int64, text string) {
	if short := []rune(text); len(short) > maxNamed {
		text = string(short[:maxNamed-1]) + "…"
	}
	h.textsMu.Lock()
	defer h.textsMu.Unlock()
	if len(h.texts) == 0 {
		h.firstText = number
	}
	h.texts = append(h.texts, text)
	if len(h.texts) > keptTexts {
		h.texts = h.texts[1:]
		h.firstText++
	}
}

// SentTexts returns those messages, quoted, that are still kept of n from a
// first one on. It is for live.Config.
func (h *Chat) SentTexts(first, n int64) (texts []string) {
	h.textsMu.Lock()
	defer h.textsMu.Unlock()
	for i := max(first-h.firstText, 0); i < min(first-h.firstText+n, int64(len(h.texts))); i++ {
		texts = append(texts, terminal.Visible(strconv.Quote(h.texts[i])))
	}
	return texts
}
