// Package secret erases what cryptographic code leaves behind, as far as this is possible in
// Go: the registers and the stack that it has used, when it returns, and the memory that it
// has allocated, when that is garbage. This includes the states of the standard library's
// ciphers and hashes, which cannot be reached otherwise.
//
// This requires a program built with GOEXPERIMENT=runtimesecret, on Linux on amd64 or arm64.
// In any other program, Do only calls its function.
package secret
