//go:build unix

package closed

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrInput is the error of reading a standard input that was closed when the program started.
const ErrInput = unix.EBADF

// Restore makes a standard input or output that the caller had closed fail again. In streams, bit n
// is set if descriptor n was closed when the program started. The Go runtime opens /dev/null in its
// place before the program begins, so that output would be lost, and an input found empty, without
// an error. After Restore, reading such an input is ErrInput, and writing such an output is EPIPE,
// as when the reader of a pipe has gone. A closed standard error stays /dev/null, because nobody
// would read an error.
func Restore(streams uint) error {
	if streams&(1<<unix.Stdin) != 0 {
		if err := restoreInput(); err != nil {
			return fmt.Errorf("closed: standard input: %w", err)
		}
	}
	if streams&(1<<unix.Stdout) != 0 {
		if err := restoreOutput(); err != nil {
			return fmt.Errorf("closed: standard output: %w", err)
		}
	}
	return nil
}

// restoreInput replaces standard input by a file that cannot be read. Leaving the descriptor
// closed would give its number to the next file that is opened.
func restoreInput() error {
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return replace(unix.Stdin, f)
}

// restoreOutput replaces standard output by a pipe without a reader.
func restoreOutput() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	r.Close()
	return replace(unix.Stdout, w)
}

// replace makes fd a second descriptor of f, in blocking mode like any standard stream.
func replace(fd int, f *os.File) error {
	// Fd puts the file into blocking mode.
	source := int(f.Fd())
	if err := dup2(source, fd); err != nil {
		return os.NewSyscallError("dup2", err)
	}
	return nil
}
