package terminal

import (
	"os"
	"path/filepath"
	"testing"
)

func TestQuietAndVerboseSayHowMuchIsPrinted(t *testing.T) {
	for _, test := range []struct {
		quiet, verbose bool
		want           string
	}{
		{false, false, "p: note 1\np: warning\np: hint: do it\n"},
		{true, false, ""},
		{false, true, "p: note 1\np: detail\np: warning\np: hint: do it\n"},
	} {
		f, err := os.Create(filepath.Join(t.TempDir(), "messages"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		s := NewIO("p", f, f, f)
		s.Quiet, s.Verbose = test.quiet, test.verbose
		s.Note("note %d", 1)
		s.Detail("detail")
		s.Warn("warning")
		s.Advise("do %s", "it")
		if !s.Confirm("really?") {
			t.Error("a file was asked")
		}
		if got, err := os.ReadFile(f.Name()); err != nil || string(got) != test.want {
			t.Errorf("%+v: printed %q, %v; want %q", test, got, err, test.want)
		}
	}
}
