//go:build unix

package peers

import (
	"flag"
	"testing"
)

var networks = flag.Bool("networks", false, "run the tests with clients as people have them, on servers as they come, which take minutes")

// onNetworks skips a test that takes minutes unless it was asked for.
func onNetworks(t *testing.T) {
	t.Helper()
	if !*networks {
		t.Skip("runs with -networks")
	}
}
