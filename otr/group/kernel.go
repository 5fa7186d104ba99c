package group

import (
	"crypto/subtle"
	"math/bits"
)

// The kernel in Go, for processors without one in assembly, and for the build tag purego. The
// tests compare the assembly with these functions.

// multiplyGo sets t, of which 2n limbs are 0, to a·b.
func multiplyGo(t *product, a, b *element, n int) {
	for i := range n {
		t[i+n] = addMul(t[i:i+n], a[:n], b[i])
	}
}

// squareGo sets t to a·a.
func squareGo(t *product, a *element, n int) {
	// The products of two different limbs.
	clear(t[:2*n])
	for i := range n - 1 {
		t[i+n] = addMul(t[2*i+1:i+n], a[i+1:n], a[i])
	}
	// Twice that, and the squares of the limbs.
	var below, carry uint64
	for i := range n {
		hi, lo := bits.Mul64(a[i], a[i])
		l, h := t[2*i], t[2*i+1]
		t[2*i], carry = bits.Add64(l<<1|below, lo, carry)
		t[2*i+1], carry = bits.Add64(h<<1|l>>63, hi, carry)
		below = h >> 63
	}
}

// reduceGo sets z to t/R modulo p, where t is below R², and z is below R and may be above
// p. t is overwritten. inverse is −1/p modulo 2^64.
func reduceGo(z *element, t *product, p *element, inverse uint64, n int) {
	var above uint64
	for i := range n {
		carry := addMul(t[i:i+n], p[:n], t[i]*inverse)
		t[i+n], above = bits.Add64(t[i+n], carry, above)
	}
	// If the sum has reached R, subtracting p brings it below R.
	var borrow uint64
	for i := range n {
		z[i], borrow = bits.Sub64(t[i+n], p[i]&-above, borrow)
	}
}

// chooseGo sets z to the given entry of a table of consecutive entries of n limbs. It reads
// all entries.
func chooseGo(z *element, table []uint64, n, entries int, choice uint64) {
	clear(z[:n])
	for e := range entries {
		mask := -uint64(subtle.ConstantTimeEq(int32(e), int32(choice)))
		for i, limb := range table[e*n : (e+1)*n] {
			z[i] |= limb & mask
		}
	}
}

// addMul adds x·y to z, which is as long as x, and returns the carry.
func addMul(z, x []uint64, y uint64) (carry uint64) {
	z = z[:len(x)]
	for len(x) >= 4 {
		carry = addMulLimb(&z[0], x[0], y, carry)
		carry = addMulLimb(&z[1], x[1], y, carry)
		carry = addMulLimb(&z[2], x[2], y, carry)
		carry = addMulLimb(&z[3], x[3], y, carry)
		z, x = z[4:], x[4:]
	}
	for i := range x {
		carry = addMulLimb(&z[i], x[i], y, carry)
	}
	return carry
}

func addMulLimb(z *uint64, x, y, carry uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	lo, c := bits.Add64(lo, *z, 0)
	hi += c // no overflow: hi is at most 2^64−2
	lo, c = bits.Add64(lo, carry, 0)
	*z = lo
	return hi + c
}
