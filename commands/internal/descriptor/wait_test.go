//go:build unix

package descriptor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// blockingPipe returns a pipe whose ends are in blocking mode, as standard streams are,
// until a neighbour changes that.
func blockingPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe(fds[:]); err != nil {
		t.Fatal(err)
	}
	r, w = os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return r, w
}

func TestStreamsWaitThoughANeighbourMadeThemNonBlocking(t *testing.T) {
	r, w := blockingPipe(t)
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, unix.EAGAIN) {
		t.Fatalf("the file itself does not fail: %v", err)
	}
	sent := bytes.Repeat([]byte("more than a pipe holds "), 100_000)
	written := make(chan error, 1)
	go func() {
		time.Sleep(10 * time.Millisecond) // the reader finds nothing at first
		n, err := Stream{w}.Write(sent)
		if err == nil && n != len(sent) {
			err = io.ErrShortWrite
		}
		w.Close()
		written <- err
	}()
	var got []byte
	for buf := make([]byte, 4096); ; {
		n, err := Stream{r}.Read(buf)
		got = append(got, buf[:n]...)
		if len(got) < 1<<16 {
			time.Sleep(time.Millisecond) // and the writer a full pipe
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-written; err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d bytes came, %v", len(got), len(sent), err)
	}
}

func TestAStreamThatIsClosedBeforeTheWaitSaysSo(t *testing.T) {
	r, _ := blockingPipe(t)
	r.Close()
	if err := (Stream{r}).wait(unix.POLLIN); !errors.Is(err, os.ErrClosed) {
		t.Errorf("waiting ends with %v", err)
	}
}

func TestAStreamThatIsClosedIsNotWaitedFor(t *testing.T) {
	r, _ := blockingPipe(t)
	read := make(chan error, 1)
	go func() {
		_, err := Stream{r}.Read(make([]byte, 1))
		read <- err
	}()
	time.Sleep(10 * time.Millisecond)
	r.Close()
	select {
	case err := <-read:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("reading ends with %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("reading goes on")
	}
}
