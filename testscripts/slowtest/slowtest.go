// Package slowtest marks the tests that take long by nature. go test runs them; scripts/test leaves
// them out unless it is called with --all.
package slowtest

import (
	"os"
	"testing"
)

// variable is the environment variable that scripts/test sets to "no" to leave slow tests out.
const variable = "OTRPIPE_SLOW_TESTS"

// Reason is why a slow test is skipped, and how to run it.
const Reason = "slow: scripts/test --all runs it"

// LeftOut reports whether slow tests are left out.
func LeftOut() bool { return os.Getenv(variable) == "no" }

// Skip skips a slow test where those are left out.
func Skip(t testing.TB) {
	t.Helper()
	if LeftOut() {
		t.Skip(Reason)
	}
}

// SkipUnless skips a case of a table where slow tests are left out, unless it is one of those
// that remain.
func SkipUnless(t testing.TB, remains bool) {
	t.Helper()
	if !remains {
		Skip(t)
	}
}
