//go:build unix

package editor

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestATerminalThatTakesNoOutputHoldsUpOnlyThosePrinting changes all that the owner of a session
// changes, and closes the console, while nobody reads the terminal.
func TestATerminalThatTakesNoOutputHoldsUpOnlyThosePrinting(t *testing.T) {
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer person.Close()
	if err := pty.Setsize(person, &pty.Winsize{Cols: 40, Rows: 6}); err != nil {
		t.Fatal(err)
	}
	console, err := Open(program, program)
	if err != nil {
		t.Fatal(err)
	}
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		console.Message("bob: ", strings.Repeat("a long message\n", 10000))
	}()
	if _, err := io.ReadFull(person, make([]byte, 100)); err != nil { // now it is being written
		t.Fatal(err)
	}
	within := func(what string, do func()) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			do()
		}()
		select {
		case <-done:
		case <-time.After(patience):
			t.Fatal(what + " waits for the terminal")
		}
	}
	within("a prompt", func() {
		console.SetPrompt("[bob] ")
		console.Hold("[cut] ")
		console.Release()
		console.Bell()
	})
	done := begin(console.ReadLine)
	if _, err := io.WriteString(person, "typed\r"); err != nil {
		t.Fatal(err)
	}
	within("a key", func() {
		if got := <-done; got.text != "typed" || got.err != nil {
			t.Errorf("read %q, %v", got.text, got.err)
		}
	})
	select {
	case <-printed:
		t.Error("a message does not wait for the terminal")
	default:
	}
	within("Close", console.Close)

	// The terminal goes on.
	d := newDisplay(40, 6)
	go func() { _, _ = io.Copy(d, person) }()
	within("a message", func() { <-printed })
	if _, err := io.WriteString(console, "the last word\n"); err != nil {
		t.Fatal(err)
	}
	program.Close()
	for deadline := time.Now().Add(patience); !strings.HasSuffix(d.text(), "a long message\n\nthe last word\n‸"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the screen shows\n%s", d.text())
		}
	}
}

// TestALineThatChangesOftenIsDrawnOnceTheTerminalTakesIt counts what is written for a thousand
// prompts while the terminal takes no output.
func TestALineThatChangesOftenIsDrawnOnceTheTerminalTakesIt(t *testing.T) {
	d := newDesk(t, 40, 6)
	d.console.SetPrompt("[bob] ")
	d.shows("[bob] ‸")
	d.display.mu.Lock() // it takes no more
	go d.console.Message("", strings.Repeat("a long message\n", 10000))
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		d.console.mu.Lock()
		busy := d.console.output.unwritten > maxUnwritten
		d.console.mu.Unlock()
		if busy {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no message is being written")
		}
	}
	before := d.console.output.unwritten
	for range 1000 {
		d.console.SetPrompt("[bob verified] ")
		d.console.SetPrompt("[bob known] ")
	}
	d.console.mu.Lock()
	grown := d.console.output.unwritten - before
	d.console.mu.Unlock()
	if grown > 0 {
		t.Errorf("%d bytes wait for the terminal", grown)
	}
	d.display.mu.Unlock()
	d.shows("a long message\na long message\na long message\na long message\n\n[bob known] ‸")
}
