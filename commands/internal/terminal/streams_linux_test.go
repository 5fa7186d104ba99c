package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal returns a new terminal and the end that its emulator holds.
func openTerminal(t *testing.T) (emulator, tty *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("needs /dev/ptmx")
	}
	emulator = os.NewFile(uintptr(fd), "emulator")
	t.Cleanup(func() { emulator.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	fd, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("needs /dev/pts")
	}
	tty = os.NewFile(uintptr(fd), "terminal")
	t.Cleanup(func() { tty.Close() })
	return emulator, tty
}

// The end of input that is typed is an end; the end of the terminal is none.
func TestAHangupIsNotTheEndOfInput(t *testing.T) {
	emulator, tty := openTerminal(t)
	in, out := NewReader(tty), Output(tty)
	if !in.Terminal() {
		t.Fatal("it is not seen to be a terminal")
	}
	if _, err := emulator.Write([]byte("line\n\x04")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	if n, err := in.Read(buf); err != nil || string(buf[:n]) != "line\n" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
	if _, err := in.Read(buf); err != io.EOF {
		t.Errorf("after Ctrl-D: %v", err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := in.Read(buf)
		read <- err
	}()
	emulator.Close()
	select {
	case err := <-read:
		if !errors.Is(err, ErrHangup) {
			t.Errorf("reading ends with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("reading goes on")
	}
	if _, err := in.Read(buf); !errors.Is(err, ErrHangup) { // the system says end of file now
		t.Errorf("reading again: %v", err)
	}
	if _, err := out.Write([]byte("x")); !errors.Is(err, ErrHangup) {
		t.Errorf("writing: %v", err)
	}
}
