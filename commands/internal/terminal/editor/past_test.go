package editor

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestAScreenIsDrawnAnewWithWhatWasPrintedLast(t *testing.T) {
	var p past
	for i := range 5 * maxPast {
		p.add(&message{line: cells(fmt.Sprintf("bob: message %d", i)), indent: 5})
	}
	last := 5*maxPast - 1
	for _, test := range []struct {
		width, height int
		want          []string
	}{
		{80, 2, []string{fmt.Sprintf("bob: message %d", last-1), fmt.Sprintf("bob: message %d", last)}},
		{13, 3, []string{fmt.Sprintf("     %d", last-1), "bob: message", fmt.Sprintf("     %d", last)}},
		{80, 0, nil},
	} {
		if got := p.rows(test.width, test.height); !slices.Equal(got, test.want) {
			t.Errorf("%d columns, %d rows: %q, want %q", test.width, test.height, got, test.want)
		}
	}
	if got := len(p.rows(80, 10*maxPast)); got < maxPast || got > 2*maxPast {
		t.Errorf("%d lines are kept", got)
	}
	// Nothing is cleared where no row is, or the last of the rows would be.
	if got := page([]string{"one", "two"}, 3); strings.Contains(got, "\x1b[J") || !strings.HasSuffix(got, "two\r\n\x1b[2K") {
		t.Errorf("%q", got)
	}
	if got := page([]string{"one", "two"}, 4); !strings.HasSuffix(got, "two\r\n\x1b[2K\x1b[B\x1b[J\x1b[A") {
		t.Errorf("%q", got)
	}
}

// TestLongTextsOfAPeerTakeLittleMemory prints as many long lines as the past may have.
func TestLongTextsOfAPeerTakeLittleMemory(t *testing.T) {
	var p past
	long := &message{line: make([]cell, 1<<16)}
	for range 2 * maxPast {
		p.add(long)
		p.add(&message{line: make([]cell, 1)})
		cells := 0
		for _, m := range p.all {
			cells += len(m.line)
		}
		if cells != p.cells || cells > maxPastCells+len(long.line) {
			t.Fatalf("%d lines have %d cells, counted as %d", len(p.all), cells, p.cells)
		}
	}
	if len(p.all) < 2 {
		t.Errorf("only %d lines are left", len(p.all))
	}
	for range 3 * maxPast {
		p.add(&message{line: make([]cell, 1)})
	}
	if n := len(p.all); n < maxPast || n > 2*maxPast || p.cells != n {
		t.Errorf("%d short lines are left, counted as %d cells", n, p.cells)
	}
	huge := &message{line: make([]cell, 2*maxPastCells)}
	p.add(huge)
	p.add(huge)
	if len(p.all) != 1 || p.cells != len(huge.line) {
		t.Errorf("%d huge lines are left", len(p.all))
	}
}
