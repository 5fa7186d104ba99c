package terminal

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"unicode/utf8"

	"golang.org/x/sys/windows"
)

// signalPause is how long, in milliseconds, a question takes to notice a signal, or that its
// answer is no longer needed.
const signalPause = 50

// The keys with a meaning in a question, besides those of the answer itself.
const (
	keyCtrlC     = 0x03
	keyBackspace = 0x08
	keyCtrlU     = 0x15
	keyCtrlZ     = 0x1a
)

// askOnTerminal asks for a secret on the console. The answer may be empty.
func askOnTerminal(stop <-chan struct{}, prompt string) ([]byte, error) {
	in, out, err := Open()
	if err != nil {
		return nil, ErrNoTerminal
	}
	defer in.Close()
	defer out.Close()
	c := &console{in: windows.Handle(in.Fd())}
	var mode uint32
	if err := windows.GetConsoleMode(c.in, &mode); err != nil {
		return nil, ErrNoTerminal
	}
	// Without this mode, keys that stand for no character are not reported at all.
	if err := windows.SetConsoleMode(c.in, mode&^(takenOff|takenOn)); err != nil {
		return nil, ErrNoTerminal
	}
	defer fmt.Fprintln(out)
	defer windows.SetConsoleMode(c.in, mode)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	fmt.Fprintf(out, "%s: ", prompt)
	answer := make([]byte, 0, maxLine)
	for {
		select {
		case <-stop:
			clear(answer)
			return nil, ErrStopped
		case s := <-signals:
			clear(answer)
			return nil, &Interrupted{s.(syscall.Signal)}
		default:
		}
		ready, _, err := c.wait(0, signalPause)
		if err == nil && !ready {
			continue
		}
		done := false
		if err == nil {
			answer, done, err = c.key(answer)
		}
		switch {
		case err != nil:
			clear(answer)
			return nil, err
		case done:
			return answer, nil
		}
	}
}

// key reads the entered keys and applies them to an answer.
func (c *console) key(answer []byte) (_ []byte, done bool, err error) {
	var typed [64]byte
	defer clear(typed[:])
	n, err := c.read(typed[:])
	if err != nil {
		return answer, false, err
	}
	for text := typed[:n]; len(text) > 0; {
		r, size := utf8.DecodeRune(text)
		switch r {
		case '\r', '\n':
			return answer, true, nil
		case keyCtrlC:
			return answer, false, &Interrupted{syscall.SIGINT}
		case keyCtrlZ:
			if len(answer) == 0 {
				return answer, true, nil
			}
		case keyBackspace:
			_, last := utf8.DecodeLastRune(answer)
			clear(answer[len(answer)-last:])
			answer = answer[:len(answer)-last]
		case keyCtrlU:
			clear(answer)
			answer = answer[:0]
		default:
			if len(answer)+size > maxLine {
				return answer, false, io.ErrShortBuffer
			}
			answer = append(answer, text[:size]...)
		}
		text = text[size:]
	}
	return answer, false, nil
}
