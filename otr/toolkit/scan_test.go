package toolkit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// armoredDHKey is a D-H Key Message, as short as messages get.
func armoredDHKey() string {
	h := wire.Header{Version: 3, Type: wire.TypeDHKey, Sender: 0x100, Receiver: 0x101}
	return string(wire.AppendArmor(nil, wire.AppendMPI(h.Append(nil), []byte{5, 6, 7})))
}

func summary(all []Message) string {
	var b strings.Builder
	for _, m := range all {
		fmt.Fprintf(&b, "%d:%d %s", m.Line, m.Column, m.Name)
		if m.Pieces > 0 {
			fmt.Fprintf(&b, "/%d", m.Pieces)
		}
		if v := m.Fields.Get("versions"); v != nil {
			fmt.Fprintf(&b, " %v", v)
		}
		if m.Err != nil {
			fmt.Fprintf(&b, " !%d:%d %v", m.ErrAt.Line, m.ErrAt.Column, m.Err)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func TestMessagesAreFoundInLogs(t *testing.T) {
	key := armoredDHKey()
	tag := string(wire.AppendTag(nil, wire.MakeVersions(2, 3)))
	wrapped := key[:9] + "\r\n   " + key[9:20] + "\n" + key[20:]
	long := strings.Repeat("x", 100_000)
	for _, test := range []struct{ name, text, want string }{
		{"a clean line", key + "\n", "1:1 d_h_key; "},
		{"no line end", key, "1:1 d_h_key; "},
		{"a prefix", "Mon 12:01 <bob> " + key + "\n", "1:17 d_h_key; "},
		{"several on a line", key + " and " + key + key + "\n", fmt.Sprintf("1:1 d_h_key; 1:%d d_h_key; 1:%d d_h_key; ", len(key)+6, 2*len(key)+6)},
		{"wrapped", "\n<bob> " + wrapped + " ?OTRv3?", fmt.Sprintf("2:7 d_h_key; 4:%d query 3; ", len(key)-20+2)},
		{"behind a long text", long + key, "1:100001 d_h_key; "},
		{"queries", "?OTR? ?OTRv2? ?OTR?v23? ?OTRv4? ?OTRv34", "1:1 query 1; 1:7 query 2; 1:15 query 123; 1:25 query 4; 1:33 query 34; "},
		{"no queries", "?OTR ?OTRv ?OTRx? ?OTR", ""},
		{"a whitespace tag", "hello" + tag + "bob\n" + key, "1:6 whitespace_tag 23; 2:1 d_h_key; "},
		{"an error", "<bob> ?OTR Error: it is broken " + key + "\n", "1:7 error; "},
		{"a long error", "?OTR Error: " + long, "1:1 error; "},
		{"an error without a line end", "?OTR Error: x", "1:1 error; "},
		{"half a whitespace tag", tag[:12] + " " + key, "1:14 d_h_key; "},
		{"a query with a long name", "?OTRv4xyz hello", "1:1 query 4; "},
		{"fragments with other heads", "?OTR|x,1,2,a, ?OTR,1x,2,a, ?OTR,1,2", ""},
		{"cut short", key[:20], "1:1  !1:21 toolkit: the message does not end; "},
		{"cut by text", key[:20] + "! " + key, "1:1  !1:21 toolkit: the message does not end: byte 0x21 stands in it; 1:23 d_h_key; "},
		{"cut by a message", key[:20] + key, "1:1  !1:21 toolkit: the message does not end: byte 0x3f stands in it; 1:21 d_h_key; "},
		{"damaged base64", "?OTR:AAMK=.", "1:1  !1:1 wire: damaged base64 armor; "},
		{"empty", "?OTR:.", "1:1  !1:1 wire: message ends in mid-field; "},
		{"an unknown version", "?OTR:AAkK.", "1:1  !1:1 wire: unknown protocol version: 9; "},
	} {
		if got := summary(parseText(t, test.text)); got != test.want {
			t.Errorf("%s:\n%s, not\n%s", test.name, got, test.want)
		}
		if got := summary(parseAll(t, iotest.OneByteReader(strings.NewReader(test.text)))); got != test.want {
			t.Errorf("%s, byte by byte:\n%s", test.name, got)
		}
	}
}

func TestAMessageThatIsTooLongIsGivenUpAndTheNextOneIsFound(t *testing.T) {
	slowtest.SkipShort(t)
	key := armoredDHKey()
	text := key[:20] + strings.Repeat(" ", maxToken) + key
	want := fmt.Sprintf("1:1  !1:%d %v; 1:%d d_h_key; ", maxToken+1, ErrTooLong, maxToken+21)
	if got := summary(parseText(t, text)); got != want {
		t.Errorf("%s, not\n%s", got, want)
	}
}

func TestFragmentsArePutTogether(t *testing.T) {
	h := wire.Header{Version: 3, Type: wire.TypeDHKey, Sender: 0x100, Receiver: 0x101}
	msg := wire.AppendArmor(nil, wire.AppendMPI(h.Append(nil), bytes.Repeat([]byte{5}, 150)))
	for format := 2; format <= 4; format++ {
		lines, err := wire.AppendFragments(nil, format, 9, 0x100, 0x101, msg, 100)
		if err != nil {
			t.Fatal(err)
		}
		n := bytes.Count(lines, []byte("\n"))
		all := parseText(t, strings.ReplaceAll(string(lines), "\n", "\n<bob> "))
		if len(all) != n+1 {
			t.Fatalf("format %d: %d messages of %d fragments", format, len(all), n)
		}
		for _, m := range all {
			if m.Err != nil {
				t.Errorf("format %d: %v", format, m.Err)
			}
		}
		if m := all[n]; m.Name != "d_h_key" || m.Pieces != n || n < 3 || m.Line != 1 {
			t.Errorf("format %d: %s of %d pieces at %v", format, m.Name, m.Pieces, m.Position)
		}
	}
}

func TestMissingFragmentsAreToldAtTheEnd(t *testing.T) {
	lines, err := wire.AppendFragments(nil, 4, 9, 0x100, 0x101, []byte(strings.Repeat(armoredDHKey(), 3)), 64)
	if err != nil {
		t.Fatal(err)
	}
	kept := bytes.SplitAfter(lines, []byte("\n"))
	all := parseText(t, string(bytes.Join(kept[1:], nil)))
	last := all[len(all)-1]
	if !errors.Is(last.Err, ErrIncomplete) || last.Line != 1 {
		t.Errorf("%v at %v", last.Err, last.Position)
	}
}

// endless is a practically endless input.
type endless struct {
	unit []byte
	left int64
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := 0
	for n < len(b) {
		m := copy(b[n:], e.unit[e.at:])
		n += m
		e.at = (e.at + m) % len(e.unit)
	}
	e.left -= int64(n)
	return n, nil
}

func TestMemoryIsBoundedWhateverTheLogIs(t *testing.T) {
	slowtest.Skip(t)
	if testing.Short() {
		t.Skip("short: reads forty megabytes")
	}
	for name, unit := range map[string]string{
		"text without a line end": strings.Repeat("x", 4096),
		"base64 without an end":   "?OTR:" + strings.Repeat("A", 4096),
		"white space in messages": "?OTR:" + strings.Repeat(" ", 4096),
		"messages":                log4(t, true),
		"fragments of nothing":    "?OTR|00000100|00000101,00001,00009,aaaa,",
	} {
		p := NewParser(&endless{unit: []byte(unit), left: 8 << 20})
		for {
			if _, err := p.Next(); err == io.EOF {
				break
			}
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc > 48<<20 {
			t.Errorf("%s: %d MB", name, m.HeapAlloc>>20)
		}
		runtime.KeepAlive(p)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(log4(f, true)))
	f.Add([]byte(armoredDHKey() + "?OTR,1,2,?OTR:AA,?OTR,2,2,MD.,?OTRv34? ?OTR Error: x\n"))
	f.Add(wire.AppendTag([]byte("x"), wire.MakeVersions(3, 4)))
	f.Fuzz(func(t *testing.T, text []byte) {
		all := parseAll(t, bytes.NewReader(text))
		slow := parseAll(t, iotest.OneByteReader(bytes.NewReader(text)))
		if a, b := summary(all), summary(slow); a != b {
			t.Fatalf("at once: %s\nbyte by byte: %s", a, b)
		}
		for i := range all {
			m := &all[i]
			b, err := json.Marshal(m)
			if err != nil || !json.Valid(b) {
				t.Fatalf("%s: %v", b, err)
			}
			if m.Name == "data" && m.Err == nil {
				d, err := parseData(m)
				if err != nil {
					t.Fatal(err)
				}
				if msg, _ := d.encoded(); !bytes.Equal(msg, m.Raw) {
					t.Fatal("the message is not the same when it is written again")
				}
			}
		}
	})
}

func FuzzScript(f *testing.F) {
	f.Add(testScript)
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScript(text, "alice")
		if (err == nil) == (s == nil) {
			t.Fatal("neither a script nor an error")
		}
	})
}
