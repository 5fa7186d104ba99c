//go:build unix

package peers

import (
	"encoding/hex"
	"testing"
)

// Both ends have the same extra symmetric key, whoever wants to use it.
func TestExtraKeyAgreesWithLibotr(t *testing.T) {
	long(t)
	t.Parallel()
	k := newTalk(t, newOurs(t, "3", 0, 0), start(t, libotr, "--versions", "3"))
	k.send(0, k.ends[0].Query())
	k.settle()
	k.mustBeSecure("3")
	seen := map[string]bool{}
	for n := range 6 {
		i := n % 2
		k.send(i, k.ends[i].ExtraKey(0x100, "file: x"))
		k.settle()
		used, ok := k.find(i, "extra_key_sent")
		got, ok2 := k.find(1-i, "extra_key")
		if !ok || !ok2 || used.Key != got.Key || len(got.Key) != 64 {
			t.Fatalf("%s's key %q is not %s's key %q", k.ends[i].Name(), used.Key, k.ends[1-i].Name(), got.Key)
		}
		if got.Use != 0x100 || got.Data != hex.EncodeToString([]byte("file: x")) {
			t.Fatalf("arrived: %+v", got)
		}
		seen[got.Key] = true
		k.greet() // so that the keys move on
	}
	if len(seen) != 6 {
		t.Errorf("%d keys in 6 uses", len(seen))
	}
}
