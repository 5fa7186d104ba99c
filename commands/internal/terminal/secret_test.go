//go:build unix

package terminal

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestALineEndsAtItsEndOrTheInputs(t *testing.T) {
	for _, test := range []struct{ input, line, rest string }{
		{"open sesame\nmore", "open sesame", "more"},
		{"\n", "", ""},
		{"no end", "no end", ""},
		{"", "", ""},
	} {
		r := strings.NewReader(test.input)
		line, err := readLine(r)
		rest, _ := io.ReadAll(r)
		if err != nil || string(line) != test.line || string(rest) != test.rest {
			t.Errorf("%q: %q and then %q, %v", test.input, line, rest, err)
		}
	}
	if line, err := readLine(io.MultiReader(strings.NewReader("half"), iotest.ErrReader(io.ErrUnexpectedEOF))); err == nil {
		t.Errorf("a terminal that breaks gave %q", line)
	}
}
