// Package terminal handles the person at the keyboard: it asks for secrets without echo, shows
// colour and progress only on a terminal, and makes a peer's text harmless before a terminal
// sees it.
package terminal

import (
	"errors"
	"io"
	"os"

	"golang.org/x/term"

	"otrpipe/commands/internal/descriptor"
)

// ErrWoken says that Keys.Wake has ended a wait.
var ErrWoken = errors.New("terminal: woken")

// Is reports whether f is a terminal.
func Is(f *os.File) bool {
	if f == nil {
		return false
	}
	conn, err := f.SyscallConn() // Fd would put the file into blocking mode
	if err != nil {
		return false
	}
	is := false
	err = conn.Control(func(fd uintptr) { is = term.IsTerminal(int(fd)) })
	return err == nil && is
}

// Text returns a writer for the program's own text, which is UTF-8: f itself or, if f is a
// terminal, one that converts to the terminal's charset.
func Text(f *os.File) io.Writer {
	if Is(f) {
		return Locale().Writer(descriptor.Stream{File: f})
	}
	return descriptor.Stream{File: f}
}

// HasBlocks reports whether text written to f may contain the half blocks that draw QR codes.
func HasBlocks(f *os.File) bool {
	const blocks = "█▀▄"
	return !Is(f) || Locale().Shown(blocks) == blocks
}

// Colour reports whether text written to f may be coloured: f must be a terminal that supports
// it, and NO_COLOR (https://no-color.org) must not be set.
func Colour(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(f)
}
