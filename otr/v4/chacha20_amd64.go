//go:build amd64 && !purego

package v4

import "golang.org/x/sys/cpu"

// vectorSeal says that chacha20poly1305's Seal is quicker than chacha20.
var vectorSeal = cpu.X86.HasSSSE3 && cpu.X86.HasAVX2 && cpu.X86.HasBMI2
