// Command asm writes montgomery_amd64.s, the kernel of the MODP groups for
// processors with BMI2, ADX and AVX2. Run it with go generate in the folder above.
//
// Numbers are little-endian arrays of 64-bit limbs, in blocks of eight. Nothing
// branches on, or computes an address from, the value of a limb: jumps depend on the
// number of blocks alone.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	limb  = 8        // bytes
	block = 8 * limb // bytes
)

// The same registers serve the same ends in all functions.
var (
	x    = RSI // the multiplicand
	y    = RCX // the multipliers of a block
	t    = RDI // the sum that products are added to
	lo   = RAX
	hi   = RBX
	wRot = [8]GPPhysical{R8, R9, R10, R11, R12, R13, R14, R15}
)

// A window is the eight limbs of a sum that a block of products is added to. The
// register of limb i changes when the window moves.
type window struct{ moved int }

func (w *window) limb(i int) GPPhysical { return wRot[(w.moved+i)%8] }

func (w *window) move() { w.moved = (w.moved + 1) % 8 }

// locals are what a function keeps on its stack. No limb is among it.
type locals struct {
	zero   Mem // always 0: adding it takes in a carry
	carry  Mem // of the additions from block to block: 0 or −1
	above  Mem // of the additions at the top of the window, from row to row: 0 or −1
	left   Mem // blocks of the multiplicand still to do
	blocks Mem // blocks of the multiplicand in this row of blocks
	rows   Mem // rows of blocks still to do
	tStart Mem // where the row's sum begins
	xStart Mem // where the multiplicand begins
}

func newLocals() locals {
	next := func() Mem { return AllocLocal(8) }
	l := locals{next(), next(), next(), next(), next(), next(), next(), next()}
	MOVQ(U32(0), l.zero)
	MOVQ(U32(0), l.above)
	return l
}

func at(r Register, limbs int) Mem { return Mem{Base: r, Disp: limbs * limb} }

// restore sets the carry flag to a carry that keep has kept.
func restore(from Mem) {
	MOVQ(from, lo)
	ADDQ(lo, lo)
}

// keep stores the carry flag as 0 or −1.
func keep(to Mem) {
	SBBQ(lo, lo)
	MOVQ(lo, to)
}

// row adds multiplier RDX times eight limbs at x to the window. The lowest limb of
// the sum is then in the register that emit is given, which takes it away; the highest
// takes its place. The sum has nine limbs, since eight limbs plus a limb times eight
// limbs are below 2^576.
func (l locals) row(w *window, emit func(lowest GPPhysical)) {
	XORQ(lo, lo) // clears both carries
	for i := range 7 {
		MULXQ(at(x, i), lo, hi)
		ADCXQ(lo, w.limb(i))
		ADOXQ(hi, w.limb(i+1))
		if i == 0 {
			emit(w.limb(0))
		}
	}
	top := w.limb(0)
	MULXQ(at(x, 7), lo, top)
	ADCXQ(lo, w.limb(7))
	ADCXQ(l.zero, top)
	ADOXQ(l.zero, top)
	w.move()
}

// rowOfBlocks adds the eight limbs at y times l.left blocks at x to the sum at t. On
// entry the window holds what is to be added to the first block, with l.carry. On exit t
// points behind the last block, and the eight limbs there have been added to, with the
// carry that the row before had left in l.above, and leave another there.
func (l locals) rowOfBlocks(name string, w *window) {
	CMPQ(l.left, Imm(0))
	JE(LabelRef(name + "_top"))
	Label(name + "_block")
	restore(l.carry)
	for i := range 8 {
		ADCQ(at(t, i), w.limb(i))
	}
	keep(l.carry)
	for j := range 8 {
		MOVQ(at(y, j), RDX)
		l.row(w, func(lowest GPPhysical) { MOVQ(lowest, at(t, j)) })
	}
	ADDQ(Imm(block), x)
	ADDQ(Imm(block), t)
	DECQ(l.left)
	JNZ(LabelRef(name + "_block"))

	Label(name + "_top")
	restore(l.carry)
	for i := range 8 {
		ADCQ(Imm(0), w.limb(i))
	}
	restore(l.above)
	for i := range 8 {
		ADCQ(at(t, i), w.limb(i))
		MOVQ(w.limb(i), at(t, i))
	}
	keep(l.above)
}

// clearWindow sets the window and the carry into it to 0.
func (l locals) clearWindow(w *window) {
	for i := range 8 {
		XORL(w.limb(i).As32(), w.limb(i).As32())
	}
	MOVQ(U32(0), l.carry)
}

