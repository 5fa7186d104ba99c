package identities

import (
	"os"
	"path/filepath"
	"testing"
)

// With --force the instance tag would replace the keys.
func TestKeysAndTheirTagAreNotExportedToOneFile(t *testing.T) {
	dir := t.TempDir()
	there, link, other := filepath.Join(dir, "there"), filepath.Join(dir, "link"), filepath.Join(dir, "other")
	for _, file := range []string{there, other} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Link(there, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{there, there, true},
		{there, link, true},
		{there, other, false},
		{filepath.Join(dir, "new"), dir + "/./new", true},
		{filepath.Join(dir, "new"), filepath.Join(dir, "newer"), false},
		{os.DevNull, os.DevNull, false},
		{"", "", false},
		{"-", "-", false},
	} {
		if got := isOneFile(test.a, test.b); got != test.want {
			t.Errorf("%s and %s are one file: %v", test.a, test.b, got)
		}
	}
}
