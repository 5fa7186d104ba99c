package group

import (
	"math/big"
	"math/rand/v2"
	"testing"

	"filippo.io/bigmod"
)

func TestReduceAgreesWithMathBigForModuliOfEverySize(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{3})
	for bits := 9; bits < 400; bits += 13 {
		m := make([]byte, (bits+7)/8)
		rng.Read(m)
		m[0] = m[0]&(1<<((bits-1)%8)-1) | 1<<((bits-1)%8)
		modulus, err := bigmod.NewModulus(m)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 90 {
			x := make([]byte, n)
			rng.Read(x)
			want := new(big.Int).Mod(new(big.Int).SetBytes(x), new(big.Int).SetBytes(m))
			got := new(big.Int).SetBytes(Reduce(x, modulus).Bytes(modulus))
			if got.Cmp(want) != 0 {
				t.Errorf("%x modulo %x = %x, want %x", x, m, got, want)
			}
		}
	}
}
