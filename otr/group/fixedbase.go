package group

import (
	"crypto/subtle"
	"sync"

	"filippo.io/bigmod"
)

// windowBits is how many bits of the exponent one multiplication consumes.
const windowBits = 4

// fixedBase raises 2 to secret powers with a table: 2^x is the product of
// 2^(d·16^i) over the digits d of x in base 16, and the table has all of these
// factors. So it takes a multiplication a digit, and no squaring.
type fixedBase struct {
	m *bigmod.Modulus

	// mu guards rows while it grows. A row that is there does not change, so it
	// may be read by whoever got it under mu.
	mu   sync.Mutex
	rows []tableRow
	next *bigmod.Nat // 2^(16^len(rows))
}

// tableRow holds the limbs of the powers 0 to 15 of one 2^(16^i), one after
// another.
type tableRow []uint

// exp returns 2^x.
func (t *fixedBase) exp(x []byte) *bigmod.Nat {
	rows := t.grow(2 * len(x))
	factor := bigmod.NewNat().ExpandFor(t.m)
	product := bigmod.NewNat().ExpandFor(t.m)
	product.Bits()[0] = 1
	for i := range x {
		b := x[len(x)-1-i]
		rows[2*i].choose(factor, b&15)
		product.Mul(factor, t.m)
		rows[2*i+1].choose(factor, b>>4)
		product.Mul(factor, t.m)
	}
	clear(factor.Bits())
	return product
}

// grow makes the table n rows long, if it is not yet, and returns it. Rows are
// made when an exponent of that length first comes: those of a key exchange
// have a fifth of the length of those of SMP.
func (t *fixedBase) grow(n int) []tableRow {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next == nil {
		t.next = bigmod.NewNat().ExpandFor(t.m)
		t.next.Bits()[0] = 2
	}
	for len(t.rows) < n {
		power := bigmod.NewNat().ExpandFor(t.m)
		power.Bits()[0] = 1
		var row tableRow
		for range 1 << windowBits {
			row = append(row, power.Bits()...)
			power.Mul(t.next, t.m)
		}
		t.rows = append(t.rows, row)
		t.next = power
	}
	return t.rows
}

// choose sets n to the row's power d. It reads the whole row, whatever d is.
func (row tableRow) choose(n *bigmod.Nat, d byte) {
	limbs := n.Bits()
	clear(limbs)
	for i := range byte(1 << windowBits) {
		mask := -uint(subtle.ConstantTimeByteEq(i, d))
		power := row[int(i)*len(limbs):][:len(limbs)]
		for j := range limbs {
			limbs[j] |= mask & power[j]
		}
	}
}