func product() {
	TEXT("productADX", NOSPLIT, "func(t, a, b *uint64, blocks int)")
	Pragma("noescape")
	Doc("productADX sets t, of 16·blocks limbs that are 0, to a·b.")
	l := newLocals()
	Load(Param("t"), t)
	Load(Param("a"), x)
	Load(Param("b"), y)
	Load(Param("blocks"), RAX)
	MOVQ(x, l.xStart)
	MOVQ(RAX, l.blocks)
	MOVQ(RAX, l.rows)
	MOVQ(t, l.tStart)
	var w window
	Label("row")
	MOVQ(l.blocks, RAX)
	MOVQ(RAX, l.left)
	MOVQ(l.xStart, x)
	MOVQ(l.tStart, t)
	l.clearWindow(&w)
	l.rowOfBlocks("product", &w)
	ADDQ(Imm(block), y)
	ADDQ(Imm(block), l.tStart)
	DECQ(l.rows)
	JNZ(LabelRef("row"))
	RET()
}

// triangle sets the sixteen limbs at t to the sum of the products of any two different
// limbs of the eight at x.
func (l locals) triangle() {
	var w [15]GPPhysical // the register of each limb of the sum
	free := wRot[:]
	take := func(i int) GPPhysical {
		w[i] = free[0]
		free = free[1:]
		return w[i]
	}
	store := func(i int) {
		MOVQ(w[i], at(t, i))
		free = append(free, w[i])
	}
	MOVQ(at(x, 0), RDX)
	XORQ(lo, lo)
	MULXQ(at(x, 1), take(1), take(2))
	for i := 2; i < 8; i++ {
		MULXQ(at(x, i), lo, take(i+1))
		ADCXQ(lo, w[i])
	}
	ADCXQ(l.zero, w[8])
	MOVQ(l.zero, lo)
	MOVQ(lo, at(t, 0))
	MOVQ(lo, at(t, 15))
	free = append([]GPPhysical(nil), free...)
	store(1)
	store(2)
	for j := 1; j < 7; j++ {
		MOVQ(at(x, j), RDX)
		XORQ(lo, lo)
		for i := j + 1; i < 7; i++ {
			MULXQ(at(x, i), lo, hi)
			ADCXQ(lo, w[j+i])
			ADOXQ(hi, w[j+i+1])
		}
		MULXQ(at(x, 7), lo, take(j+8))
		ADCXQ(lo, w[j+7])
		ADCXQ(l.zero, w[j+8])
		ADOXQ(l.zero, w[j+8])
		store(2*j + 1)
		store(2*j + 2)
	}
}

func square() {
	TEXT("squareADX", NOSPLIT, "func(t, a *uint64, blocks int)")
	Pragma("noescape")
	Doc("squareADX sets t, of 16·blocks limbs, to a·a.")
	l := newLocals()
	Load(Param("t"), t)
	Load(Param("a"), x)
	Load(Param("blocks"), RAX)
	MOVQ(RAX, l.rows)
	Comment("The products of two limbs of the same block.")
	Label("same")
	l.triangle()
	ADDQ(Imm(block), x)
	ADDQ(Imm(2*block), t)
	DECQ(l.rows)
	JNZ(LabelRef("same"))

	Comment("The products of limbs of different blocks.")
	Load(Param("a"), y)
	Load(Param("t"), t)
	Load(Param("blocks"), RAX)
	ADDQ(Imm(block), t)
	MOVQ(t, l.tStart)
	MOVQ(RAX, l.blocks)
	MOVQ(RAX, l.rows)
	var w window
	Label("row")
	MOVQ(l.rows, RAX)
	DECQ(RAX)
	MOVQ(RAX, l.left)
	LEAQ(Mem{Base: y, Disp: block}, x)
	MOVQ(l.tStart, t)
	l.clearWindow(&w)
	l.rowOfBlocks("square", &w)
	ADDQ(Imm(block), y)
	ADDQ(Imm(2*block), l.tStart)
	DECQ(l.rows)
	JNZ(LabelRef("row"))

	Comment("Twice that, and the squares of the limbs.")
	Load(Param("t"), t)
	Load(Param("a"), x)
	Load(Param("blocks"), RBX)
	ADDQ(RBX, RBX)
	MOVQ(U32(63), RCX)
	below := R8
	doubled := R9
	sLo, sHi := R10, R11
	XORL(below.As32(), below.As32()) // clears the carry
	Label("double")
	for i := range 4 {
		MOVQ(at(x, i), RDX)
		MULXQ(RDX, sLo, sHi)
		for h, s := range []GPPhysical{sLo, sHi} {
			MOVQ(at(t, 2*i+h), RAX)
			LEAQ(Mem{Base: below, Index: RAX, Scale: 2}, doubled)
			SHRXQ(RCX, RAX, below)
			ADCQ(s, doubled)
			MOVQ(doubled, at(t, 2*i+h))
		}
	}
	LEAQ(Mem{Base: x, Disp: 4 * limb}, x)
	LEAQ(Mem{Base: t, Disp: block}, t)
	DECQ(RBX)
	JNZ(LabelRef("double"))
	RET()
}

