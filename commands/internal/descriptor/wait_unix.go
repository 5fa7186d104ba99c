//go:build unix

package descriptor

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// waitStep bounds one wait for a descriptor, so that a reader notices when its file has been
// closed.
const waitStep = time.Second

// A Stream is a file whose Read and Write block, whatever mode its descriptor is in. A process
// that shares the descriptor, such as a transport, can make it non-blocking at any time; reads
// and writes of the plain file would then fail with EAGAIN.
type Stream struct{ File *os.File }

func (s Stream) Read(p []byte) (int, error) {
	for {
		n, err := s.File.Read(p)
		if n > 0 || !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		if err := s.wait(false); err != nil {
			return 0, err
		}
	}
}

func (s Stream) Write(p []byte) (n int, err error) {
	for {
		m, err := s.File.Write(p[n:])
		n += m
		if !errors.Is(err, syscall.EAGAIN) {
			return n, err
		}
		if err := s.wait(true); err != nil {
			return n, err
		}
	}
}

// Close closes the file.
func (s Stream) Close() error { return s.File.Close() }

// wait waits until the descriptor can be read, or written if write is set, or for waitStep. If the
// file is closed, the error is os.ErrClosed.
func (s Stream) wait(write bool) error {
	conn, err := s.File.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		_, failed = Await(waitStep, write, int(fd))
	})
	if err != nil {
		return os.ErrClosed // Control fails for no other reason, but with an error of its own
	}
	if errors.Is(failed, unix.EINTR) {
		return nil
	}
	return failed
}
