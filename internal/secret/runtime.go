//go:build goexperiment.runtimesecret

package secret

import "runtime/secret"

// Do calls f. What f leaves on its stack and in registers is erased, and its garbage when
// it is collected. Goroutines that f begins are not covered.
func Do(f func()) { secret.Do(f) }

// Enabled reports whether Do erases anything in this build.
const Enabled = true
