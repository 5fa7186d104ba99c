package group

import "filippo.io/bigmod"

// Reduce returns x, an unsigned big-endian number of any length, modulo m, whose bit length
// must be above 8. Its time depends only on the length of x. DSA also uses it to reduce
// hashes and nonces.
func Reduce(x []byte, m *bigmod.Modulus) *bigmod.Nat {
	// A chunk has fewer bits than m, so it is below m. The number is built up chunk by chunk,
	// from the top.
	chunk := (m.BitLen() - 1) / 8
	shift := make([]byte, chunk+1)
	shift[0] = 1
	base := bigmod.NewNat()
	if _, err := base.SetOverflowingBytes(shift, m); err != nil {
		panic("group: modulus is too small to reduce by")
	}
	sum := bigmod.NewNat().ExpandFor(m)
	digit := bigmod.NewNat()
	for first := true; len(x) > 0; first = false {
		n := len(x) % chunk
		if n == 0 {
			n = chunk
		}
		if _, err := digit.SetBytes(x[:n], m); err != nil {
			panic("group: a chunk reaches its modulus")
		}
		if !first {
			sum.Mul(base, m)
		}
		sum.Add(digit, m)
		x = x[n:]
	}
	clear(digit.Bits())
	return sum
}
