package v4

import (
	"crypto/cipher"

	"golang.org/x/crypto/chacha20"
	"golang.org/x/crypto/chacha20poly1305"

	"otrpipe/internal/secret"
)

const (
	chachaBlock = 64
	// shortText is up to how many bytes the cipher of one block at a time is as quick.
	shortText = 512
)

// zeroNonce is never written: a key encrypts one message only.
var zeroNonce [chacha20.NonceSize]byte

// crypt encrypts or decrypts b in place with ChaCha20, nonce and counter 0.
//
// Where chacha20poly1305 has vector code and chacha20 has none, most of b goes through
// the former. Its key stream begins at counter 1, after the block that makes its Poly1305
// key, so the first block is for the latter. The tag that Seal appends is dropped: it
// lands on bytes that are put back and are the latter's as well.
func crypt(enc *key, b []byte) {
	c, err := chacha20.NewUnauthenticatedCipher(enc[:cipherLen], zeroNonce[:])
	if err != nil {
		panic(err) // only for keys and nonces of other lengths
	}
	defer secret.Wipe(c)
	if !vectorSeal || len(b) < shortText {
		c.XORKeyStream(b, b)
		return
	}
	var aead cipher.AEAD
	if aead, err = chacha20poly1305.New(enc[:cipherLen]); err != nil {
		panic(err) // only for keys of other lengths
	}
	defer secret.Wipe(aead)
	c.XORKeyStream(b[:chachaBlock], b[:chachaBlock])
	b = b[chachaBlock:]
	blocks := (len(b) - chacha20poly1305.Overhead) / chachaBlock
	middle, tail := b[:blocks*chachaBlock], b[blocks*chachaBlock:]
	kept := [chacha20poly1305.Overhead]byte(tail)
	aead.Seal(middle[:0], zeroNonce[:], middle, nil)
	copy(tail, kept[:])
	clear(kept[:])
	c.SetCounter(uint32(1 + blocks))
	c.XORKeyStream(tail, tail)
}
