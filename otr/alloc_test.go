package otr_test

import (
	"bytes"
	"fmt"
	"testing"

	"otrpipe/otr"
)

// TestSteadyStateAllocations counts the allocations of a message in a session
// whose buffers have grown: what the library expands the AES key to for this message, its
// schedule and the state of CTR, and no copy of the text.
func TestSteadyStateAllocations(t *testing.T) {
	const most = 2 // for sending or receiving one message
	for _, size := range []int{1 << 10, 64 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			alice, bob := newSession(t)
			wantTalk(t, alice, bob)
			text := bytes.Repeat([]byte("x"), size)
			var line []byte
			var err error
			send := func() {
				if line, err = alice.AppendMessage(line[:0], otr.Message{Text: text}); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(50, send); n > most {
				t.Errorf("sending allocates %v times", n)
			} else {
				t.Logf("sending allocates %v times", n)
			}
			const runs = 50
			lines := make([][]byte, runs+2) // AllocsPerRun calls once more
			for i := range lines {
				send()
				lines[i] = bytes.Clone(line[:len(line)-1])
			}
			next := 0
			receive := func() {
				got, err := bob.Receive(lines[next])
				if err != nil || len(got.Text) != size {
					t.Fatal(err, got.Events)
				}
				next++
			}
			receive() // rotates keys
			if n := testing.AllocsPerRun(runs, receive); n > most {
				t.Errorf("receiving allocates %v times", n)
			} else {
				t.Logf("receiving allocates %v times", n)
			}
		})
	}
}
