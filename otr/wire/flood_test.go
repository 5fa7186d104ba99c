package wire

import (
	"runtime"
	"testing"
	"time"
)

// A million fragments of one byte each, as a hostile peer sends them to fill the memory or
// to keep the processor busy: none completes a message, what is held stays bounded, and a
// fragment allocates little.
func TestAMillionTinyFragmentsHoldLittleMemory(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	const most = MaxOpenBytes + 2*MaxMessage
	const mostEach = 1000
	for name, fragment := range map[string]func(i int) Fragment{
		"of one message": func(i int) Fragment {
			return Fragment{Version: 3, Sender: 0x100, K: uint16(i%65534) + 1, N: 65535}
		},
		"of a message each": func(i int) Fragment {
			return Fragment{Version: 4, ID: uint32(i), Sender: 0x100, K: 1, N: 65535}
		},
		"of a sender each": func(i int) Fragment {
			return Fragment{Version: 3, Sender: uint32(0x100 + i), K: 1, N: 65535}
		},
		"of many messages, mixed": func(i int) Fragment {
			return Fragment{Version: 4, ID: uint32(i % MaxOpenMessages), Sender: 0x100, K: uint16(i/MaxOpenMessages%65534) + 2, N: 65535}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var a Assembler
			before, allocated := heap()
			now := time.Unix(1, 0)
			piece := []byte("x")
			for i := range n {
				f := fragment(i)
				f.Piece = piece
				if whole, _ := a.Add(f, now); whole != nil {
					t.Fatal("a message came of it")
				}
				if len(a.open) > MaxOpenMessages || a.bytes > MaxOpenBytes {
					t.Fatalf("%d messages and %d bytes are open", len(a.open), a.bytes)
				}
				now = now.Add(time.Microsecond)
			}
			held, total := heap()
			held, total = held-before, total-allocated
			if held > most || total > int64(n)*mostEach {
				t.Errorf("%d bytes are held, and %d were allocated", held, total)
			}
			t.Logf("%d KiB are held, %d bytes were allocated for each", held>>10, total/int64(n))
			runtime.KeepAlive(&a)
		})
	}
}

// heap is how many bytes are in use, and how many have ever been.
func heap() (inUse, total int64) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc), int64(m.TotalAlloc)
}

// Of a piece with one byte, more is kept than that byte. All of it counts.
func TestWhatIsKeptOfEachPieceIsBounded(t *testing.T) {
	var a Assembler
	before, _ := heap()
	for id := range uint32(24) {
		for k := range uint16(65534) {
			f := Fragment{Version: 4, ID: id, Sender: 0x100, K: k + 1, N: 65535, Piece: []byte("x")}
			if _, err := a.Add(f, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantHeldBelow(t, &a, before)
}

// A message that has one piece may reuse the memory of a long message before it. That counts.
func TestMemoryThatIsReusedIsBounded(t *testing.T) {
	var a Assembler
	before, _ := heap()
	long := make([]byte, MaxMessage)
	for id := range uint32(MaxOpenMessages) {
		for _, f := range []Fragment{
			{Version: 4, ID: 1000, Sender: 0x100, K: 1, N: 1, Piece: long},
			{Version: 4, ID: id, Sender: 0x100, K: 1, N: 2, Piece: []byte("x")},
		} {
			if _, err := a.Add(f, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantHeldBelow(t, &a, before)
}

// wantHeldBelow checks that an Assembler occupies at most MaxOpenBytes, and the memory that it
// keeps for the next message.
func wantHeldBelow(t *testing.T, a *Assembler, before int64) {
	t.Helper()
	held, _ := heap()
	held -= before
	if most := int64(MaxOpenBytes + 2*MaxMessage); held > most {
		t.Errorf("%d bytes are held, more than %d", held, most)
	}
	t.Logf("%d KiB are held, by %d messages", held>>10, len(a.open))
	runtime.KeepAlive(a)
}
