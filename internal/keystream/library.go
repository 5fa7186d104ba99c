package keystream

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"sync"

	lib "golang.org/x/crypto/chacha20"

	"otrpipe/internal/secret"
)

// zeroNonce is never written.
var zeroNonce [lib.NonceSize]byte

// chacha20Library is ChaCha20 for processors without our own code.
func chacha20Library(key *[32]byte, b []byte) {
	c, err := lib.NewUnauthenticatedCipher(key[:], zeroNonce[:])
	if err != nil {
		panic(err) // only for keys and nonces of other lengths
	}
	c.XORKeyStream(b, b)
	*c = lib.Cipher{}
}

// smallText is the length in bytes up to which encrypting counter blocks one by one is faster
// than setting up a stream of the library, which allocates memory.
const smallText = 256

// aes128CTRLibrary is AES128CTR for processors without our own code.
func aes128CTRLibrary(key *[16]byte, counter uint64, b []byte) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // only for keys of other lengths
	}
	c := counterBlocks.Get().(*counterBlock)
	clear(c.at[:])
	binary.BigEndian.PutUint64(c.at[:], counter)
	if len(b) > smallText {
		stream := cipher.NewCTR(block, c.at[:])
		stream.XORKeyStream(b, b)
		secret.Wipe(stream)
	} else {
		for n := uint64(0); len(b) > 0; n++ {
			binary.BigEndian.PutUint64(c.at[8:], n)
			block.Encrypt(c.stream[:], c.at[:])
			b = b[subtle.XORBytes(b, b, c.stream[:]):]
		}
		clear(c.stream[:])
	}
	secret.Wipe(block)
	counterBlocks.Put(c)
}

// A counterBlock is the working memory for a block of AES-CTR. It holds no secret between
// texts.
type counterBlock struct{ at, stream [aes.BlockSize]byte }

var counterBlocks = sync.Pool{New: func() any { return new(counterBlock) }}
