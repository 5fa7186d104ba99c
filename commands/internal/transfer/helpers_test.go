package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

var errCut = errors.New("the line was cut")

// A line is one direction between two ends: it holds a bounded number of bytes, and may be
// cut when a number of bytes has passed.
type line struct {
	mu      sync.Mutex
	changed *sync.Cond
	held    bytes.Buffer
	passed  int
	cutAt   int // -1: never
	ended   bool
	broken  bool
}

const lineRoom = 1 << 20

func newLine(cutAt int) *line {
	l := &line{cutAt: cutAt}
	l.changed = sync.NewCond(&l.mu)
	return l
}

func (l *line) Write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(p) > 0 {
		for l.held.Len() >= lineRoom && !l.broken {
			l.changed.Wait()
		}
		if l.broken || l.ended {
			return n, errCut
		}
		m := min(len(p), lineRoom-l.held.Len())
		if l.cutAt >= 0 {
			m = min(m, l.cutAt-l.passed)
		}
		l.held.Write(p[:m])
		n += m
		p = p[m:]
		if l.passed += m; l.passed == l.cutAt && len(p) > 0 {
			l.broken = true
		}
		l.changed.Broadcast()
	}
	return n, nil
}

func (l *line) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held.Len() == 0 && !l.broken && !l.ended {
		l.changed.Wait()
	}
	switch {
	case l.held.Len() > 0:
		n, err := l.held.Read(p)
		l.changed.Broadcast()
		return n, err
	case l.broken:
		return 0, errCut
	}
	return 0, io.EOF
}

func (l *line) stop(broken bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.broken = true, l.broken || broken
	l.changed.Broadcast()
}

// A side is a Link over two lines.
type side struct {
	in, out *line
}

func (s *side) Read(p []byte) (int, error) {
	n, err := s.in.Read(p)
	if err == errCut {
		s.out.stop(true)
	}
	return n, err
}

func (s *side) Write(p []byte) (int, error) {
	n, err := s.out.Write(p)
	if err == errCut {
		s.in.stop(true)
	}
	return n, err
}

func (s *side) CloseWrite() error {
	s.out.stop(false)
	return nil
}

// connect returns two ends of a stream that is cut after so many bytes of either
// direction; -1: it is not.
func connect(cutSent, cutReceived int) (sender, receiver *side) {
	there, back := newLine(cutSent), newLine(cutReceived)
	return &side{back, there}, &side{there, back}
}

// An outcome is what both ends of a transfer came to.
type outcome struct {
	sent, received       []Done
	sendErr, receiveErr  error
	aside, kept          []string
	toReceiver, toSender int // bytes
}

// A trial is a transfer to be run.
type trial struct {
	items     []*Item
	dir       string
	cutSent   int
	cutBack   int
	configure func(*receiver)
}

func (tr trial) run(t testing.TB) outcome {
	t.Helper()
	root, err := os.OpenRoot(tr.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var o outcome
	sending, receiving := connect(tr.cutSent, tr.cutBack)
	r := newReceiver(receiving, ReceiveConfig{
		Dir: root, Progress: func(string, int64, int64) {},
		KeptAside: func(_, aside string) { o.aside = append(o.aside, aside) },
		Kept:      func(name string, n int64) { o.kept = append(o.kept, fmt.Sprint(name, " ", n)) },
	})
	if tr.configure != nil {
		tr.configure(r)
	}
	finished := make(chan struct{})
	go func() {
		o.received, o.receiveErr = r.receive()
		if o.receiveErr != nil {
			receiving.out.stop(errors.Is(o.receiveErr, errCut))
		}
		close(finished)
	}()
	o.sent, o.sendErr = Send(sending, tr.items, func(string, int64, int64) {})
	select {
	case <-finished:
	case <-time.After(time.Minute):
		t.Fatal("the receiver does not finish")
	}
	o.toReceiver, o.toSender = sending.out.passed, receiving.out.passed
	return o
}

// uncut is a transfer over a line that holds.
func uncut(dir string, items ...*Item) trial {
	return trial{items: items, dir: dir, cutSent: -1, cutBack: -1}
}

func item(t testing.TB, name, file string) *Item {
	t.Helper()
	it, err := NewItem(name, file)
	if err != nil {
		t.Fatal(err)
	}
	return it
}

func write(t testing.TB, file, text string, mode fs.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	modified := time.Unix(1_700_000_000+int64(len(text)), 0)
	if err := os.Chtimes(file, modified, modified); err != nil {
		t.Fatal(err)
	}
	return file
}

// tree describes all that is in a folder.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		inside, _ := filepath.Rel(dir, name)
		switch {
		case d.IsDir():
			all[inside] = "folder"
		case info.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(name)
			all[inside] = "link to " + target
		default:
			text, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			all[inside] = fmt.Sprint(info.ModTime().Unix(), isExecutable(info.Mode()), string(text))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
