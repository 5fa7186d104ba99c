//go:build amd64 && !purego

package group

import (
	"github.com/cloudflare/circl/simd/keccakf1600"
	"golang.org/x/sys/cpu"
)

var (
	hasADX    = cpu.X86.HasADX && cpu.X86.HasBMI2
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL
)

func multiply(t *product, a, b *element, n int) {
	if hasADX {
		productADX(&t[0], &a[0], &b[0], n/blockLimbs)
		return
	}
	multiplyGo(t, a, b, n)
}

func square(t *product, a *element, n int) {
	if hasADX {
		squareADX(&t[0], &a[0], n/blockLimbs)
		return
	}
	squareGo(t, a, n)
}

func reduce(z *element, t *product, p *element, inverse uint64, n int) {
	switch {
	case !hasADX:
		reduceGo(z, t, p, inverse, n)
	case inverse == 1:
		reduceADX(&z[0], &t[0], &p[0], n/blockLimbs)
	default:
		reduceAnyADX(&z[0], &t[0], &p[0], n/blockLimbs, inverse)
	}
}

func choose(z *element, table []uint64, n, entries int, choice uint64) {
	if hasAVX2 {
		chooseAVX2(&z[0], &table[:entries*n][0], n/blockLimbs, entries, choice)
		return
	}
	chooseGo(z, table, n, entries, choice)
}

func absorb(state *keccakf1600.StateX4, a []uint64, b0, b1, b2, b3 []byte) {
	if blocks := len(b0) / shakeRate; hasAVX512 && blocks > 0 {
		absorbAVX512(&a[:25*KDFLanes][0], &b0[0], &b1[:len(b0)][0], &b2[:len(b0)][0], &b3[:len(b0)][0], blocks)
		return
	}
	absorbX4(state, a, b0, b1, b2, b3)
}
