// Package secret erases what cryptographic code leaves behind, as far as Go can: the
// registers and the stack that it has used when it returns, and what it has allocated once
// that is garbage. The states of the standard library's ciphers and hashes, which nobody
// else can reach, are gone that way too.
//
// It takes a program built with GOEXPERIMENT=runtimesecret, on Linux on amd64 or arm64.
// In any other, Do only calls its function.
package secret
