//go:build unix

package descriptor

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
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
	if err := (Stream{r}).wait(false); !errors.Is(err, os.ErrClosed) {
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

func TestAwaitTellsWhichDescriptorsAreReady(t *testing.T) {
	for _, from := range []int{3, 2000} { // with select, and with poll
		var empty, full [2]int
		for _, pair := range []*[2]int{&empty, &full} {
			r, w := blockingPipe(t)
			for i, f := range []*os.File{r, w} {
				var err error
				if pair[i], err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, from); err != nil {
					t.Skipf("the limit is too low: %v", err)
				}
				defer func() { unix.Close(pair[i]) }()
				f.Close()
			}
			if err := unix.SetNonblock(pair[1], true); err != nil {
				t.Fatal(err)
			}
		}
		for err := error(nil); err == nil; {
			_, err = unix.Write(full[1], make([]byte, 4096))
		}
		for _, test := range []struct {
			name  string
			write bool
			fds   []int
			want  []bool
		}{
			{"to read", false, []int{empty[0], full[0]}, []bool{false, true}},
			{"to write", true, []int{empty[1], full[1]}, []bool{true, false}},
		} {
			for _, limit := range []time.Duration{Forever, 0, time.Hour} {
				if got, err := Await(limit, test.write, test.fds...); err != nil || !slices.Equal(got, test.want) {
					t.Errorf("%s, from %d on, with limit %v: %v, %v", test.name, from, limit, got, err)
				}
			}
		}
		begun := time.Now()
		if got, err := Await(20*time.Millisecond, false, empty[0]); err != nil && err != unix.EINTR || err == nil && got[0] || time.Since(begun) < 10*time.Millisecond && err == nil {
			t.Errorf("an empty pipe, from %d on: %v, %v after %v", from, got, err, time.Since(begun))
		}
		unix.Close(empty[1])
		empty[1] = -1
		if got, err := Await(Forever, false, empty[0]); err != nil || !got[0] {
			t.Errorf("at its end, from %d on: %v, %v", from, got, err)
		}
	}
}
