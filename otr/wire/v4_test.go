package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"
	"time"
)

// vectors4 is testdata/v4.json, what a client of version 4 makes of lines.
type vectors4 struct {
	Query []struct {
		Line     string
		Versions *string // a character each; nil: no query
	}
	Whitespace []struct {
		Line, Text string
		Versions   *string
	}
	Fragments []struct {
		Comment  string
		OwnTag   uint32 `json:"own_tag"`
		Lines    []string
		Messages []string
		Refused  int
	}
	MPI []struct{ Value, Encoded string }
}

func loadVectors4(t *testing.T) (v vectors4) {
	t.Helper()
	b, err := os.ReadFile("testdata/v4.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// known are the versions of a string that have a digit.
func known(versions string) (v Versions) {
	for _, c := range versions {
		if '0' <= c && c <= '9' {
			v |= MakeVersions(int(c - '0'))
		}
	}
	return v
}

func TestQueriesOfVersion4(t *testing.T) {
	// Older clients mean version 1 with "?OTR?", and some leave out the last question mark.
	older := map[string]Versions{"?OTR?": MakeVersions(1), "?OTRv4": MakeVersions(4)}
	for _, q := range loadVectors4(t).Query {
		want, isQuery := older[q.Line]
		if q.Versions != nil {
			want, isQuery = known(*q.Versions), true
		}
		if v, ok := ParseQuery([]byte(q.Line)); ok != isQuery || v != want {
			t.Errorf("%q: %b, %v", q.Line, v, ok)
		}
	}
}

func TestWhitespaceTagsOfVersion4(t *testing.T) {
	for _, w := range loadVectors4(t).Whitespace {
		v, text, ok := ParseTag([]byte(w.Line))
		if !ok {
			text = []byte(w.Line)
		}
		// A tag without a version offers nothing and may as well stay in the text.
		if w.Versions != nil && *w.Versions == "" && !ok {
			continue
		}
		if ok != (w.Versions != nil) || string(text) != w.Text || ok && v != known(*w.Versions) {
			t.Errorf("%q: %b, %q, %v", w.Line, v, text, ok)
		}
	}
}

func TestFragmentsOfVersion4(t *testing.T) {
	for _, c := range loadVectors4(t).Fragments {
		var a Assembler
		var whole []string
		refused := 0
		for _, line := range c.Lines {
			f, err := ParseFragment([]byte(line))
			if err != nil || f.Receiver != 0 && f.Receiver != c.OwnTag { // that is the conversation's to check
				refused++
				continue
			}
			message, err := a.Add(f, time.Unix(0, 0))
			if err != nil {
				refused++
			}
			if message != nil {
				whole = append(whole, string(message))
			}
		}
		if !slices.Equal(whole, c.Messages) || refused != c.Refused {
			t.Errorf("%s: %d messages and %d refused, want %d and %d", c.Comment, len(whole), refused, len(c.Messages), c.Refused)
		}
	}
}

func TestMPIsOfVersion4(t *testing.T) {
	for _, c := range loadVectors4(t).MPI {
		value, err := hex.DecodeString(c.Value)
		if err != nil {
			t.Fatal(err)
		}
		encoded := AppendMPI(nil, append([]byte{0, 0}, value...))
		if hex.EncodeToString(encoded) != c.Encoded {
			t.Errorf("%s: %x, want %s", c.Value, encoded, c.Encoded)
		}
		r := NewReader(encoded)
		if got := r.MPI(); !bytes.Equal(got, value) || r.End() != nil {
			t.Errorf("%s came back as %x, %v", c.Value, got, r.End())
		}
	}
}
