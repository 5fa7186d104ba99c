//go:build unix

package files

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/exit"
)

func TestNoFileIsReplacedUnasked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "copy")
	w := Writer{}
	for _, text := range []string{"first", "second"} {
		checked := w.Check(path)
		_, err := w.Write(path, []byte(text))
		if refused := text == "second"; refused != (checked != nil) || refused != (err != nil) {
			t.Errorf("%s: %v, %v", text, checked, err)
		} else if refused && (exit.As(err).Code != exit.KeyFile || exit.As(err).Hint != hintReplace || exit.As(checked).Hint != hintReplace) {
			t.Errorf("refused with %+v and %+v", checked, err)
		}
	}
	if got, _ := os.ReadFile(path); string(got) != "first" {
		t.Errorf("the file has %q", got)
	}
	w.Replace = true
	if err := w.Check(path); err != nil {
		t.Error(err)
	}
	if _, err := w.Write(path, []byte("third")); err != nil {
		t.Error(err)
	}
	if got, _ := os.ReadFile(path); string(got) != "third" {
		t.Errorf("replaced, the file has %q", got)
	}
}

func TestADashIsAStandardStream(t *testing.T) {
	var out bytes.Buffer
	w := Writer{Standard: &out}
	for _, path := range []string{"-", ""} {
		if err := w.Check(path); err != nil {
			t.Error(err)
		}
		if _, err := w.Write(path, []byte("text")); err != nil {
			t.Error(err)
		}
	}
	if out.String() != "texttext" {
		t.Errorf("standard output has %q", out.String())
	}
}

func TestAFileIsReadUpToItsLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if b, public, err := Read(path, 5); err != nil || public || string(b) != "12345" {
		t.Errorf("%q, %v, %v", b, public, err)
	}
	if b, _, err := Read(path, 4); err == nil {
		t.Errorf("longer than its limit: %q", b)
	}
	if _, _, err := Read(path+"x", 5); err == nil || exit.As(err).Code != exit.KeyFile {
		t.Errorf("a missing file: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, public, err := Read(path, 5); err != nil || !public {
		t.Errorf("readable by others: %v, %v", public, err)
	}
}

// Of what is not written whole, the caller learns how much was.
func TestAnUnwritableOutputTellsHowMuchItHasTaken(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	written, err := Writer{Standard: w}.Write("-", []byte("text"))
	if e := exit.As(err); written != 0 || e.Code != 128+int(syscall.SIGPIPE) || e.Error() != "writing the output: broken pipe" {
		t.Errorf("a pipe without a reader: %d bytes, %d: %v", written, e.Code, e)
	}
	written, err = Writer{Standard: brief(3)}.Write("", []byte("text"))
	if e := exit.As(err); written != 3 || e.Code != exit.Failure || e.Error() != "writing the output: no space left" {
		t.Errorf("a full disk: %d bytes, %d: %v", written, e.Code, e)
	}

	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		f, err := os.Open(fifo)
		if err == nil {
			_, err = io.ReadFull(f, make([]byte, 10))
			f.Close()
		}
		read <- err
	}()
	all := make([]byte, 1<<20) // more than a pipe holds
	if written, err = (Writer{}).Write(fifo, all); err == nil || written < 10 || written >= len(all) {
		t.Errorf("a named pipe whose reader leaves: %d bytes, %v", written, err)
	}
	if err := <-read; err != nil {
		t.Error(err)
	}
}

// brief is an output that takes so many bytes.
type brief int

func (b brief) Write(p []byte) (int, error) {
	return int(b), &fs.PathError{Op: "write", Path: "/dev/stdout", Err: errors.New("no space left")}
}
