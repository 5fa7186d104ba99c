package editor

// maxHistory is the maximum number of lines in the history.
const maxHistory = 500

// A history holds the entered lines, oldest first.
type history struct {
	lines []string
	back  int    // how far back the shown line is; 0: it is the new line
	draft string // the new line, while an old one is shown
}

// add appends a line unless it equals the last one.
func (h *history) add(text string) {
	h.back = 0
	if n := len(h.lines); n > 0 && h.lines[n-1] == text {
		return
	}
	if len(h.lines) == maxHistory {
		h.lines = append(h.lines[:0], h.lines[1:]...)
	}
	h.lines = append(h.lines, text)
}

// older and newer change l to the previous and the next line of the history.
func (h *history) older(l *line) {
	if h.back == len(h.lines) {
		return
	}
	if h.back == 0 {
		h.draft = l.text
	}
	h.back++
	l.set(h.lines[len(h.lines)-h.back])
}

func (h *history) newer(l *line) {
	switch h.back {
	case 0:
		return
	case 1:
		l.set(h.draft)
	default:
		l.set(h.lines[len(h.lines)-h.back+1])
	}
	h.back--
}
