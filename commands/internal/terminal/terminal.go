// Package terminal is what the program knows about the person at the
// keyboard: secrets asked for on the terminal and never echoed, colour and
// progress only where a terminal shows them, and a peer's text made harmless
// before a terminal sees it.
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

// Text returns where the program's own text, which is UTF-8, is written for the reader of
// f: f itself, or, where f is a terminal, what writes it in the terminal's charset.
func Text(f *os.File) io.Writer {
	if Is(f) {
		return Locale().Writer(descriptor.Stream{File: f})
	}
	return descriptor.Stream{File: f}
}

// HasBlocks reports whether text written to f may have the half blocks that QR codes are
// drawn with.
func HasBlocks(f *os.File) bool {
	const blocks = "█▀▄"
	return !Is(f) || Locale().Shown(blocks) == blocks
}

// Colour reports whether text written to f may be coloured: f is a terminal
// that can show it, and NO_COLOR (https://no-color.org) is not set.
func Colour(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(f)
}
