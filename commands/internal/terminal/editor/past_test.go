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
