package keyfile

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"hash"

	//lint:ignore SA1019 scrypt is built of Salsa20/8, which only this package has
	"golang.org/x/crypto/salsa20/salsa"
)

// This is scrypt (RFC 7914) with a parallelization parameter of 1, on memory that is wiped.
// The usual library, golang.org/x/crypto/scrypt, converts the passphrase to strings, which
// cannot be wiped. A test compares the two.

// scryptBlock is the length of a Salsa20/8 block in bytes.
const scryptBlock = 64

// scryptKey derives a key of 32 bytes from a passphrase and a salt. The cost parameter is
// 2^logN, with logN from 1 to maxWorkFactor, and the block size parameter is r. The memory
// for the greatest cost cannot be addressed on a 32-bit processor, which is an error.
func scryptKey(passphrase, salt []byte, logN, r int) ([sha256.Size]byte, error) {
	var key [sha256.Size]byte
	if err := checkCost(logN, r); err != nil {
		return key, err
	}
	mac := newPassphraseMAC(passphrase)
	defer mac.wipe()
	block := make([]byte, 2*r*scryptBlock)
	defer clear(block)
	mac.derive(block, salt)
	romix(block, 1<<logN)
	mac.derive(key[:], block)
	return key, nil
}

// checkCost returns an error if the cost is out of range, or needs more memory than this
// processor can address.
func checkCost(logN, r int) error {
	if logN < 1 || logN > maxWorkFactor {
		return fmt.Errorf("a work factor of %d, not 1 to %d", logN, maxWorkFactor)
	}
	if memory := int64(2*r*scryptBlock) << logN; int64(int(memory)) != memory {
		return fmt.Errorf("a work factor of %d needs more memory than this processor can address", logN)
	}
	return nil
}

// romix is scryptROMix (RFC 7914, section 5): it mixes block, of 128*r bytes, n times. n must
// be a power of two.
func romix(block []byte, n int) {
	size := len(block)
	memory := make([]byte, n*size)
	defer clear(memory)
	mixed := make([]byte, size)
	defer clear(mixed)
	for i := range n {
		copy(memory[i*size:], block)
		blockMix(mixed, block)
		block, mixed = mixed, block
	}
	// After an even number of swaps, block is the caller's buffer again.
	for range n {
		last := block[size-scryptBlock:]
		j := int(binary.LittleEndian.Uint64(last) & uint64(n-1))
		subtle.XORBytes(block, block, memory[j*size:(j+1)*size])
		blockMix(mixed, block)
		block, mixed = mixed, block
	}
}

// blockMix is scryptBlockMix (RFC 7914, section 4) from in to out.
func blockMix(out, in []byte) {
	var x [scryptBlock]byte
	copy(x[:], in[len(in)-scryptBlock:])
	half := len(in) / 2
	for i := 0; i < len(in); i += scryptBlock {
		subtle.XORBytes(x[:], x[:], in[i:i+scryptBlock])
		salsa.Core208(&x, &x)
		at := i / 2 // the even-numbered blocks come first, then the odd-numbered ones
		if i/scryptBlock%2 == 1 {
			at = half + (i-scryptBlock)/2
		}
		copy(out[at:], x[:])
	}
	clear(x[:])
}

// A passphraseMAC is HMAC-SHA-256 (RFC 2104) with a passphrase as its key. It keeps the key
// only in memory that is wiped.
type passphraseMAC struct {
	inner, outer [sha256.BlockSize]byte // the key, padded and masked
	hash         hash.Hash
}

func newPassphraseMAC(passphrase []byte) *passphraseMAC {
	m := &passphraseMAC{hash: sha256.New()}
	if len(passphrase) > sha256.BlockSize {
		m.hash.Write(passphrase)
		m.hash.Sum(m.inner[:0])
	} else {
		copy(m.inner[:], passphrase)
	}
	for i, b := range m.inner {
		m.inner[i], m.outer[i] = b^0x36, b^0x5c
	}
	return m
}

// derive fills key by PBKDF2 (RFC 8018) with one iteration.
func (m *passphraseMAC) derive(key, salt []byte) {
	var sum [sha256.Size]byte
	defer clear(sum[:])
	for i := uint32(1); len(key) > 0; i++ {
		m.hash.Reset()
		m.hash.Write(m.inner[:])
		m.hash.Write(salt)
		m.hash.Write(binary.BigEndian.AppendUint32(nil, i))
		m.hash.Sum(sum[:0])
		m.hash.Reset()
		m.hash.Write(m.outer[:])
		m.hash.Write(sum[:])
		m.hash.Sum(sum[:0])
		key = key[copy(key, sum[:]):]
	}
}

// wipe overwrites the key, and the incomplete last block in the state of the hash.
func (m *passphraseMAC) wipe() {
	clear(m.inner[:])
	clear(m.outer[:])
	m.hash.Reset()
	m.hash.Write(make([]byte, sha256.BlockSize-1))
	m.hash.Reset()
}
