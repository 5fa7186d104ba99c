//go:build !amd64 || purego

package group

func multiply(t *product, a, b *element, n int) { multiplyGo(t, a, b, n) }

func square(t *product, a *element, n int) { squareGo(t, a, n) }

func reduce(z *element, t *product, p *element, inverse uint64, n int) {
	reduceGo(z, t, p, inverse, n)
}

func choose(z *element, table []uint64, n, entries int, choice uint64) {
	chooseGo(z, table, n, entries, choice)
}
