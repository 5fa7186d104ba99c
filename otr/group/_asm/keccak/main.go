// Command keccak writes keccak_amd64.s: Keccak-f[1600] of four states at once, for
// processors with AVX-512. Run it with go generate in the folder two above.
//
// Register Y(x+5y) has lane (x, y) of the four states. With 32 registers all lanes stay in
// them, a rotation is one instruction, and so is any function of three lanes. Nothing
// branches on, or computes an address from, the value of a lane.
package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	rate   = 136 // bytes of a block of SHAKE-256
	rounds = 24
	states = 4
	lane   = 8 // bytes
)

// Truth tables for VPTERNLOGQ, whose operands are c, b and a from left to right.
const (
	xor3 = 0x96 // a ^ b ^ c
	chi  = 0xd2 // a ^ (^b & c)
)

var (
	lanes = [25]VecPhysical{
		Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15, Y16, Y17, Y18, Y19, Y20, Y21, Y22, Y23, Y24,
	}
	columns = [5]VecPhysical{Y25, Y26, Y27, Y28, Y29}
	spare   = [2]VecPhysical{Y30, Y31}
)

func at(x, y int) VecPhysical { return lanes[x%5+5*(y%5)] }

// roundConstants are the outputs of Keccak's linear feedback shift register.
func roundConstants() (all [rounds]uint64) {
	state := 1
	for i := range all {
		for j := range 7 {
			if state&1 != 0 {
				all[i] |= 1 << (1<<j - 1)
			}
			if state <<= 1; state&0x100 != 0 {
				state ^= 0x171
			}
		}
	}
	return all
}

func main() {
	ConstraintExpr("amd64,!purego")
	constants := GLOBL("keccakConstants", RODATA|NOPTR)
	for i, c := range roundConstants() {
		DATA(i*lane, U64(c))
	}

	TEXT("absorbAVX512", NOSPLIT, "func(state *uint64, b0, b1, b2, b3 *byte, blocks int)")
	Doc("absorbAVX512 adds blocks of shakeRate bytes from each input to its state, and permutes",
		"all four after each block. There must be at least one. Lane i of state j is state[4·i+j].")
	Pragma("noescape")
	state := Load(Param("state"), RDI)
	var inputs [states]Register
	for i, r := range [states]GPPhysical{RSI, R8, R9, R10} {
		inputs[i] = Load(Param([states]string{"b0", "b1", "b2", "b3"}[i]), r)
	}
	blocks := Load(Param("blocks"), R11)
	for i, r := range lanes {
		VMOVDQU64(Mem{Base: state, Disp: i * states * lane}, r)
	}
	table := R12
	LEAQ(constants, table)

	Label("block")
	absorb(inputs)
	round := R13
	XORQ(round, round)
	Label("round")
	theta()
	rhoPi()
	chiRows()
	VPXORQ_BCST(Mem{Base: table, Index: round, Scale: lane}, at(0, 0), at(0, 0))
	INCQ(round)
	CMPQ(round, Imm(rounds))
	JNE(LabelRef("round"))
	for _, r := range inputs {
		ADDQ(Imm(rate), r)
	}
	DECQ(blocks)
	JNZ(LabelRef("block"))

	for i, r := range lanes {
		VMOVDQU64(r, Mem{Base: state, Disp: i * states * lane})
	}
	for _, r := range append(lanes[:], append(columns[:], spare[:]...)...) {
		VPXORQ(r, r, r)
	}
	VZEROUPPER()
	RET()
	Generate()
}

// absorb adds a block of each input to its state.
func absorb(inputs [states]Register) {
	low, high := spare[0], spare[1]
	for i := range rate / lane {
		block := func(input int) Mem { return Mem{Base: inputs[input], Disp: i * lane} }
		VMOVQ(block(0), low.AsX())
		VMOVHPS(block(1), low.AsX(), low.AsX())
		VMOVQ(block(2), high.AsX())
		VMOVHPS(block(3), high.AsX(), high.AsX())
		VINSERTI32X4(Imm(1), high.AsX(), low, low)
		VPXORQ(low, lanes[i], lanes[i])
	}
}

// theta adds to each lane the parities of two columns.
func theta() {
	for x, c := range columns {
		VMOVDQA64(at(x, 0), c)
		VPTERNLOGQ(Imm(xor3), at(x, 1), at(x, 2), c)
		VPTERNLOGQ(Imm(xor3), at(x, 3), at(x, 4), c)
	}
	for x := range 5 {
		rotated := spare[x%2]
		VPROLQ(Imm(1), columns[(x+1)%5], rotated)
		for y := range 5 {
			VPTERNLOGQ(Imm(xor3), columns[(x+4)%5], rotated, at(x, y))
		}
	}
}

// rhoPi rotates each lane but (0, 0) and moves it to where the next of them was, from the
// end of their cycle to its beginning.
func rhoPi() {
	type place struct{ x, y int }
	cycle := make([]place, 0, 24)
	for p := (place{1, 0}); len(cycle) < 24; p = (place{p.y, (2*p.x + 3*p.y) % 5}) {
		cycle = append(cycle, p)
	}
	// The t-th of the cycle is rotated by the t+1-th triangular number.
	rotation := func(t int) Constant { return Imm(uint64((t + 1) * (t + 2) / 2 % 64)) }
	last := cycle[23]
	VPROLQ(rotation(23), at(last.x, last.y), spare[0])
	for t := 22; t >= 0; t-- {
		from, to := cycle[t], cycle[t+1]
		VPROLQ(rotation(t), at(from.x, from.y), at(to.x, to.y))
	}
	VMOVDQA64(spare[0], at(1, 0))
}

// chiRows combines each lane with the two that follow in its row.
func chiRows() {
	for y := range 5 {
		first, second := columns[2*y%4], columns[2*y%4+1]
		VMOVDQA64(at(0, y), first)
		VMOVDQA64(at(1, y), second)
		VPTERNLOGQ(Imm(chi), at(2, y), at(1, y), at(0, y))
		VPTERNLOGQ(Imm(chi), at(3, y), at(2, y), at(1, y))
		VPTERNLOGQ(Imm(chi), at(4, y), at(3, y), at(2, y))
		VPTERNLOGQ(Imm(chi), first, at(4, y), at(3, y))
		VPTERNLOGQ(Imm(chi), second, first, at(4, y))
	}
}
