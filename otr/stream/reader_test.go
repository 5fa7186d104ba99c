package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"otrpipe/otr/wire"
)

// readAll returns the lines that a reader reads from src, and the number of dropped bytes.
func readAll(src io.Reader) (lines []string, dropped []int64, err error) {
	r := newReader(src, make(chan struct{}))
	go r.run()
	for {
		b := <-r.full
		if b.dropped > 0 {
			dropped = append(dropped, b.dropped)
		}
		for rest := b.lines; len(rest) > 0; {
			line, after, _ := bytes.Cut(rest, []byte("\n"))
			lines = append(lines, string(line))
			rest = after
		}
		if b.err != nil {
			return lines, dropped, b.err
		}
		r.empty <- b
	}
}

// raggedReader reads in pieces of random sizes.
type raggedReader struct {
	io.Reader
	random *rand.Rand
}

func (r raggedReader) Read(p []byte) (int, error) {
	most := 1 << r.random.IntN(19)
	return r.Reader.Read(p[:min(len(p), 1+r.random.IntN(most))])
}

func TestLinesAreCutAlikeHoweverTheyArrive(t *testing.T) {
	long(t)
	want := []string{"", "short", strings.Repeat("l", 300_000), "x", strings.Repeat("m", wire.MaxMessage), strings.Repeat("n", wire.MaxMessage-1) + "\r", "", "end"}
	text := strings.Join(want, "\n")
	seeds := uint64(20)
	if quick() {
		seeds = 4
	}
	for seed := range seeds {
		got, dropped, err := readAll(raggedReader{strings.NewReader(text), rand.New(rand.NewPCG(seed, 0))})
		if err != io.EOF || len(dropped) != 0 || strings.Join(got, "\n") != text {
			t.Fatalf("seed %d: %d lines, dropped %d, %v", seed, len(got), dropped, err)
		}
	}
}

func TestALineThatIsTooLongIsDroppedAlone(t *testing.T) {
	long(t)
	long := strings.Repeat("l", wire.MaxMessage+2)
	for _, test := range []struct {
		text    string
		lines   string
		dropped []int64
	}{
		{"a\n" + long + "\nb\nc", "a b c", []int64{wire.MaxMessage + 2}},
		{long + long + "\nb\n", "b", []int64{2*wire.MaxMessage + 4}},
		{long + "\n" + long + "\nb\n", "b", []int64{wire.MaxMessage + 2, wire.MaxMessage + 2}},
		{"a\n" + long, "a", []int64{wire.MaxMessage + 2}},
	} {
		for seed := range uint64(10) {
			if quick() && seed > 0 {
				break
			}
			got, dropped, err := readAll(raggedReader{strings.NewReader(test.text), rand.New(rand.NewPCG(seed, 1))})
			if err != io.EOF || strings.Join(got, " ") != test.lines || len(dropped) != len(test.dropped) {
				t.Fatalf("seed %d: %.20q, dropped %d, %v", seed, got, dropped, err)
			}
			for i := range dropped {
				if dropped[i] != test.dropped[i] {
					t.Errorf("seed %d: dropped %d, not %d", seed, dropped, test.dropped)
				}
			}
		}
	}
}

func TestAnErrorComesAfterTheLinesBeforeIt(t *testing.T) {
	cause := errors.New("unplugged")
	got, _, err := readAll(io.MultiReader(strings.NewReader("one\ntwo\nthr"), iotest.ErrReader(cause)))
	if strings.Join(got, " ") != "one two thr" || err != cause {
		t.Errorf("%q, %v", got, err)
	}
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nb\r\n\nc"), uint64(1))
	f.Add(bytes.Repeat([]byte("0123456789\n"), 100), uint64(2))
	f.Fuzz(func(t *testing.T, text []byte, seed uint64) {
		got, dropped, err := readAll(raggedReader{bytes.NewReader(text), rand.New(rand.NewPCG(seed, 2))})
		want := strings.Split(string(text), "\n")
		if want[len(want)-1] == "" {
			want = want[:len(want)-1]
		}
		if err != io.EOF || len(dropped) != 0 || strings.Join(got, "\n") != strings.Join(want, "\n") || len(got) != len(want) {
			t.Errorf("%q became %q, dropped %d, %v", text, got, dropped, err)
		}
	})
}