// reduce writes the reduction for p ≡ −1 modulo 2^64, or that for any odd p.
func reduce(any bool) {
	name, params := "reduceADX", "func(z, t, p *uint64, blocks int)"
	if any {
		name, params = "reduceAnyADX", "func(z, t, p *uint64, blocks int, inverse uint64)"
	}
	TEXT(name, NOSPLIT, params)
	Pragma("noescape")
	doc := []string{name + " sets z, of 8·blocks limbs, to t/R modulo p, where R = 2^(512·blocks)",
		"and t, of twice as many limbs, is below R². It overwrites t. z is below R and may be",
		"above p."}
	if any {
		doc = append(doc, "inverse is −1/p modulo 2^64.")
	} else {
		doc = append(doc, "p ≡ −1 modulo 2^64, so that the lowest limb is itself the multiple of p that",
			"clears it.")
	}
	Doc(doc...)
	l := newLocals()
	Load(Param("t"), t)
	Load(Param("p"), x)
	Load(Param("blocks"), RAX)
	MOVQ(x, l.xStart)
	MOVQ(RAX, l.rows)
	DECQ(RAX)
	MOVQ(RAX, l.blocks)
	MOVQ(t, l.tStart)
	var w window
	Label("row")
	MOVQ(l.blocks, RAX)
	MOVQ(RAX, l.left)
	MOVQ(l.xStart, x)
	MOVQ(l.tStart, t)
	MOVQ(t, y)
	for i := range 8 {
		MOVQ(at(t, i), w.limb(i))
	}
	Comment("The multiples of p that clear the lowest block take its place.")
	for j := range 8 {
		MOVQ(w.limb(0), RDX)
		if any {
			IMULQ(NewParamAddr("inverse", 32), RDX)
		}
		MOVQ(RDX, at(t, j))
		l.row(&w, func(GPPhysical) {})
	}
	ADDQ(Imm(block), x)
	ADDQ(Imm(block), t)
	MOVQ(U32(0), l.carry)
	l.rowOfBlocks("reduce", &w)
	ADDQ(Imm(block), l.tStart)
	DECQ(l.rows)
	JNZ(LabelRef("row"))

	Comment("Where the sum has reached R, one p less is below it.")
	MOVQ(l.tStart, t)
	MOVQ(l.xStart, x)
	MOVQ(l.above, RDX)
	Load(Param("z"), RCX)
	Load(Param("blocks"), RBX)
	XORL(EAX, EAX)
	Label("subtract")
	Comment("ANDQ clears the borrow: it waits in RAX, 0 or −1.")
	for i := range 8 {
		MOVQ(at(x, i), wRot[i])
		ANDQ(RDX, wRot[i])
	}
	ADDQ(RAX, RAX)
	for i := range 8 {
		MOVQ(at(t, i), RAX)
		SBBQ(wRot[i], RAX)
		MOVQ(RAX, at(RCX, i))
	}
	SBBQ(RAX, RAX)
	ADDQ(Imm(block), x)
	ADDQ(Imm(block), t)
	ADDQ(Imm(block), RCX)
	DECQ(RBX)
	JNZ(LabelRef("subtract"))
	RET()
}

func choose() {
	TEXT("chooseAVX2", NOSPLIT, "func(z, table *uint64, blocks, entries int, choice uint64)")
	Pragma("noescape")
	Doc("chooseAVX2 sets z, of 8·blocks limbs, to entry choice of the table, whose entries",
		"follow each other. It reads all of them.")
	Load(Param("z"), t)
	Load(Param("blocks"), RAX)
	MOVQ(RAX, RDX)
	SHLQ(Imm(6), RDX) // from entry to entry
	Load(Param("table"), x)
	VPBROADCASTQ(NewParamAddr("choice", 32), Y10)
	VPCMPEQQ(Y11, Y11, Y11)
	VPXOR(Y12, Y12, Y12)
	VPSUBQ(Y11, Y12, Y11) // 1 in all lanes
	Label("block")
	MOVQ(x, RCX)
	Load(Param("entries"), RBX)
	VPXOR(Y8, Y8, Y8)
	VPXOR(Y0, Y0, Y0)
	VPXOR(Y1, Y1, Y1)
	Label("entry")
	VPCMPEQQ(Y8, Y10, Y9)
	VPAND(Mem{Base: RCX}, Y9, Y2)
	VPAND(Mem{Base: RCX, Disp: 32}, Y9, Y3)
	VPOR(Y2, Y0, Y0)
	VPOR(Y3, Y1, Y1)
	VPADDQ(Y11, Y8, Y8)
	ADDQ(RDX, RCX)
	DECQ(RBX)
	JNZ(LabelRef("entry"))
	VMOVDQU(Y0, Mem{Base: t})
	VMOVDQU(Y1, Mem{Base: t, Disp: 32})
	ADDQ(Imm(block), x)
	ADDQ(Imm(block), t)
	DECQ(RAX)
	JNZ(LabelRef("block"))
	for _, r := range []VecPhysical{Y0, Y1, Y2, Y3, Y8, Y9, Y10} {
		VPXOR(r, r, r)
	}
	VZEROUPPER()
	RET()
}

func main() {
	ConstraintExpr("amd64,!purego")
	product()
	square()
	reduce(false)
	reduce(true)
	choose()
	Generate()
}
