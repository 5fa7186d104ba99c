package v4

import (
	"bytes"
	"encoding/binary"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/testscripts/timing"
)

func TestTimingOfRingSignaturesAndMACsDoesNotDependOnSecrets(t *testing.T) {
	draws := make([]byte, 5*group.ScalarLen)
	for i := range draws {
		draws[i] = byte(i)
	}
	g := group.Generator()
	ring := Ring{g, g.Add(g), g.Add(g).Add(g)}
	m := []byte("what is signed")
	secret, position, at := make([]uint64, 8), make([]uint64, 1), make([]uint64, 1)
	scalar := func() group.Scalar {
		var b [64]byte
		for i, limb := range secret {
			binary.LittleEndian.PutUint64(b[8*i:], limb)
		}
		return group.ReduceScalar(b[:group.ScalarLen])
	}
	sign := func(secret group.Scalar, position int) {
		if _, err := ring.Sign(bytes.NewReader(draws), secret, position, m); err != nil {
			t.Fatal(err)
		}
	}
	alice, bob := newSession(t)
	bob.read(alice.say("before"))
	msg := alice.say("a text")
	// The MAC is behind everything but the revealed keys, of which there are none.
	mac := bytes.LastIndex(msg, parseData(t, msg).MAC)
	timing.Check(t,
		timing.Function{Name: "ring signature, secret", Input: secret, Draw: timing.Zeros, Run: func() { sign(scalar(), 0) }},
		timing.Function{Name: "ring signature, position", Input: position, Draw: timing.Below(3), Run: func() { sign(group.Scalar{}, int(position[0])) }},
		timing.Function{Name: "MAC of a data message, which byte is wrong", Input: at, Draw: timing.Below(macLen), Run: func() {
			forged := bytes.Clone(msg)
			forged[mac+int(at[0])] ^= 1
			if _, _, err := bob.take(forged); err == nil {
				t.Fatal("a forged message was taken")
			}
		}},
	)
}
