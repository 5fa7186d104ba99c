package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// look returns the lines that a terminal shows after out was written to it.
func look(out string) []string {
	lines := [][]rune{nil}
	column := 0
	for _, r := range out {
		last := len(lines) - 1
		switch r {
		case '\r':
			column = 0
		case '\n':
			lines = append(lines, nil)
			column = 0
		default:
			lines[last] = append(lines[last], make([]rune, max(0, column+1-len(lines[last])))...)
			lines[last][column] = r
			column++
		}
	}
	var shown []string
	for _, line := range lines {
		shown = append(shown, strings.TrimRight(string(line), " "))
	}
	return shown
}

// newScreen is a Printer whose terminal says nothing of itself, and what was written
// to it.
func newScreen(t *testing.T) (*Printer, *bytes.Buffer) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	p := NewPrinter(f, "otrpipe")
	out := new(bytes.Buffer)
	p.w = out
	return p, out
}

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func TestTheProgressLineTakesTurnsWithMessages(t *testing.T) {
	p, out := newScreen(t)
	g := p.Progress(start, 0)
	g.Show(start.Add(time.Second), 1_000_000, 0, "bob (verified)")
	if got := look(out.String()); !slices.Equal(got, []string{"sent 1.0 MB 1.0 MB/s, bob (verified)"}) {
		t.Errorf("drawn: %q", got)
	}
	p.Note("short")
	if got := look(out.String()); !slices.Equal(got, []string{"otrpipe: short", ""}) {
		t.Errorf("with a message: %q", got)
	}
	g.Show(start.Add(2*time.Second), 3_000_000, 500, "")
	if got := look(out.String()); !slices.Equal(got, []string{"otrpipe: short", "sent 3.0 MB 1.5 MB/s, received 500 B 250 B/s"}) {
		t.Errorf("drawn again: %q", got)
	}
	// A shorter line leaves nothing of a longer one.
	g.Show(start.Add(2*time.Second), 3_000_001, 500, "")
	g.End()
	g.Show(start.Add(3*time.Second), 4_000_000, 500, "") // too late
	p.Error("it failed")
	if got := look(out.String()); !slices.Equal(got, []string{"otrpipe: short", "otrpipe: it failed", ""}) {
		t.Errorf("at the end: %q", got)
	}
}

func TestPayloadOnTheTerminalIsNotDrawnOver(t *testing.T) {
	p, out := newScreen(t)
	payload := &turns{p, out}
	g := p.Progress(start, 0)
	g.Show(start, 0, 5, "")
	for _, part := range []string{"half a ", "line"} {
		if _, err := payload.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
		g.Show(start, 0, 9, "")
	}
	if got := look(out.String()); !slices.Equal(got, []string{"half a line"}) {
		t.Errorf("within a line: %q", got)
	}
	if _, err := payload.Write([]byte("\n")); err != nil {
		t.Fatal(err)
	}
	g.Show(start, 0, 12, "")
	if got := look(out.String()); !slices.Equal(got, []string{"half a line", "received 12 B 0 B/s"}) {
		t.Errorf("after it: %q", got)
	}
}

func TestANarrowTerminalShowsWhatMattersMost(t *testing.T) {
	g := &Progress{total: 100_000_000, samples: []sample{
		{start, 0, 0}, {start.Add(2 * time.Second), 20_000_000, 1_000_000},
	}}
	for _, test := range []struct {
		room int
		want string
	}{
		{78, "sent 20.0 MB (20%) 10.0 MB/s 8s left, received 1.0 MB 500.0 kB/s, bob (known)"},
		{69, "sent 20.0 MB (20%) 10.0 MB/s, received 1.0 MB 500.0 kB/s, bob (known)"},
		{68, "sent 20.0 MB (20%) 10.0 MB/s, received 1.0 MB, bob (known)"},
		{57, "sent 20.0 MB (20%) 10.0 MB/s, received 1.0 MB"},
		{44, "sent 20.0 MB 10.0 MB/s, received 1.0 MB"},
		{29, "sent 20.0 MB, received 1.0 MB"},
		{10, "sent 20.0 "},
		{0, ""},
		{-1, ""},
	} {
		if got := fit(g.fields("bob (known)"), test.room); got != test.want {
			t.Errorf("%d columns: %q, want %q", test.room, got, test.want)
		}
	}
	// A direction that only answers goes before the trust in whom it comes from.
	g.samples[1].received = 3
	for room, want := range map[int]string{
		58: "sent 20.0 MB (20%) 10.0 MB/s, received 3 B, bob (known)",
		54: "sent 20.0 MB (20%) 10.0 MB/s, bob (known)",
	} {
		if got := fit(g.fields("bob (known)"), room); got != want {
			t.Errorf("%d columns: %q, want %q", room, got, want)
		}
	}
	g.samples[1].received = 1_000_000
	// Some characters are wide, and what would move the cursor is shown.
	for room, fits := range map[int]bool{50: false, 51: true} {
		if got := fit(g.fields("ボブ"), room); strings.HasSuffix(got, ", ボブ") != fits {
			t.Errorf("%d columns with wide characters: %q", room, got)
		}
	}
	if got := fit(g.fields("bob\x1b[2J\n"), 99); !strings.HasSuffix(got, `, bob\x1b[2J\n`) {
		t.Errorf("with control characters: %q", got)
	}
}

func TestARateIsThatOfTheLastSeconds(t *testing.T) {
	p, out := newScreen(t)
	g := p.Progress(start, 1_000_000)
	g.Show(start.Add(time.Second), 500_000, 0, "")
	if got := look(out.String())[0]; got != "sent 500.0 kB (50%) 500.0 kB/s 1s left" {
		t.Errorf("half way: %q", got)
	}
	for n := range rateSamples {
		g.Show(start.Add(time.Duration(n+2)*time.Second), 500_000, 0, "")
	}
	if got := look(out.String())[0]; got != "sent 500.0 kB (50%) 0 B/s" {
		t.Errorf("stalled: %q", got)
	}
	g.Show(start.Add(time.Minute), 2_000_000, 0, "") // the file has grown
	if got := look(out.String())[0]; !strings.HasPrefix(got, "sent 2.0 MB (100%) ") || strings.Contains(got, "left") {
		t.Errorf("more than all: %q", got)
	}
}
