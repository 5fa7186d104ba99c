// Command chacha20 writes chacha20_amd64.s: ChaCha20 for processors with AVX2, and for those
// with AVX-512. Run it with go generate in the folder two above.
//
// A register has one row of the state of several blocks, in lanes of 128 bits. Several such
// groups of blocks are computed at once, so that the processor need not wait for a result.
// Nothing branches on, or computes an address from, a value of the state.
package main

import (
	"fmt"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	. "github.com/mmcloughlin/avo/reg"
)

const (
	row          = 16 // bytes, of one block
	block        = 4 * row
	doubleRounds = 10
)

// A group is the four rows of the state of some blocks.
type group [4]VecPhysical

var (
	b, length = RDI, RSI
	rounds    = RCX
)

func main() {
	ConstraintExpr("amd64,!purego")
	c := constants{
		sigma: table("chachaSigma", func(_, word int) uint32 {
			return [4]uint32{0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}[word] // "expand 32-byte k"
		}),
		counters: table("chachaCounters", func(row, word int) uint32 { return counter(word, row) }),
		step:     map[int]Mem{},
		rotate:   map[int]Mem{},
	}
	for _, n := range []int{2, 4, 6, 8, 12, 16} {
		c.step[n] = table(fmt.Sprintf("chachaStep%d", n), func(_, word int) uint32 { return counter(word, n) })
	}
	for _, n := range []int{8, 16} {
		c.rotate[n] = table(fmt.Sprintf("chachaRotate%d", n), func(_, word int) (from uint32) {
			for i := range 4 {
				from |= uint32(4*word+(i+4-n/8)%4) << (8 * i)
			}
			return from
		})
	}
	avx512(c)
	avx2(c)
	Generate()
}

type constants struct {
	sigma    Mem         // the first row of every block
	counters Mem         // the last rows of the first blocks
	step     map[int]Mem // adds so many blocks to the last row
	rotate   map[int]Mem // by so many bits, which are whole bytes
}

// counter returns a word of the last row of the block n: its first word counts.
func counter(word, n int) uint32 {
	if word > 0 {
		return 0
	}
	return uint32(n)
}

// table writes four rows of four words.
func table(name string, value func(row, word int) uint32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 16 {
		DATA(4*i, U32(value(i/4, i%4)))
	}
	return m
}

func begin(name, width string, unit int) (key Register) {
	TEXT(name, NOSPLIT, "func(key *[32]byte, counter uint32, b []byte)")
	Doc(fmt.Sprintf("%s encrypts b in place with nonce 0. The length of b is a multiple of %d.", name, unit), width)
	Pragma("noescape")
	key = Load(Param("key"), RAX)
	Load(Param("b").Base(), b)
	Load(Param("b").Len(), length)
	return key
}

func avx512(c constants) {
	const (
		blocks = 4 // in a group
		groups = 4
		few    = 1 // groups that are computed at once at the end
		unit   = blocks * block
	)
	z := []VecPhysical{
		Z0, Z1, Z2, Z3, Z4, Z5, Z6, Z7, Z8, Z9, Z10, Z11, Z12, Z13, Z14, Z15,
		Z16, Z17, Z18, Z19, Z20, Z21, Z22, Z23, Z24, Z25, Z26, Z27, Z28, Z29, Z30, Z31,
	}
	key := begin("chacha20AVX512", "It needs AVX-512F.", few*unit)
	start := group{z[16], z[17], z[18], z[19]} // of the first group
	spare := [4]VecPhysical{z[20], z[21], z[22], z[23]}
	steps := [groups + 1]VecPhysical{1: z[24], 2: z[25], 3: z[26], 4: z[27]} // to the other groups and behind them
	VBROADCASTI32X4(c.sigma, start[0])
	VBROADCASTI32X4(Mem{Base: key}, start[1])
	VBROADCASTI32X4(Mem{Base: key, Disp: row}, start[2])
	VMOVD(Load(Param("counter"), EAX), start[3].AsX())
	VSHUFI32X4(Imm(0), start[3], start[3], start[3])
	VPADDD(c.counters, start[3], start[3])
	for g := 1; g <= groups; g++ {
		VMOVDQU32(c.step[g*blocks], steps[g])
	}

	all := make([]group, groups)
	for g := range all {
		all[g] = group(z[4*g : 4*g+4])
	}
	pass := func(name string, n int) {
		used := all[:n]
		for g := range used {
			for i, r := range start {
				if g > 0 && i == 3 {
					VPADDD(steps[g], r, used[g][i])
				} else {
					VMOVDQA32(r, used[g][i])
				}
			}
		}
		MOVQ(U32(doubleRounds), rounds)
		Label(name + "Round")
		doubleRound(used, func(n, i int) {
			for _, s := range used {
				VPROLD(Imm(uint64(n)), s[i], s[i])
			}
		})
		DECQ(rounds)
		JNZ(LabelRef(name + "Round"))
		for g, s := range used {
			for i, r := range start {
				VPADDD(r, s[i], s[i])
			}
			if g > 0 {
				VPADDD(steps[g], s[3], s[3])
			}
			// Row i of block j is lane j of s[i].
			for half := range 2 {
				lanes := Imm([2]uint64{0x44, 0xee}[half])
				VSHUFI32X4(lanes, s[1], s[0], spare[0])
				VSHUFI32X4(lanes, s[3], s[2], spare[1])
				VSHUFI32X4(Imm(0x88), spare[1], spare[0], spare[2])
				VSHUFI32X4(Imm(0xdd), spare[1], spare[0], spare[3])
				for j := range 2 {
					text := Mem{Base: b, Disp: g*unit + (2*half+j)*block}
					VPXORD(text, spare[2+j], spare[2+j])
					VMOVDQU32(spare[2+j], text)
				}
			}
		}
		VPADDD(steps[n], start[3], start[3])
	}

	passes(groups, few, unit, pass)
	for _, r := range z[:24] {
		VPXORD(r, r, r)
	}
	VZEROUPPER()
	RET()
}

