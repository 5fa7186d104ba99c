package smp

import "testing"

// BenchmarkRun is one whole run, both sides.
func BenchmarkRun(b *testing.B) {
	alice, bob := newAlice(), newBob()
	for b.Loop() {
		runBetween(b, alice, bob, "our secret", "our secret", Succeeded)
	}
}
