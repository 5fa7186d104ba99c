//go:build unix

package terminal

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fullPipe returns a pipe that nobody reads and that takes no more.
func fullPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	conn, err := w.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = conn.Control(func(fd uintptr) {
		for {
			if _, err := unix.Write(int(fd), []byte("x")); err != nil {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func TestAStandardErrorThatNobodyReadsHoldsUpNobody(t *testing.T) {
	r, w := fullPipe(t)
	p := NewPrinter(w, "otrpipe")
	const all = 2 * maxQueued
	begun := time.Now()
	for i := range all {
		p.Note(fmt.Sprintf("message %d", i))
	}
	p.Flush(time.Millisecond)
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("it took %v", took)
	}
	// As soon as somebody reads, what is there comes in order, and how much is not there.
	lines := make(chan string)
	go func() {
		in := bufio.NewReader(r)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				close(lines)
				return
			}
			lines <- strings.TrimLeft(line, "x")
		}
	}()
	told, dropped := 0, 0
	for told+dropped < all {
		line := <-lines
		n := 0
		if _, err := fmt.Sscanf(line, "otrpipe: %d messages were left out", &n); err == nil {
			dropped += n
			continue
		}
		if want := fmt.Sprintf("otrpipe: message %d\n", told+dropped); line != want {
			t.Fatalf("read %q, not %q", line, want)
		}
		told++
	}
	if told < maxQueued || dropped == 0 {
		t.Errorf("%d messages came and %d were left out", told, dropped)
	}
	p.Note("the last")
	if line := <-lines; line != "otrpipe: the last\n" {
		t.Errorf("afterwards came %q", line)
	}
	w.Close()
	for range lines {
	}
}
