package group

import (
	"encoding/binary"

	"github.com/cloudflare/circl/simd/keccakf1600"
)

// KDFLanes is how many hashes KDFs computes at once where the processor can.
const KDFLanes = 4

const (
	shakeRate  = 136 // bytes of SHAKE-256's block
	shakeLimbs = shakeRate / 8
)

var kdfPrefix = [5]byte{'O', 'T', 'R', 'v', '4'}

// KDFs is KDF for several inputs: it fills dst[i] as KDF(dst[i], usage, keys[i], texts[i])
// would. Up to KDFLanes inputs are hashed at once, if the processor has the instructions
// for it and the inputs are of one length; otherwise one after the other. dst may not have
// more than shakeRate bytes each, and keys have one length.
func KDFs(dst [][]byte, usage Usage, keys, texts [][]byte) {
	for len(dst) > 0 {
		n := min(len(dst), KDFLanes)
		if n > KDFLanes/2 && keccakf1600.IsEnabledX4() && sameLength(dst[:n]) && sameLength(keys[:n]) && sameLength(texts[:n]) &&
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

func sameLength(list [][]byte) bool {
	for _, b := range list {
		if len(b) != len(list[0]) {
			return false
		}
	}
	return true
}

// kdf4 is SHAKE-256 of up to four inputs of one length in one vector state, which has
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
	absorb(a, blocks[0][:], blocks[1][:], blocks[2][:], blocks[3][:])
	state.Permute()
	if len(kdfPrefix)+1+len(keys[0])+len(texts[0]) >= shakeRate {
		b0, b1, b2, b3 := rest[0], rest[1], rest[2], rest[3]
		for len(b0) >= shakeRate {
			absorb(a, b0, b1, b2, b3)
			state.Permute()
			b0, b1, b2, b3 = b0[shakeRate:], b1[shakeRate:], b2[shakeRate:], b3[shakeRate:]
		}
		for lane, b := range [KDFLanes][]byte{b0, b1, b2, b3} {
			clear(blocks[lane][:])
			copy(blocks[lane][:], b)
			pad(&blocks[lane], len(b))
		}
		absorb(a, blocks[0][:], blocks[1][:], blocks[2][:], blocks[3][:])
		state.Permute()
	}
	for lane := range dst {
		out := &blocks[lane]
		for i := range shakeLimbs {
			binary.LittleEndian.PutUint64(out[8*i:], a[KDFLanes*i+lane])
		}
		copy(dst[lane], out[:])
	}
}

// pad ends the input of SHAKE-256 after n bytes of its last block.
func pad(block *[shakeRate]byte, n int) {
	block[n] ^= 0x1f
	block[shakeRate-1] ^= 0x80
}

// absorb adds the first block of each input to the state.
func absorb(a []uint64, b0, b1, b2, b3 []byte) {
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
