// Package keystream is the stream cipher of version 4's data messages, ChaCha20 (RFC 8439).
//
// On amd64 it is vector code of our own, which leaves no copy of the key or of the state in
// memory, and allocates nothing. On other processors it is golang.org/x/crypto's.
package keystream

//go:generate go run -C _asm ./chacha20 -out ../chacha20_amd64.s -stubs ../chacha20_amd64.go -pkg keystream

// ChaCha20 encrypts or decrypts b, of less than 256 GiB, in place: with nonce 0, and counter
// 0 for the first block. So a key is for one text only.
func ChaCha20(key *[32]byte, b []byte) { chacha20(key, b) }
