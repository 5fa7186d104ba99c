package slowtest

import "testing"

// SkipShort skips a test that costs more than a quick look is worth: with -short the tests of the
// whole module take half a minute. Everything else runs it.
func SkipShort(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: takes long")
	}
}
