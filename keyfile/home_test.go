package keyfile

import (
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheDefaultHomeFollowsTheEnvironmentAndThePasswordFile(t *testing.T) {
	account, err := user.Current()
	must(t, err)
	for _, test := range []struct{ home, data, want string }{
		{"/somewhere", "", "/somewhere/"},
		{"/somewhere", "/data", "/data/otrpipe"},
		{"relative", "/data", "/data/otrpipe"},
		{"/somewhere", "relative", "/somewhere/"},
		{"", "", account.HomeDir + "/"},
		{"", "/data", "/data/otrpipe"},
	} {
		t.Setenv("HOME", test.home)
		t.Setenv("XDG_DATA_HOME", test.data)
		h := OpenDefault("otrpipe")
		if got := h.Dir(); h.err != nil || !strings.HasPrefix(got, test.want) || filepath.Base(got) != "otrpipe" {
			t.Errorf("HOME=%s XDG_DATA_HOME=%s: %q, %v; want %s", test.home, test.data, got, h.err, test.want)
		}
	}
}

func TestARelativeHomeIsRefusedWhereverItIsUsed(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOME", "relative")
	t.Setenv("XDG_DATA_HOME", "")
	h := OpenDefault("otrpipe")
	_, err := h.Identity("default", nil)
	wantError(t, err, ErrHome)
	_, err = h.Contacts()
	wantError(t, err, ErrHome)
	_, err = h.Publics()
	wantError(t, err, ErrHome)
	wantError(t, h.RememberKey("bob", fingerprintOf(1), Seen, someday), ErrHome)
	if entries, err := os.ReadDir("."); err != nil || len(entries) > 0 {
		t.Errorf("the folder has %v, %v", entries, err)
	}
}
