package stream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// A fuzzedWire damages the lines of both directions as its input says: a number of lines
// pass, then comes a harm, and so on.
type fuzzedWire struct {
	mu      sync.Mutex
	harm    [2][]byte // per direction: pairs of a number of lines and a harm
	passed  [2]int    // lines since the last harm
	held    [2][]byte // a line that the next one overtakes
	past    [2][][]byte
	put     [2][][]byte // lines to come before the next one
	foreign [][]byte
	harmed  bool // something was actually changed
}

func newFuzzedWire(harm, foreign []byte) *fuzzedWire {
	w := &fuzzedWire{foreign: bytes.Split(foreign, []byte("\n"))}
	for ; len(harm) >= 2; harm = harm[2:] {
		way := harm[1] & 1
		w.harm[way] = append(w.harm[way], harm[0], harm[1]>>1)
	}
	return w
}

// filter is the one of a direction.
func (w *fuzzedWire) filter(way int) func(int, []byte) [][]byte {
	return func(_ int, line []byte) [][]byte {
		w.mu.Lock()
		defer w.mu.Unlock()
		line = bytes.Clone(line)
		out := w.put[way]
		w.put[way] = nil
		if harm := w.harm[way]; len(harm) > 0 && w.passed[way] >= int(harm[0]%32) {
			w.harm[way], w.passed[way] = harm[2:], 0
			w.harmed = true
			out = append(out, w.do(way, int(harm[1]), line)...)
		} else {
			w.passed[way]++
			out = append(out, line)
			if w.held[way] != nil {
				out = append(out, w.held[way])
				w.held[way] = nil
			}
		}
		if len(w.past[way]) < 64 {
			w.past[way] = append(w.past[way], line)
		}
		return out
	}
}

func (w *fuzzedWire) do(way, harm int, line []byte) [][]byte {
	kind, arg := harm%8, harm/8
	switch kind {
	case 0: // lost
		return nil
	case 1: // twice
		return [][]byte{line, line}
	case 2: // overtaken
		w.held[way] = line
		return nil
	case 3: // changed
		line[arg*(len(line)-1)/16] ^= 1
		return [][]byte{line}
	case 4: // cut
		return [][]byte{append(line[:arg*(len(line)-1)/16:len(line)-1], '\n')}
	case 5: // reflected
		w.put[1-way] = append(w.put[1-way], line)
		return [][]byte{line}
	case 6: // one of before
		if len(w.past[way]) > 0 {
			return [][]byte{w.past[way][arg%len(w.past[way])], line}
		}
	case 7: // somebody else's
		return [][]byte{append(bytes.Clone(w.foreign[arg%len(w.foreign)]), '\n'), line}
	}
	return [][]byte{line}
}

// FuzzWire does arbitrary damage to the lines of a stream, or of texts, between two ends of
// any versions. No delivered byte or text is wrong or repeated. If an end reports success, both
// ends have received everything. And every run ends.
func FuzzWire(f *testing.F) {
	foreign := recordedSessions(f)
	for setup := range uint16(12) {
		if quick() && setup != 5 {
			continue
		}
		if !quick() && slowtest.LeftOut() && setup%3 != 1 { // versions 3, and 3 and 4, remain
			continue
		}
		setup = setup%6*0x11 | setup/6<<8
		if !quick() {
			f.Add(setup, []byte{}, []byte("hello"))
		}
		f.Add(setup, []byte{3, 0, 9, 1, 2, 3 << 1, 0, 2<<1 | 1}, []byte("?OTRv34?"))
		f.Add(setup, []byte{1, 5 << 1, 1, 5<<1 | 1, 2, 6 << 1, 4, 4<<1 | 1}, []byte("?OTR Error: no"))
		f.Add(setup, []byte{0, 7 << 1, 2, 7<<1 | 1, 5, 0x17 << 1}, foreign[int(setup)%len(foreign)])
	}
	versions := []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4, otr.AllowV2 | otr.AllowV3, otr.AllowV3 | otr.AllowV4, otr.AllowV2 | otr.AllowV3 | otr.AllowV4}
	f.Fuzz(func(t *testing.T, setup uint16, harm, lines []byte) {
		if len(harm) > 40 {
			return // more harm is the same again
		}
		synctest.Test(t, func(t *testing.T) {
			wire := newFuzzedWire(harm, lines)
			a, b := cable(t, relay{filter: wire.filter(0)}, relay{filter: wire.filter(1)})
			ours := versions[int(setup&15)%len(versions)]
			theirs := versions[int(setup>>4&15)%len(versions)]
			ends := [2]setting{{lines: setup>>8&1 != 0, otr: speaks(0, ours)}, {lines: setup>>8&1 != 0, otr: speaks(1, theirs)}}
			for i := range ends {
				ends[i].config = func(c *Config) { c.Window = 10_000 }
			}
			ea, eb := openPair(t, a, b, ends[0], ends[1])
			if ends[0].lines {
				fuzzedTalk(t, ea, eb, ours&theirs&^otr.AllowV2 != 0 && (ours|theirs)&otr.AllowV2 == 0)
				return
			}
			oa, ob := converseBoth(ea, eb, 30_000, 20_000)
			oa.honest(t, "a", 20_000)
			ob.honest(t, "b", 30_000)
			if !wire.harmed && ours&theirs != 0 && (oa.result != nil || ob.result != nil) {
				t.Errorf("nothing has happened, and yet %v, %v", oa.result, ob.result)
			}
		})
	})
}

