// Package keystream implements the stream ciphers of data messages: ChaCha20 (RFC 8439) in
// version 4, and AES-128 in counter mode in versions 2 and 3.
//
// On amd64 it has its own vector code, which allocates nothing and leaves neither the key nor
// anything computed from it in memory. On other processors it uses library code.
package keystream

//go:generate go run -C _asm ./chacha20 -out ../chacha20_amd64.s -stubs ../chacha20_amd64.go -pkg keystream
//go:generate go run -C _asm ./aesctr -out ../aesctr_amd64.s -stubs ../aesctr_amd64.go -pkg keystream

// ChaCha20 encrypts or decrypts b, of less than 256 GiB, in place: with nonce 0, and counter
// 0 for the first block. So a key must be used for one text only.
func ChaCha20(key *[32]byte, b []byte) { chacha20(key, b) }

// AES128CTR encrypts or decrypts b in place with AES-128 in counter mode. The first half of
// the initial counter block is counter, and the rest is 0, as in the data messages of
// versions 2 and 3. So a counter must be used for one text only.
func AES128CTR(key *[16]byte, counter uint64, b []byte) { aes128CTR(key, counter, b) }
