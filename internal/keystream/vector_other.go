//go:build !amd64 || purego

package keystream

func chacha20(key *[32]byte, b []byte) { chacha20Library(key, b) }