// fuzzedTalk lets two ends send texts, and compares the received with the sent ones. numbered
// means that texts are numbered. An end that has heard nothing in the session takes the other for a
// client that acknowledges nothing.
func fuzzedTalk(t *testing.T, ea, eb *end, numbered bool) {
	const n = 12
	write := func(e *end, name string) {
		for i := range n {
			if e.lines.WriteMessage(fmt.Appendf(nil, "%s %d", name, i)) != nil {
				return // the end has left
			}
			time.Sleep(200 * time.Millisecond)
		}
		e.lines.CloseWrite()
	}
	var heard [2][]string
	var wg sync.WaitGroup
	for i, e := range []*end{ea, eb} {
		wg.Go(func() { write(e, []string{"a", "b"}[i]) })
		wg.Go(func() { heard[i], _ = readTexts(e.lines) })
	}
	wg.Wait()
	results := [2]error{ea.lines.Wait(), eb.lines.Wait()}
	for i, name := range []string{"b", "a"} {
		count := make(map[string]int)
		for _, text := range heard[i] {
			var number int
			if _, err := fmt.Sscanf(text, name+" %d", &number); err != nil || number < 0 || number >= n {
				t.Errorf("%q was read, which nobody has said", text)
			}
			if count[text]++; numbered && count[text] > 1 {
				t.Errorf("%q was read twice", text)
			}
		}
		for j, e := range []*end{ea, eb} {
			if numbered && len(count) != n && results[j] == nil && e.lines.confirmed {
				t.Errorf("%d of %d texts of %s came, and yet end %d reports success", len(count), n, name, j)
			}
		}
	}
}

// recordedSessions are the lines of recorded sessions of other implementations.
func recordedSessions(t testing.TB) (sessions [][]byte) {
	texts, err := filepath.Glob("../testdata/transcripts/*.txt")
	if err != nil || len(texts) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	recorded, err := filepath.Glob("../v4/testdata/session-*.json")
	if err != nil || len(recorded) == 0 {
		t.Fatalf("no transcripts of version 4: %v", err)
	}
	for _, file := range append(texts, recorded...) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(file) == ".txt" {
			sessions = append(sessions, bytes.TrimSpace(b))
			continue
		}
		var content struct {
			Sessions []struct {
				Steps []struct{ Line string }
			}
		}
		if err := json.Unmarshal(b, &content); err != nil || len(content.Sessions) == 0 {
			t.Fatalf("%s: %v", file, err)
		}
		var lines []string
		for _, step := range content.Sessions[0].Steps {
			if step.Line != "" {
				lines = append(lines, step.Line)
			}
		}
		sessions = append(sessions, []byte(strings.Join(lines, "\n")))
	}
	return sessions
}
