package editor

// maxHistory is how many lines are kept to be brought back.
const maxHistory = 500

// A history has the lines that were entered, the oldest first.
type history struct {
	lines []string
	back  int    // how many lines back the shown one is; 0: it is a new one
	draft string // the new one, while an old one is shown
}

// add appends a line, unless it is the last one again.
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

// older and newer show the line before and after the one that l shows.
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
