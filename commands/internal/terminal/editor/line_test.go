package editor

import "testing"

func TestALineIsEditedByCharactersAndWords(t *testing.T) {
	const family = "👨‍👩‍👧"
	for _, test := range []struct {
		name, before, behind string // of the cursor
		do                   func(l *line)
		want, wantBehind     string
	}{
		{"backspace", "né", "x", (*line).backspace, "n", "x"},
		{"backspace of many code points", "a" + family, "", (*line).backspace, "a", ""},
		{"backspace of a combined character", "e\u0301", "", (*line).backspace, "", ""},
		{"backspace at the beginning", "", "x", (*line).backspace, "", "x"},
		{"delete", "a", family + "b", (*line).delete, "a", "b"},
		{"delete at the end", "a", "", (*line).delete, "a", ""},
		{"left", "a" + family, "b", (*line).left, "a", family + "b"},
		{"right", "a", "你b", (*line).right, "a你", "b"},
		{"word left", "one two  ", "x", (*line).wordLeft, "one ", "two  x"},
		{"word left over a wide blank", "你\u3000好", "", (*line).wordLeft, "你\u3000", "好"},
		{"word right", "one", "  two three", (*line).wordRight, "one  two", " three"},
		{"word right at the last", "o", "ne ", (*line).wordRight, "one", " "},
		{"kill to the start", "one ", "two", func(l *line) { l.kill(l.home) }, "", "two"},
		{"kill to the end", "one ", "two", func(l *line) { l.kill(l.end) }, "one ", ""},
		{"kill a word and bring it back twice", "one two", "", func(l *line) { l.kill(l.wordLeft); l.yank(); l.yank() }, "one twotwo", ""},
		{"kill nothing keeps what was killed", "one", "", func(l *line) { l.kill(l.home); l.kill(l.home); l.yank() }, "one", ""},
	} {
		l := &line{text: test.before + test.behind, pos: len(test.before)}
		test.do(l)
		if got, behind := l.text[:l.pos], l.text[l.pos:]; got != test.want || behind != test.wantBehind {
			t.Errorf("%s: %q|%q, want %q|%q", test.name, got, behind, test.want, test.wantBehind)
		}
	}
}

func TestALineHasABound(t *testing.T) {
	l := new(line)
	if !l.insert(string(make([]byte, maxLine))) || l.insert("x") || len(l.text) != maxLine {
		t.Errorf("%d bytes", len(l.text))
	}
}

func TestOldLinesComeBackAndTheNewOneIsKept(t *testing.T) {
	var h history
	l := new(line)
	for _, text := range []string{"one", "two", "two", "three"} {
		h.add(text)
	}
	l.set("draft")
	for _, step := range []struct {
		move func(*line)
		want string
	}{
		{h.older, "three"}, {h.older, "two"}, {h.older, "one"}, {h.older, "one"},
		{h.newer, "two"}, {h.newer, "three"}, {h.newer, "draft"}, {h.newer, "draft"},
	} {
		step.move(l)
		if l.text != step.want || l.pos != len(step.want) {
			t.Errorf("%q at %d, want %q", l.text, l.pos, step.want)
		}
	}
	for range 2 * maxHistory {
		h.add("x")
		h.add("y")
	}
	if len(h.lines) != maxHistory {
		t.Errorf("%d lines are kept", len(h.lines))
	}
}
