//go:build unix

package keyfile

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestAFileForOthersIsReplacedOnlyByForce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "otr.private_key")
	must(t, WriteFile(path, []byte("one"), false))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	wantError(t, WriteFile(path, []byte("two"), false), ErrExists)
	if got := content(t, path); got != "one" {
		t.Errorf("it holds %q", got)
	}
	must(t, os.Chmod(path, 0o644))
	must(t, WriteFile(path, []byte("two"), true))
	info, err = os.Stat(path)
	must(t, err)
	if got := content(t, path); got != "two" || info.Mode().Perm() != 0o600 {
		t.Errorf("it holds %q with mode %o", got, info.Mode().Perm())
	}
	if left := tree(t, dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
	wantError(t, WriteFile(dir, nil, true), ErrExists)
	wantError(t, WriteFile(filepath.Join(dir, "none", "x"), nil, true), os.ErrNotExist)
}

func TestWhereALinkLeadsIsWrittenTheLinkStays(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "target"), filepath.Join(dir, "link")
	must(t, os.WriteFile(target, []byte("one"), 0o600))
	must(t, os.Symlink(target, link))
	wantError(t, WriteFile(link, []byte("two"), false), ErrExists)
	must(t, WriteFile(link, []byte("two"), true))
	if got := content(t, target); got != "two" {
		t.Errorf("the target holds %q", got)
	}
	if _, err := os.Readlink(link); err != nil {
		t.Error(err)
	}
	dangling := filepath.Join(dir, "dangling")
	must(t, os.Symlink(filepath.Join(dir, "none"), dangling))
	wantError(t, WriteFile(dangling, []byte("two"), false), ErrExists)
}

func TestAPipeIsWrittenTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(path, 0o600))
	got := make(chan string)
	go func() {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		got <- string(b)
	}()
	must(t, WriteFile(path, []byte("text"), false))
	if text := <-got; text != "text" {
		t.Errorf("the pipe brought %q", text)
	}
}

func TestAFileFromOutsideIsReadWhateverItsRights(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o644: true, 0o640: true} {
		must(t, os.WriteFile(path, []byte("text"), 0o600))
		must(t, os.Chmod(path, mode))
		b, public, err := ReadOutside(path, 4)
		if string(b) != "text" || public != want || err != nil {
			t.Errorf("mode %o: %q, %v, %v", mode, b, public, err)
		}
	}
	_, _, err := ReadOutside(path, 3)
	wantError(t, err, ErrFormat)
	_, _, err = ReadOutside(path+"no", 3)
	wantError(t, err, os.ErrNotExist)
}

func TestWhatIsReadFromAPipeIsBounded(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	go func() {
		io.WriteString(w, "12345")
		w.Close()
	}()
	_, err = readBounded(r, "pipe", 4)
	wantError(t, err, ErrFormat)
}
