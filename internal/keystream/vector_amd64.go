//go:build amd64 && !purego

package keystream

import "golang.org/x/sys/cpu"

var (
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = cpu.X86.HasAVX2 && cpu.X86.HasAVX512F
)

const (
	chachaBlock = 64  // bytes
	vectorUnit  = 256 // the vector code takes multiples of so many bytes
)

func chacha20(key *[32]byte, b []byte) {
	if !hasAVX2 {
		chacha20Library(key, b)
		return
	}
	whole := len(b) &^ (vectorUnit - 1)
	chacha20Vector(key, 0, b[:whole])
	if whole == len(b) {
		return
	}
	var last [vectorUnit]byte
	n := copy(last[:], b[whole:])
	chacha20Vector(key, uint32(whole/chachaBlock), last[:])
	copy(b[whole:], last[:n])
	clear(last[:]) // the text, or what is left of the key stream
}

func chacha20Vector(key *[32]byte, counter uint32, b []byte) {
	if hasAVX512 {
		chacha20AVX512(key, counter, b)
	} else {
		chacha20AVX2(key, counter, b)
	}
}
