package smp

import (
	"encoding/binary"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/testscripts/timing"
)

func TestTimingOfComparisonsDoesNotDependOnSecrets(t *testing.T) {
	three := &suite3{MODP: group.MODP1536(), ours: aliceFingerprint, theirs: bobFingerprint, ssid: testSSID}
	alice := newAlice4()
	four := alice.binding.newRun(testRand('t')).(*party[*group.Point, *group.Scalar]).suite
	secret, value := make([]uint64, 8), make([]uint64, 24)
	var room [8 * 24]byte
	bytesOf := func(in []uint64) []byte {
		for i, limb := range in {
			binary.LittleEndian.PutUint64(room[8*i:], limb)
		}
		return room[:8*len(in)]
	}
	zeros := make([]byte, len(room))
	timing.Check(t,
		timing.Function{Name: "version 3, hash of the secret", Input: secret, Draw: timing.Zeros, Run: func() { three.secret(true, bytesOf(secret)) }},
		timing.Function{Name: "version 4, hash of the secret", Input: secret, Draw: timing.Zeros, Run: func() { four.secret(true, bytesOf(secret)) }},
		timing.Function{Name: "version 3, comparison with zeros", Input: value, Draw: timing.Zeros, Run: func() {
			three.equal(bytesOf(value), zeros)
		}},
	)
}
