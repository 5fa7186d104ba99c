package terminal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMessagesIntoAFileAreLinesWithoutColour(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "err"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewPrinter(f, "otrpipe")
	p.Error("it failed")
	p.Hint("do this")
	p.Warning("beware")
	p.Note("a peer says \nhello \x1b]0;owned\a\x9b \u202e")
	got, _ := os.ReadFile(f.Name())
	want := "otrpipe: it failed\notrpipe: hint: do this\notrpipe: beware\notrpipe: a peer says \\nhello \\x1b]0;owned\\a\\x9b \\u202e\n"
	if string(got) != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestNumbersOfBytesAreForPeople(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 999: "999 B", 1000: "1.0 kB", 1499: "1.5 kB", 999_949: "999.9 kB", 999_950: "1.0 MB",
		1_500_000: "1.5 MB", 3_000_000_000: "3.0 GB", 1 << 62: "4.6 EB",
	} {
		if got := Size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestMessagesGoThroughWhoSharesTheirTerminal(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p := NewPrinter(f, "otrpipe")
	var shared strings.Builder
	p.Note("here")
	p.Through(&shared)
	p.Note("there")
	if got, _ := os.ReadFile(f.Name()); string(got) != "otrpipe: here\n" || shared.String() != "otrpipe: there\n" {
		t.Errorf("%q and %q", got, shared.String())
	}
}
