//go:build !race && !purego

// The race detector makes pools of memory forget at random.

package otr_test

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/sys/cpu"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// TestSteadyStateAllocations counts the allocations of a message in a session whose
// buffers have grown. There are none, but where package keystream has no code of its own for
// AES: there the library's schedule of the AES key and its state of CTR are two.
func TestSteadyStateAllocations(t *testing.T) {
	slowtest.SkipShort(t)
	var most float64 // for sending or receiving one message of version 3
	if !cpu.X86.HasAES || !cpu.X86.HasAVX {
		most = 2
	}
	t.Run("version 3", func(t *testing.T) { checkAllocations(t, otr.AllowV3, most) })
	t.Run("version 4", func(t *testing.T) { checkAllocations(t, otr.AllowV4, 0) })
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
