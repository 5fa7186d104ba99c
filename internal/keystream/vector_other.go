//go:build !amd64 || purego

package keystream

func chacha20(key *[32]byte, b []byte) { chacha20Library(key, b) }

func aes128CTR(key *[16]byte, counter uint64, b []byte) { aes128CTRLibrary(key, counter, b) }