func avx2(c constants) {
	const (
		blocks = 2 // in a group
		groups = 4
		few    = 2 // groups that are computed at once at the end
		unit   = blocks * block
	)
	y := []VecPhysical{Y0, Y1, Y2, Y3, Y4, Y5, Y6, Y7, Y8, Y9, Y10, Y11, Y12, Y13, Y14, Y15}
	all := make([]group, groups)
	for g := range all {
		all[g] = group(y[4*g : 4*g+4])
	}
	key := begin("chacha20AVX2", "It needs AVX2.", few*unit)
	// The stack has a register that makes room, and where a group starts. It is overwritten
	// at the end.
	const width = 2 * row
	stack := AllocLocal(4 * width)
	kept, start := stack, [4]Mem{c.sigma, stack.Offset(width), stack.Offset(2 * width), stack.Offset(3 * width)}
	spare := all[groups-1][2] // no rotation needs it
	for i := range 2 {
		VBROADCASTI128(Mem{Base: key, Disp: i * row}, spare)
		VMOVDQU(spare, start[1+i])
	}
	VMOVD(Load(Param("counter"), EAX), spare.AsX())
	VINSERTI128(Imm(1), spare.AsX(), spare, spare)
	VPADDD(c.counters, spare, spare)
	VMOVDQU(spare, start[3])

	pass := func(name string, n int) {
		used := all[:n]
		for g, s := range used {
			for i, r := range s {
				VMOVDQU(start[i], r)
			}
			if g > 0 {
				VPADDD(c.step[g*blocks], s[3], s[3])
			}
		}
		rotate := func(n int, s group, i int) {
			if m, ok := c.rotate[n]; ok {
				VPSHUFB(m, s[i], s[i])
				return
			}
			VPSLLD(Imm(uint64(n)), s[i], spare)
			VPSRLD(Imm(uint64(32-n)), s[i], s[i])
			VPXOR(spare, s[i], s[i])
		}
		makeRoom, fillRoom := func() {}, func() {}
		if n == groups {
			makeRoom, fillRoom = func() { VMOVDQU(spare, kept) }, func() { VMOVDQU(kept, spare) }
		}
		MOVQ(U32(doubleRounds), rounds)
		Label(name + "Round")
		doubleRound(used, func(n int, i int) {
			if c.rotate[n].Base == nil {
				makeRoom()
				defer fillRoom()
			}
			for _, s := range used {
				rotate(n, s, i)
			}
		})
		DECQ(rounds)
		JNZ(LabelRef(name + "Round"))
		for g, s := range used {
			for i, r := range s {
				VPADDD(start[i], r, r)
			}
			if g > 0 {
				VPADDD(c.step[g*blocks], s[3], s[3])
			}
		}
		makeRoom()
		for g, s := range used {
			room := spare
			if g == groups-1 {
				fillRoom()
				room = all[0][0] // is done
			}
			// Row i of block j is lane j of s[i].
			for j := range blocks {
				for half := range 2 {
					text := Mem{Base: b, Disp: g*unit + j*block + half*2*row}
					VPERM2I128(Imm(uint64(0x20+0x11*j)), s[2*half+1], s[2*half], room)
					VPXOR(text, room, room)
					VMOVDQU(room, text)
				}
			}
		}
		VMOVDQU(start[3], spare)
		VPADDD(c.step[n*blocks], spare, spare)
		VMOVDQU(spare, start[3])
	}

	passes(groups, few, unit, pass)
	for _, r := range y {
		VPXOR(r, r, r)
	}
	for i := range 4 {
		VMOVDQU(y[0], stack.Offset(i*width))
	}
	VZEROUPPER()
	RET()
}

// passes goes through b, many groups at a time and then few.
func passes(many, few, unit int, pass func(name string, n int)) {
	repeat := func(name string, n int) {
		pass(name, n)
		size := uint32(n * unit)
		ADDQ(U32(size), b)
		SUBQ(U32(size), length)
		JMP(LabelRef(name))
	}
	Label("many")
	CMPQ(length, U32(uint32(many*unit)))
	JB(LabelRef("few"))
	repeat("many", many)
	Label("few")
	TESTQ(length, length)
	JZ(LabelRef("done"))
	repeat("few", few)
	Label("done")
}

// doubleRound is a round on the columns of each block and one on its diagonals. rotate does
// what is left of a step: it rotates the words of row i of each group by n bits.
func doubleRound(all []group, rotate func(n, i int)) {
	for diagonal := range 2 {
		for _, step := range [...]struct{ sum, from, to, rotation int }{{0, 1, 3, 16}, {2, 3, 1, 12}, {0, 1, 3, 8}, {2, 3, 1, 7}} {
			for _, s := range all {
				VPADDD(s[step.from], s[step.sum], s[step.sum])
			}
			for _, s := range all {
				xor(s[step.sum], s[step.to])
			}
			rotate(step.rotation, step.to)
		}
		// The diagonals become columns, and then columns again.
		for i, by := range [4]uint64{1: 0x39, 2: 0x4e, 3: 0x93} {
			if i == 0 {
				continue
			}
			if diagonal == 1 {
				by = [4]uint64{1: 0x93, 2: 0x4e, 3: 0x39}[i]
			}
			for _, s := range all {
				VPSHUFD(Imm(by), s[i], s[i])
			}
		}
	}
}

func xor(from, to VecPhysical) {
	if from.Size() == 64 {
		VPXORD(from, to, to)
	} else {
		VPXOR(from, to, to)
	}
}
