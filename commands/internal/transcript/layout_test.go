package transcript

import (
	"bytes"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"otrpipe/otr/toolkit"
)

func TestAMessageIsLaidOutToBeRead(t *testing.T) {
	m := &toolkit.Message{
		Position: toolkit.Position{Line: 3, Column: 7}, Number: 2, Name: "auth_r", Pieces: 4,
		Fields: toolkit.Fields{
			{Name: "sender_instance", Value: toolkit.Tag(0x100)},
			{Name: "client_profile", Value: toolkit.Fields{
				{Name: "expires", Value: time.Unix(0, 0)},
				{Name: "valid", Value: true},
			}},
			{Name: "a", Value: toolkit.Hex(bytes.Repeat([]byte{0xab}, 30))},
			{Name: "sigma", Value: toolkit.Hex(bytes.Repeat([]byte{1}, 342))},
			{Name: "text", Value: "\x1b[31mred"},
			{Name: "revealed_mac_keys", Value: []toolkit.Fields{{{Name: "key", Value: toolkit.Hex{5}}, {Name: "authenticates", Value: []uint64{7}}}}},
			{Name: "old", Value: []toolkit.Fields{}},
			{Name: "piece", Value: strings.Repeat("?OTR", 50)},
		},
	}
	var b strings.Builder
	if err := New(&b, false, false).Message(m); err != nil {
		t.Fatal(err)
	}
	const row = "01010101 01010101 01010101 01010101 01010101 01010101"
	want := `2. Auth-R  (line 3, column 7, in 4 fragments)
  sender instance          00000100
  client profile
    expires                1970-01-01T00:00:00Z
    valid                  yes
  a                        abababab abababab abababab abababab abababab abababab
                           abababab abab
  sigma                    ` + row + `
                           ` + row + `
                           ` + row + `
                           … 342 bytes in all
  text                     \x1b[31mred
  revealed mac keys
    key                    05
    authenticates          message 7
  old                      none
  piece                    ` + strings.Repeat("?OTR", 42) + `
                           … 200 bytes in all

`
	if b.String() != want {
		t.Errorf("\n%s\nnot\n%s", b.String(), want)
	}
	for line := range strings.Lines(strings.ReplaceAll(b.String(), "  piece                    "+strings.Repeat("?OTR", 42), "")) {
		if n := utf8.RuneCountInString(line) - 1; n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	b.Reset()
	if err := New(&b, true, true).Message(m); err != nil {
		t.Fatal(err)
	}
	if s := b.String(); strings.Contains(s, "in all") || !strings.Contains(s, "\x1b[32myes\x1b[") {
		t.Errorf("in colour and whole:\n%s", s)
	}
}
