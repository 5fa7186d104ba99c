package otr_test

import (
	"strings"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// A person without OTR reads the text after the query; a program reads only the query.
func TestAQuerySaysWhatItIsToAPersonWithoutOTR(t *testing.T) {
	const text = "This asks your program for a private conversation by OTR (Off-the-Record)."
	for _, test := range []struct {
		maxSize int
		want    bool
	}{{0, true}, {len("?OTRv3? " + text), true}, {len("?OTRv3? "+text) - 1, false}} {
		c := newEnd(t, "alice", 0, 1, newClock(), func(c *otr.Config) { c.QueryText, c.MaxSize = text, test.maxSize })
		query := string(c.Query()[0])
		if strings.HasSuffix(query, "? "+text) != test.want {
			t.Errorf("with lines of %d bytes: %q", test.maxSize, query)
		}
		if offered, ok := wire.ParseQuery([]byte(query)); !ok || offered != c.Versions() {
			t.Errorf("%q offers %v", query, offered)
		}
	}
}
