//go:build unix

package editor

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"

	"otrpipe/commands/internal/terminal"
)

// A seat is a terminal that a Console holds, and what it has shown so far.
type seat struct {
	*Console
	t       *testing.T
	control *os.File
	mu      sync.Mutex
	shown   []byte
}

func sitAt(t *testing.T, locale string) *seat {
	t.Helper()
	control, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	c, err := open(tty, tty, terminal.CharsetOf(locale))
	if err != nil {
		t.Fatal(err)
	}
	s := &seat{Console: c, t: t, control: control}
	read := make(chan struct{})
	go func() {
		defer close(read)
		var buf [4096]byte
		for {
			n, err := control.Read(buf[:])
			s.mu.Lock()
			s.shown = append(s.shown, buf[:n]...)
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		c.Close()
		tty.Close()
		control.Close()
		<-read
	})
	return s
}

func (s *seat) types(keys string) {
	s.t.Helper()
	if _, err := s.control.WriteString(keys); err != nil {
		s.t.Fatal(err)
	}
}

// sees waits until the terminal has shown some bytes.
func (s *seat) sees(want string) {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		seen, all := bytes.Contains(s.shown, []byte(want)), string(s.shown)
		s.mu.Unlock()
		if seen {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%q was not shown: %q", want, all)
		}
	}
}

func TestATerminalThatIsNotUTF8IsReadAndShownInItsEncoding(t *testing.T) {
	s := sitAt(t, "de_DE.ISO-8859-15")
	s.SetPrompt("[J\u00f6rg\u2026] ")
	entered := make(chan string, 1)
	go func() {
		line, err := s.ReadLine()
		if err != nil {
			t.Error(err)
		}
		entered <- line
	}()
	s.types("K\xf6ln 5 \xa4")
	s.sees("[J\xf6rg...] K\xf6ln 5 \xa4")
	s.types("\r")
	if line := <-entered; line != "Köln 5 €" {
		t.Errorf("read %q", line)
	}
	s.Message("bob: ", "Stra\u00dfe 你")
	s.sees("bob: Stra\xdfe ?")
	s.types("s\xf6\r")
	secret, err := s.ReadSecret("secret: ")
	if string(secret) != "sö" || err != nil {
		t.Errorf("read the secret %q, %v", secret, err)
	}
}

// What cannot be read is told, and never left out in silence.
func TestWhatIsNotOfTheTerminalsEncodingIsToldAndLeftOut(t *testing.T) {
	s := sitAt(t, "de_DE.UTF-8")
	s.types("K\xf6ln\xe4!\r")
	line, err := s.ReadLine()
	if line != "Kln!" || err != nil {
		t.Errorf("read %q, %v", line, err)
	}
	s.sees("What this key sends is not UTF-8, so it was left out.")
	s.mu.Lock()
	if n := strings.Count(string(s.shown), "not UTF-8"); n != 1 {
		t.Errorf("told %d times for one line", n)
	}
	s.shown = nil
	s.mu.Unlock()
	s.types(pasteBegin + "K\xf6ln" + pasteEnd + "x\r")
	if line, err := s.ReadLine(); line != "x" || err != nil {
		t.Errorf("read %q, %v", line, err)
	}
	s.sees("The pasted text is not UTF-8")
	s.mu.Lock()
	s.shown = nil
	s.mu.Unlock()
	s.types("s\xf6\r")
	secret, err := s.ReadSecret("secret: ")
	if string(secret) != "s" || err != nil {
		t.Errorf("read the secret %q, %v", secret, err)
	}
	s.sees("What this key sends is not UTF-8")
}
