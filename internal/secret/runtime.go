//go:build goexperiment.runtimesecret

package secret

import "runtime/secret"

// Do calls f, and then erases what f left on its stack and in registers. Memory that f
// allocated is erased when it is collected. Goroutines that f starts are not covered.
func Do(f func()) { secret.Do(f) }

// Enabled reports whether Do erases anything in this build.
const Enabled = true
