package group

//go:generate go run -C _asm ./keccak -out ../keccak_amd64.s -stubs ../keccak_amd64.go -pkg group

import (
	"encoding/binary"

	"github.com/cloudflare/circl/simd/keccakf1600"
)

// KDFLanes is how many hashes KDFs computes in parallel if the processor can.
const KDFLanes = 4

const (
	shakeRate  = 136 // bytes of SHAKE-256's block
	shakeLimbs = shakeRate / 8
)

var kdfPrefix = [5]byte{'O', 'T', 'R', 'v', '4'}

// KDFs is KDF for several inputs: it fills dst[i] as KDF(dst[i], usage, keys[i], texts[i])
// would. Up to KDFLanes inputs are hashed in parallel, if the processor has the instructions
// for it and the inputs have equal length; otherwise they are hashed one after another. The
// same instructions also speed up a single long input. Each dst must have at most shakeRate
// bytes, and all keys must have equal length.
func KDFs(dst [][]byte, usage Usage, keys, texts [][]byte) {
	for len(dst) > 0 {
		n := min(len(dst), KDFLanes)
		if n >= fewestAtOnce(len(texts[0])) && sameLength(dst[:n]) && sameLength(keys[:n]) && sameLength(texts[:n]) &&
			len(dst[0]) <= shakeRate && len(kdfPrefix)+1+len(keys[0]) <= shakeRate {
			kdf4(dst[:n], usage, keys[:n], texts[:n])
		} else {
			for i := range n {
				KDF(dst[i], usage, keys[i], texts[i])
			}
		}
		dst, keys, texts = dst[n:], keys[n:], texts[n:]
	}
}

// MaxShortInput is the maximum length of an input of ShortKDFs, in bytes: it fits into one
// block.
const MaxShortInput = shakeRate - len(kdfPrefix) - 1 - 1

// ShortKDFs is KDF for up to KDFLanes inputs of at most MaxShortInput bytes, each with its
// own usage: it fills dst[i] as KDF(dst[i], usages[i], inputs[i]) would. They are hashed in
// parallel where that is faster. Each dst must have at most shakeRate bytes, and must not
// overlap the inputs.
func ShortKDFs(dst [][]byte, usages []Usage, inputs [][]byte) {
	if len(dst) <= KDFLanes/2 || !keccakf1600.IsEnabledX4() {
		for i := range dst {
			KDF(dst[i], usages[i], inputs[i])
		}
		return
	}
	var state keccakf1600.StateX4
	a := state.Initialize(false)
	defer clear(a)
	var blocks [KDFLanes][shakeRate]byte
	defer clear(blocks[:])
	for i, input := range inputs {
		head := append(append(blocks[i][:0], kdfPrefix[:]...), byte(usages[i]))
		pad(&blocks[i], len(head)+copy(blocks[i][len(head):shakeRate-1], input))
	}
	absorb(&state, a, blocks[0][:], blocks[1][:], blocks[2][:], blocks[3][:])
	squeeze(dst, a, &blocks)
}

// longInput is the length in bytes from which, with AVX-512, the vector code is faster than
// the standard library for a single input, even though it hashes three copies as well.
const longInput = 1 << 10

// fewestAtOnce returns the number of inputs of n bytes from which kdf4 is faster than KDF.
func fewestAtOnce(n int) int {
	switch {
	case !keccakf1600.IsEnabledX4():
		return KDFLanes + 1
	case hasAVX512 && n >= longInput:
		return 1
	}
	return KDFLanes/2 + 1
}

func sameLength(list [][]byte) bool {
	for _, b := range list {
		if len(b) != len(list[0]) {
			return false
		}
	}
	return true
}

// kdf4 computes SHAKE-256 of up to four inputs of equal length in one vector state, which has
// limb i of input j at 4·i + j.
func kdf4(dst [][]byte, usage Usage, keys, texts [][]byte) {
	var state keccakf1600.StateX4
	a := state.Initialize(false)
	defer clear(a)
	var blocks [KDFLanes][shakeRate]byte
	defer clear(blocks[:])
	var rest [KDFLanes][]byte
	// The first block holds the key. A lane without an input repeats the first one's.
	for lane := range KDFLanes {
		i := lane
		if lane >= len(dst) {
			i = 0
		}
		head := append(append(append(blocks[lane][:0], kdfPrefix[:]...), byte(usage)), keys[i]...)
		n := copy(blocks[lane][len(head):], texts[i])
		rest[lane] = texts[i][n:]
		if end := len(head) + n; end < shakeRate {
			pad(&blocks[lane], end)
		}
	}
	absorb(&state, a, blocks[0][:], blocks[1][:], blocks[2][:], blocks[3][:])
	if len(kdfPrefix)+1+len(keys[0])+len(texts[0]) >= shakeRate {
		absorb(&state, a, rest[0], rest[1], rest[2], rest[3])
		whole := len(rest[0]) / shakeRate * shakeRate
		for lane, b := range rest {
			clear(blocks[lane][:])
			n := copy(blocks[lane][:], b[whole:])
			pad(&blocks[lane], n)
		}
		absorb(&state, a, blocks[0][:], blocks[1][:], blocks[2][:], blocks[3][:])
	}
	squeeze(dst, a, &blocks)
}

// squeeze fills each dst with the beginning of its state. It overwrites blocks.
func squeeze(dst [][]byte, a []uint64, blocks *[KDFLanes][shakeRate]byte) {
	for lane := range dst {
		out := &blocks[lane]
		for i := range shakeLimbs {
			binary.LittleEndian.PutUint64(out[8*i:], a[KDFLanes*i+lane])
		}
		copy(dst[lane], out[:])
	}
}

// pad adds SHAKE-256's padding after n bytes of the last block.
func pad(block *[shakeRate]byte, n int) {
	block[n] ^= 0x1f
	block[shakeRate-1] ^= 0x80
}

// absorbX4 adds the whole blocks of each input to its state, and permutes the states after
// each block. The inputs must have equal length.
func absorbX4(state *keccakf1600.StateX4, a []uint64, b0, b1, b2, b3 []byte) {
	for len(b0) >= shakeRate {
		addBlock(a, b0, b1, b2, b3)
		state.Permute()
		b0, b1, b2, b3 = b0[shakeRate:], b1[shakeRate:], b2[shakeRate:], b3[shakeRate:]
	}
}

// addBlock adds the first block of each input to its state.
func addBlock(a []uint64, b0, b1, b2, b3 []byte) {
	a = a[:KDFLanes*shakeLimbs]
	b0, b1, b2, b3 = b0[:shakeRate], b1[:shakeRate], b2[:shakeRate], b3[:shakeRate]
	for i := 0; i < shakeLimbs; i++ {
		at := a[KDFLanes*i:][:KDFLanes]
		at[0] ^= binary.LittleEndian.Uint64(b0[8*i:])
		at[1] ^= binary.LittleEndian.Uint64(b1[8*i:])
		at[2] ^= binary.LittleEndian.Uint64(b2[8*i:])
		at[3] ^= binary.LittleEndian.Uint64(b3[8*i:])
	}
}
