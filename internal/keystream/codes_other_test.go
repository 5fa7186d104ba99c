//go:build !amd64 || purego

package keystream

func codes() []code { return []code{{"library", false, func() func() { return func() {} }}} }
