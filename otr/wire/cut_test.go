package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

// cutLines are whole lines as they go over the network.
var cutLines = []string{
	"?OTR:AAMDAAABAAAAAgAAAAAB4wAAAAEAAAABAAAAAAAAAAEAAAAA.",
	"?OTR:AAICAAAAxK0wQ+/zZg==.",
	"?OTR|5a73a599|27e31597,00001,00003,?OTR:AAMDmxUnuKRAJTQAeVM,",
	"?OTR|00000001|5a73a599|27e31597,00002,00003,AAMDmxUnuKRAJTQAeVM=.,",
	"?OTR,1,2,?OTR:AAMDmxUnuKRAJTQAeVM,",
}

// joinAll gives parts to an assembler and returns what came out.
func joinAll(t *testing.T, a *Assembler, now time.Time, parts ...string) (out []string) {
	t.Helper()
	for _, part := range parts {
		whole, err := a.Join([]byte(part), now)
		if err != nil {
			t.Fatalf("%.80q: %v", part, err)
		}
		if whole != nil {
			out = append(out, string(whole))
		}
	}
	return out
}

// A line can be cut anywhere after its first bytes, into any number of parts, with
// blanks and a CR where it was cut.
func TestLinesThatWereCutAreJoined(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, line := range cutLines {
		for size := 9; size < len(line); size++ {
			var parts []string
			for at := 0; at < len(line); at += size {
				parts = append(parts, line[at:min(at+size, len(line))]+[]string{"", " ", "\r"}[at%3])
			}
			out := joinAll(t, new(Assembler), now, append(parts, "hello")...)
			if len(out) != 2 || strings.TrimSpace(out[0]) != line || out[1] != "hello" {
				t.Fatalf("cut after %d bytes: %q", size, out)
			}
		}
	}
}

func TestLinesThatAreWholeAreLeftAlone(t *testing.T) {
	now := time.Unix(1e9, 0)
	whole := append([]string{
		"hello", "?OTR:", "you write ?OTR:AAMD like this", "?OTR:AAMD!", "?OTR:AAED", "?OTRv3?",
		"?OTR Error: something", "?OTR|words", "before ?OTR:AAMD. after", "",
	}, cutLines...)
	if out := joinAll(t, new(Assembler), now, whole...); strings.Join(out, "\n") != strings.Join(whole, "\n") {
		t.Errorf("got %q", out)
	}
}

// A line that cannot belong to the cut one ends the wait and is not lost.
func TestACutLineIsGivenUpForWhatCannotBelongToIt(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, next := range []string{"hello, you", "?OTRv3?", cutLines[0], cutLines[2], ""} {
		a := new(Assembler)
		joinAll(t, a, now, "?OTR:AAMDAAAB")
		whole, err := a.Join([]byte(next), now)
		if !errors.Is(err, ErrCut) || string(whole) != next {
			t.Errorf("%q: got %q, %v", next, whole, err)
		}
		if out := joinAll(t, a, now, "hello"); len(out) != 1 {
			t.Errorf("after %q the assembler still waits", next)
		}
	}
}

func TestACutLineWaitsForABoundedTime(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := new(Assembler)
	joinAll(t, a, now, "?OTR:AAMDAAAB")
	if next := a.NextExpiry(); !next.Equal(now.Add(MaxCutAge)) {
		t.Errorf("the next expiry is %v", next)
	}
	if out := joinAll(t, a, now.Add(MaxCutAge-time.Second), "AAAB"); out != nil {
		t.Errorf("got %q", out)
	}
	now = now.Add(2*MaxCutAge - time.Second)
	if a.ExpireCut(now.Add(-1)) || !a.ExpireCut(now) || a.ExpireCut(now) || !a.NextExpiry().IsZero() {
		t.Error("it does not expire once, in time")
	}
	joinAll(t, a, now, "?OTR:AAMDAAAB")
	if whole, err := a.Join([]byte("AAAB."), now.Add(MaxCutAge)); !errors.Is(err, ErrCut) || string(whole) != "AAAB." {
		t.Errorf("too late: %q, %v", whole, err)
	}
}

func TestACutLineHoldsABoundedNumberOfBytes(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := new(Assembler)
	part := strings.Repeat("A", 1<<16)
	joinAll(t, a, now, "?OTR:AAMDAAAB")
	for range MaxMessage/len(part) - 1 {
		joinAll(t, a, now, part)
	}
	if _, err := a.Join([]byte(part), now); !errors.Is(err, ErrTooLong) || a.cut.buf != nil {
		t.Errorf("%v, %d bytes are held", err, len(a.cut.buf))
	}
}

// However a line is cut, and whatever comes, the result is either a line that came or the
// joined parts.
func FuzzJoin(f *testing.F) {
	for _, line := range cutLines {
		f.Add([]byte(line[:20] + "\n" + line[20:] + "\nhello"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		a := new(Assembler)
		now := time.Unix(1e9, 0)
		var seen []byte
		for _, line := range bytes.Split(input, []byte("\n")) {
			seen = append(seen, bytes.TrimSpace(line)...)
			whole, err := a.Join(line, now)
			if whole != nil && !bytes.HasSuffix(seen, bytes.TrimSpace(whole)) {
				t.Fatalf("%q came out of %q", whole, seen)
			}
			if err != nil && whole == nil && !errors.Is(err, ErrTooLong) && !errors.Is(err, ErrCut) {
				t.Fatal(err)
			}
			if len(a.cut.buf) > MaxMessage {
				t.Fatal("too much is held")
			}
		}
	})
}

// The bound on the bytes of all incomplete messages drops the one that has waited
// longest, and not the one that grows.
func TestIncompleteMessagesTogetherAreBounded(t *testing.T) {
	now := time.Unix(1e9, 0)
	a := new(Assembler)
	piece := bytes.Repeat([]byte("A"), MaxMessage/4)
	add := func(id uint32, k uint16) []byte {
		whole, err := a.Add(Fragment{Version: 4, ID: id, Sender: 0x100, K: k, N: 4, Piece: piece}, now)
		if err != nil {
			t.Fatal(err)
		}
		return whole
	}
	const messages = MaxOpenBytes/MaxMessage + 4
	for id := range messages {
		for k := range uint16(3) {
			add(uint32(id), k+1)
		}
		if a.bytes > MaxOpenBytes {
			t.Fatalf("%d bytes are held", a.bytes)
		}
	}
	whole := 0
	for id := messages; id > 0 && add(uint32(id-1), 4) != nil; id-- {
		whole++
	}
	if whole < 4 || whole > MaxOpenBytes/(3*len(piece)) {
		t.Errorf("the last %d of %d messages came whole", whole, messages)
	}
}
