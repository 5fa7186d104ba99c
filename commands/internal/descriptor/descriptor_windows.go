package descriptor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// Check returns ErrNotGiven for all but the standard streams. Windows passes no others by
// number.
func Check(fd int) error {
	if fd < 0 || fd > 2 {
		return fmt.Errorf("file descriptor %d: %w (Windows hands over only the standard streams)", fd, ErrNotGiven)
	}
	return nil
}

// ReaderGone reports whether err, returned when writing to a pipe, means that the pipe has no
// reader any more.
func ReaderGone(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA) ||
		errors.Is(err, windows.ERROR_PIPE_NOT_CONNECTED)
}

// A Stream is a file whose Read and Write block, as all do on Windows.
type Stream struct{ File *os.File }

func (s Stream) Read(p []byte) (int, error) { return s.File.Read(p) }

func (s Stream) Write(p []byte) (int, error) { return s.File.Write(p) }

// Close closes the file.
func (s Stream) Close() error { return s.File.Close() }
