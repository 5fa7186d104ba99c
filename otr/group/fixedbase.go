package group

import (
	"crypto/subtle"
	"sync"

	"filippo.io/bigmod"
)

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
// Each column has a table with the products of every choice of its five bytes'
// powers 2^(256^i), so that one multiplication consumes a bit of five bytes at
// once. The columns, and the chunks, share the squarings between one bit and
// the next: there are seven, however long the exponent is.
type fixedBase struct {
	m *bigmod.Modulus

	// mu guards chunks and next while the tables grow. A chunk that is there
	// does not change, so it may be read by whoever got it under mu.
	mu     sync.Mutex
	chunks []chunkTable
	next   *bigmod.Nat // 2^(256^i), i the bytes that the tables cover
}

const (
	teeth      = 5
	columns    = 8
	chunkBytes = teeth * columns
)

type (
	// chunkTable has a table for each column of a chunk.
	chunkTable [columns]columnTable
	// columnTable holds the factors for every choice of a column's teeth, limb
	// by limb: first the lowest limbs of all of them.
	columnTable [][1 << teeth]uint
)

// exp returns 2^x. Only the length of x shows in the time it takes.
func (t *fixedBase) exp(x []byte) *bigmod.Nat {
	digits := make([]byte, (len(x)+chunkBytes-1)/chunkBytes*chunkBytes) // little-endian
	defer clear(digits)
	for i, b := range x {
		digits[len(x)-1-i] = b
	}
	factor := bigmod.NewNat().ExpandFor(t.m)
	product := bigmod.NewNat().ExpandFor(t.m)
	product.Bits()[0] = 1
	chunks := t.grow(len(digits) / chunkBytes)
	for bit := 7; bit >= 0; bit-- {
		if bit < 7 {
			product.Mul(product, t.m)
		}
		for i := range chunks {
			chunk := digits[i*chunkBytes:][:chunkBytes]
			for column := range columns {
				var choice byte
				for tooth := range teeth {
					choice |= chunk[tooth*columns+column] >> bit & 1 << tooth
				}
				chunks[i][column].choose(factor, choice)
				product.Mul(factor, t.m)
			}
		}
	}
	clear(factor.Bits())
	return product
}

// grow makes the tables of n chunks, as far as they are not there yet, and
// returns them. A chunk takes about two generic powers' time and 48 KiB for
// 1536 bits; the exponents of SMP need five.
func (t *fixedBase) grow(n int) []chunkTable {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = bigmod.NewNat().ExpandFor(t.m)
		t.next.Bits()[0] = 2
	}
	for len(t.chunks) < n {
		var powers [chunkBytes]*bigmod.Nat
		for i := range powers {
			powers[i] = t.next
			t.next = bigmod.NewNat().ExpShortVarTime(t.next, 256, t.m)
		}
		var chunk chunkTable
		for column := range chunk {
			var of [teeth]*bigmod.Nat
			for tooth := range of {
				of[tooth] = powers[tooth*columns+column]
			}
			chunk[column] = newColumnTable(of, t.m)
		}
		t.chunks = append(t.chunks, chunk)
	}
	return t.chunks[:n]
}

// newColumnTable returns the products of every choice of the given powers:
// entry d has those whose bit is set in d.
func newColumnTable(powers [teeth]*bigmod.Nat, m *bigmod.Modulus) columnTable {
	one := bigmod.NewNat().ExpandFor(m)
	one.Bits()[0] = 1
	products := []*bigmod.Nat{one}
	for _, power := range powers {
		for _, product := range products {
			next := bigmod.NewNat().ExpandFor(m)
			copy(next.Bits(), product.Bits())
			products = append(products, next.Mul(power, m))
		}
	}
	table := make(columnTable, len(one.Bits()))
	for d, product := range products {
		for i, limb := range product.Bits() {
			table[i][d] = limb
		}
	}
	return table
}

// choose sets n to the given entry. It reads the whole table, whatever the
// choice is.
func (t columnTable) choose(n *bigmod.Nat, choice byte) {
	var masks [1 << teeth]uint
	for i := range masks {
		masks[i] = -uint(subtle.ConstantTimeByteEq(byte(i), choice))
	}
	limbs := n.Bits()
	for i := range t {
		// Four sums at a time do not wait for each other: it takes half the time.
		var a, b, c, d uint
		for j := 0; j < len(masks); j += 4 {
			a |= t[i][j] & masks[j]
			b |= t[i][j+1] & masks[j+1]
			c |= t[i][j+2] & masks[j+2]
			d |= t[i][j+3] & masks[j+3]
		}
		limbs[i] = a | b | c | d
	}
}
