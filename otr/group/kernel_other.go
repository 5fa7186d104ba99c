//go:build !amd64 || purego

package group

import "github.com/cloudflare/circl/simd/keccakf1600"

const hasAVX512 = false

func multiply(t *product, a, b *element, n int) { multiplyGo(t, a, b, n) }

func square(t *product, a *element, n int) { squareGo(t, a, n) }

func reduce(z *element, t *product, p *element, inverse uint64, n int) {
	reduceGo(z, t, p, inverse, n)
}

func choose(z *element, table []uint64, n, entries int, choice uint64) {
	chooseGo(z, table, n, entries, choice)
}

func absorb(state *keccakf1600.StateX4, a []uint64, b0, b1, b2, b3 []byte) {
	absorbX4(state, a, b0, b1, b2, b3)
}
