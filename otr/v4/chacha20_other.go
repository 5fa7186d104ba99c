//go:build !amd64 || purego

package v4

// vectorSeal: chacha20 has vector code itself, or chacha20poly1305 has none either.
const vectorSeal = false
