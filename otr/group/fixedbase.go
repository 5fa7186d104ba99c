package group

import "sync"

// fixedBase raises 2 to secret powers with tables, after Lim and Lee ("More
// Flexible Exponentiation with Precomputation", 1994). The exponent is cut into
// chunks of 40 bytes, the length of the exponents of a key exchange, and each
// chunk, from its lowest byte, laid out as a matrix of bytes:
//
//	tooth 0:  byte  0  byte  1  …  byte  7
//	tooth 1:  byte  8  byte  9  …  byte 15
//	…
//	tooth 4:  byte 32  byte 33  …  byte 39
//
// Each column has a table of the products of every choice of its five bytes' powers
// 2^(256^i), so that one multiplication consumes one bit of each of five bytes. All columns
// and chunks share the squarings between one bit and the next: there are seven, regardless of
// the length of the exponent.
type fixedBase struct {
	m *montgomery

	// mu guards chunks and next while the tables grow. A finished chunk does not change, so a
	// goroutine that got it under mu may read it later.
	mu     sync.Mutex
	chunks []chunkTable
	next   element // 2^(256^i), i the bytes that the tables cover
}

const (
	teeth      = 5
	columns    = 8
	chunkBytes = teeth * columns
)

type (
	// chunkTable has a table for each column of a chunk.
	chunkTable [columns]columnTable
	// columnTable holds the factors for every choice of a column's teeth, one after another.
	columnTable []uint64
)

// exp sets z to 2^x. Its time depends only on the length of x.
func (f *fixedBase) exp(z *element, x []byte, t *product) {
	digits := make([]byte, (len(x)+chunkBytes-1)/chunkBytes*chunkBytes) // little-endian
	defer clear(digits)
	for i, b := range x {
		digits[len(x)-1-i] = b
	}
	var factor element
	defer clear(factor[:])
	*z = f.m.one
	chunks := f.grow(len(digits) / chunkBytes)
	for bit := 7; bit >= 0; bit-- {
		if bit < 7 {
			f.m.square(z, z, t)
		}
		for i := range chunks {
			chunk := digits[i*chunkBytes:][:chunkBytes]
			for column := range columns {
				var choice byte
				for tooth := range teeth {
					choice |= chunk[tooth*columns+column] >> bit & 1 << tooth
				}
				choose(&factor, chunks[i][column], f.m.n, 1<<teeth, uint64(choice))
				f.m.mul(z, z, &factor, t)
			}
		}
	}
}

// grow returns the tables of n chunks, and makes those that do not exist yet. A chunk takes
// about as long as a generic power with an exponent of 320 bits, and 96 KiB in the 3072-bit
// group. The exponents of SMP in the 1536-bit group need five chunks.
func (f *fixedBase) grow(n int) []chunkTable {
	f.mu.Lock()
	defer f.mu.Unlock()
	var t product
	if len(f.chunks) == 0 {
		f.next = f.m.one
		f.m.double(&f.next) // 2
	}
	for len(f.chunks) < n {
		var powers [chunkBytes]element
		for i := range powers {
			powers[i] = f.next
			for range 8 {
				f.m.square(&f.next, &f.next, &t)
			}
		}
		var chunk chunkTable
		for column := range chunk {
			var of [teeth]*element
			for tooth := range of {
				of[tooth] = &powers[tooth*columns+column]
			}
			chunk[column] = newColumnTable(of, f.m)
		}
		f.chunks = append(f.chunks, chunk)
	}
	return f.chunks[:n]
}

// newColumnTable returns the products of every choice of the given powers: entry d is the
// product of those whose bit is set in d.
func newColumnTable(powers [teeth]*element, m *montgomery) columnTable {
	var t product
	products := []element{m.one}
	for _, power := range powers {
		for _, product := range products {
			m.mul(&product, &product, power, &t)
			products = append(products, product)
		}
	}
	table := make(columnTable, 0, len(products)*m.n)
	for i := range products {
		table = append(table, products[i][:m.n]...)
	}
	return table
}
