//go:build !race

// The race detector makes pools of memory forget at random.

package otr_test

import (
	"bytes"
	"fmt"
	"testing"

	"otrpipe/otr"
)

// TestSteadyStateAllocations counts the allocations of a message in a session whose
// buffers have grown: in version 3 the schedule of the AES key and the state of CTR, and in
// version 4 none.
func TestSteadyStateAllocations(t *testing.T) {
	for _, version := range []struct {
		name   string
		policy otr.Policy
		most   float64 // for sending or receiving one message
	}{
		{"version 3", otr.AllowV3, 2},
		{"version 4", otr.AllowV4, 0},
	} {
		t.Run(version.name, func(t *testing.T) { checkAllocations(t, version.policy, version.most) })
	}
}

func checkAllocations(t *testing.T, version otr.Policy, most float64) {
	for _, size := range []int{1 << 10, 64 << 10} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			alice, bob := benchPair(t, version)
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
