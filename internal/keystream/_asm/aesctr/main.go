// Command aesctr writes aesctr_amd64.s: AES-128 in counter mode for processors with AES-NI,
// and for those with VAES and AVX-512. Run it with go generate in the folder two above.
//
// All of the cipher's secrets go through instructions whose time does not depend on them.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	block  = 16 // bytes
	rounds = 10
	few    = 8 // blocks that the functions take multiples of
)

var (
	b, length = RDI, RSI
	x         = []VecPhysical{X0, X1, X2, X3, X4, X5, X6, X7, X8, X9, X10, X11, X12, X13, X14, X15}
)

func main() {
	ConstraintExpr("amd64,!purego")
	vaes()
	aesni()
	Generate()
}

// table writes rows of two numbers.
func table(name string, rows int, value func(row int) (low, high uint64)) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range rows {
		low, high := value(i)
		DATA(i*block, U64(low))
		DATA(i*block+8, U64(high))
	}
	return m
}

// swapTable is for reversing the bytes of the number of a block, the second half of what is
// encrypted. The first half is as it should be.
func swapTable(name string, rows int) Mem {
	return table(name, rows, func(int) (low, high uint64) { return 0x0706050403020100, 0x08090a0b0c0d0e0f })
}

// numbers is for adding 0, step, 2·step and so on to the numbers of blocks.
func numbers(name string, first, step uint64) Mem {
	return table(name, 4, func(row int) (low, high uint64) { return 0, first + step*uint64(row) })
}

// begin loads the parameters, and counter and number of the first block into a register.
func begin(name, needs string, first VecPhysical) (key Register) {
	TEXT(name, NOSPLIT, "func(key *[16]byte, counter, first uint64, b []byte)")
	Doc(fmt.Sprintf("%s encrypts b in place with the key stream of a counter from its first-th", name),
		fmt.Sprintf("block on. The length of b is a multiple of %d. It needs %s.", few*block, needs))
	Pragma("noescape")
	key = Load(Param("key"), RAX)
	Load(Param("b").Base(), b)
	Load(Param("b").Len(), length)
	counter := Load(Param("counter"), RCX)
	BSWAPQ(counter)
	VMOVQ(counter, first.AsX())
	VPINSRQ(Imm(1), Load(Param("first"), RCX), first.AsX(), first.AsX())
	return key
}

// expandKey computes one round key after the other in register k, and hands each to emit. It
// uses one more register.
func expandKey(key Register, k, s VecPhysical, emit func(round int)) {
	VMOVDQU(Mem{Base: key}, k)
	emit(0)
	constant := 1
	for round := 1; round <= rounds; round++ {
		VAESKEYGENASSIST(Imm(uint64(constant)), k, s)
		VPSHUFD(Imm(0xff), s, s)
		VPXOR(k, s, s)
		for range 3 {
			VPSLLDQ(Imm(4), k, k)
			VPXOR(k, s, s)
		}
		VMOVDQA(s, k)
		emit(round)
		if constant <<= 1; constant&0x100 != 0 {
			constant ^= 0x11b
		}
	}
}

// passes goes through b, many blocks at a time and then few.
func passes(many int, pass func(blocks int)) {
	repeat := func(name string, blocks int) {
		pass(blocks)
		ADDQ(U32(uint32(blocks*block)), b)
		SUBQ(U32(uint32(blocks*block)), length)
		JMP(LabelRef(name))
	}
	if many > few {
		Label("many")
		CMPQ(length, U32(uint32(many*block)))
		JB(LabelRef("few"))
		repeat("many", many)
	}
	Label("few")
	TESTQ(length, length)
	JZ(LabelRef("done"))
	repeat("few", few)
	Label("done")
}

func vaes() {
	const lanes = 4 // blocks in a register
	z := []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
	}
	swaps := swapTable("aesSwapX4", lanes)
	lane, step := numbers("aesLane", 0, 1), numbers("aesStep", lanes, 0)

	text, next, swap, four := z[:8], z[8], z[9], z[10]
	keys := z[16 : 16+rounds+1]
	key := begin("aesCTRVAES", "VAES, AVX-512F and AVX-512BW", next)
	VSHUFI32X4(Imm(0), next, next, next)
	VPADDQ(lane, next, next)
	VMOVDQU64(swaps, swap)
	VMOVDQU64(step, four)
	expandKey(key, x[0], x[1], func(round int) { VSHUFI32X4(Imm(0), z[0], z[0], keys[round]) })
	passes(len(text)*lanes, func(blocks int) {
		text := text[:blocks/lanes]
		for _, r := range text {
			VPSHUFB(swap, next, r)
			VPADDQ(four, next, next)
		}
		for _, r := range text {
			VPXORD(keys[0], r, r)
		}
		for _, k := range keys[1:rounds] {
			for _, r := range text {
				VAESENC(k, r, r)
			}
		}
		for i, r := range text {
			at := Mem{Base: b, Disp: i * lanes * block}
			VAESENCLAST(keys[rounds], r, r)
			VPXORD(at, r, r)
			VMOVDQU64(r, at)
		}
	})
	for _, r := range append(text, keys...) {
		VPXORD(r, r, r)
	}
	VZEROUPPER()
	RET()
}

func aesni() {
	swap, one := swapTable("aesSwap", 1), table("aesOne", 1, func(int) (low, high uint64) { return 0, 1 })
	text, next, k := x[:few], x[few], x[few+1]
	key := begin("aesCTRNI", "AES-NI and AVX", next)
	// The stack has the round keys, and is overwritten at the end.
	keys := AllocLocal((rounds + 1) * block)
	expandKey(key, k, x[0], func(round int) { VMOVDQU(k, keys.Offset(round*block)) })
	passes(few, func(int) {
		VMOVDQU(keys, k)
		for _, r := range text {
			VPSHUFB(swap, next, r)
			VPXOR(k, r, r)
			VPADDQ(one, next, next)
		}
		for round := 1; round <= rounds; round++ {
			VMOVDQU(keys.Offset(round*block), k)
			for _, r := range text {
				if round < rounds {
					VAESENC(k, r, r)
				} else {
					VAESENCLAST(k, r, r)
				}
			}
		}
		for i, r := range text {
			at := Mem{Base: b, Disp: i * block}
			VPXOR(at, r, r)
			VMOVDQU(r, at)
		}
	})
	for _, r := range append(text, next, k) {
		VPXOR(r, r, r)
	}
	for round := range rounds + 1 {
		VMOVDQU(k, keys.Offset(round*block))
	}
	RET()
}
