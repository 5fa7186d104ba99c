//go:build amd64 && !purego

package keystream

import (
	"crypto/aes"

	"golang.org/x/sys/cpu"
)

var (
	hasAVX2   = cpu.X86.HasAVX2
	hasAVX512 = cpu.X86.HasAVX2 && cpu.X86.HasAVX512F
	hasAESNI  = cpu.X86.HasAES && cpu.X86.HasAVX
	hasVAES   = hasAESNI && hasAVX512 && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VAES
)

const (
	chachaBlock = 64 // bytes
	// The vector code processes multiples of this many bytes.
	chachaUnit = 256
	aesUnit    = 128
)

func chacha20(key *[32]byte, b []byte) {
	if !hasAVX2 {
		chacha20Library(key, b)
		return
	}
	whole := len(b) &^ (chachaUnit - 1)
	chacha20Vector(key, 0, b[:whole])
	if whole == len(b) {
		return
	}
	var last [chachaUnit]byte
	n := copy(last[:], b[whole:])
	chacha20Vector(key, uint32(whole/chachaBlock), last[:])
	copy(b[whole:], last[:n])
	clear(last[:]) // it holds the text, or the rest of the key stream
}

func chacha20Vector(key *[32]byte, counter uint32, b []byte) {
	if hasAVX512 {
		chacha20AVX512(key, counter, b)
	} else {
		chacha20AVX2(key, counter, b)
	}
}

func aes128CTR(key *[16]byte, counter uint64, b []byte) {
	if !hasAESNI {
		aes128CTRLibrary(key, counter, b)
		return
	}
	whole := len(b) &^ (aesUnit - 1)
	aes128CTRVector(key, counter, 0, b[:whole])
	if whole == len(b) {
		return
	}
	var last [aesUnit]byte
	n := copy(last[:], b[whole:])
	aes128CTRVector(key, counter, uint64(whole/aes.BlockSize), last[:])
	copy(b[whole:], last[:n])
	clear(last[:]) // as above
}

func aes128CTRVector(key *[16]byte, counter, first uint64, b []byte) {
	if hasVAES {
		aesCTRVAES(key, counter, first, b)
	} else {
		aesCTRNI(key, counter, first, b)
	}
}
