package keys

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"filippo.io/bigmod"

	"otrpipe/otr/group"
	"otrpipe/testscripts/timing"
)

// bytesOf are the first n bytes of numbers.
func bytesOf(in []uint64, n int) []byte {
	b := make([]byte, 8*len(in))
	for i, limb := range in {
		binary.LittleEndian.PutUint64(b[8*i:], limb)
	}
	return b[:n]
}

func TestTimingOfSignaturesDoesNotDependOnSecrets(t *testing.T) {
	dsa, err := GenerateDSA(rand.NewChaCha8([32]byte{1}))
	if err != nil {
		t.Fatal(err)
	}
	m := make([]byte, 32)
	fresh := make([]byte, 32)
	x, err := bigmod.NewNat().SetBytes(dsa.x[:], dsa.q)
	if err != nil {
		t.Fatal(err)
	}
	h := group.Reduce(m, dsa.q)
	scalar := make([]uint64, 3)
	// Between 1 and 2^159, which is below q.
	drawScalar := func(in []uint64, fixed bool, rng *rand.Rand) {
		timing.Zeros(in, fixed, rng)
		in[0] &^= 0x80
		in[2] |= 1 << 24
	}
	symmetric, err := GenerateEd448(rand.NewChaCha8([32]byte{2}))
	if err != nil {
		t.Fatal(err)
	}
	seed := make([]uint64, 8)
	timing.Check(t,
		timing.Function{Name: "DSA, signature by a key", Input: scalar, Draw: drawScalar, Run: func() {
			copy(dsa.x[:], bytesOf(scalar, dsaScalarLen))
			if _, err := dsa.Sign(bytes.NewReader(fresh), m); err != nil {
				t.Fatal(err)
			}
		}},
		timing.Function{Name: "DSA, signature with a nonce", Input: scalar, Draw: drawScalar, Run: func() {
			dsa.signWith(bytesOf(scalar, dsaScalarLen), x, h)
		}},
		timing.Function{Name: "Ed448, signature by a key", Input: seed, Draw: timing.Zeros, Run: func() {
			copy(symmetric.symmetric[:], bytesOf(seed, Ed448SymmetricLen))
			if _, err := symmetric.Sign(m); err != nil {
				t.Fatal(err)
			}
		}},
	)
}
