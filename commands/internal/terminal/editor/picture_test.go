package editor

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/rivo/uniseg"

	"otrpipe/commands/internal/terminal"
)

func TestALineIsLaidOutInColumns(t *testing.T) {
	for _, test := range []struct {
		prompt, line string
		pos, width   int
		rows         string
		row, col     int
	}{
		{"> ", "", 0, 10, "> ", 0, 2},
		{"> ", "abc", 1, 10, "> abc", 0, 3},
		{"> ", "abcdefgh", 8, 10, "> abcdefgh|", 1, 0},
		{"> ", "abcdefgh", 7, 10, "> abcdefgh", 0, 9},
		{"> ", "abcdefghij", 9, 10, "> abcdefgh|ij", 1, 1},
		// Two columns do not fit where one is left.
		{"> ", "你好你好你", 5, 9, "> 你好你|好你", 1, 4},
		{"\x1b[31m> \x1b[0m", "a", 1, 10, "\x1b[31m> \x1b[0ma", 0, 3},
		{"> ", "a\nb\tc\x1b", 3, 20, `> a↵b    c\x1b`, 0, 5},
	} {
		p := paint(cells(test.prompt), shown(test.line, inUTF8), test.pos, test.width)
		if got := strings.Join(p.rows, "|"); got != test.rows || p.row != test.row || p.col != test.col {
			t.Errorf("%q: %q with the cursor at %d,%d, want %q and %d,%d", test.line, got, p.row, p.col, test.rows, test.row, test.col)
		}
	}
}

func TestOfALineHigherThanTheScreenTheRowsAroundTheCursorShow(t *testing.T) {
	all := shown(strings.Repeat("0123456789", 10), inUTF8)
	for _, test := range []struct{ pos, rows, row int }{{0, 3, 0}, {15, 3, 1}, {55, 3, 2}, {99, 3, 2}} {
		p := paint(nil, all, test.pos, 10).window(3)
		if len(p.rows) != test.rows || p.row != test.row {
			t.Errorf("at %d: row %d of %d", test.pos, p.row, len(p.rows))
		}
	}
}

func TestARowThatTheTerminalBrokeIsErasedWhole(t *testing.T) {
	p := paint(nil, shown(strings.Repeat("x", 25), inUTF8), 25, 10) // rows of 10, 10 and 5
	for width, up := range map[int]int{10: 2, 20: 2, 5: 5} {
		if got, want := p.erase(width), fmt.Sprintf("\r\x1b[%dA\x1b[K\x1b[B\x1b[J\x1b[A", up); got != want {
			t.Errorf("%d columns: %q, want %q", width, got, want)
		}
	}
	// Where there is but one row, there may be none below it.
	if got := paint(nil, shown("x", inUTF8), 1, 10).erase(10); got != "\r\x1b[K" {
		t.Errorf("%q", got)
	}
}

func TestALongTextIsBrokenBetweenWordsAndIndented(t *testing.T) {
	for _, test := range []struct {
		text string
		want []string
	}{
		{"bob: short", []string{"bob: short"}},
		{"bob: one two three four", []string{"bob: one two", "     three", "     four"}},
		{"bob: 0123456789012345", []string{"bob:", "     01234567", "     89012345"}},
		{"bob: \x1b[31mone\x1b[0m two x", []string{"bob: \x1b[31mone\x1b[0m two", "     x"}},
		{"bob: 你好你好你", []string{"bob:", "     你好你好", "     你"}},
		{"", []string{""}},
	} {
		if got := wrap(cells(test.text), 13, 5, false); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
	number := strings.Repeat("0123abcdef", 3)
	if got, want := wrap(cells("add bob "+number+" now"), 13, 2, true), []string{"add bob", "  " + number, "   now"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	// What ends a colour takes no room, so it needs no row of its own.
	if got, want := wrap(cells("\x1b[2madd bob "+number+"\x1b[22m"), 13, 2, true), []string{"\x1b[2madd bob", "  " + number + "\x1b[22m"}; !slices.Equal(got, want) {
		t.Errorf("a number in a colour: %q, want %q", got, want)
	}
	// On a terminal that does not join what belongs together no row is longer either.
	for _, joined := range []string{"👩" + strings.Repeat("\u200d👩", 36), strings.Repeat("\u1100", 36), "e" + strings.Repeat("\u0301", 300)} {
		for _, row := range wrap(cells("bob: "+joined+"otrpipe: SMP succeeded"), 40, 5, false) {
			columns := 0
			for _, r := range row {
				columns += uniseg.StringWidth(string(r))
			}
			if columns > 40 {
				t.Errorf("a row of %d columns: %q", columns, row)
			}
		}
	}
	// Nothing but its own beginning comes to the beginning of a row.
	for width := 1; width < 40; width++ {
		for _, row := range wrap(cells("bob: "+strings.Repeat("otrpipe: ", 20)), width, 2, width%2 == 0)[1:] {
			if width >= 2 && !strings.HasPrefix(row, " ") {
				t.Fatalf("%d columns: %q", width, row)
			}
		}
	}
}

// inUTF8 is the charset of most terminals.
var inUTF8 = new(terminal.Charset)
