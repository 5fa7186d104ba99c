// Package terminal is what the program knows about the person at the
// keyboard: secrets asked for on the terminal and never echoed, colour and
// progress only where a terminal shows them, and a peer's text made harmless
// before a terminal sees it.
package terminal

import (
	"os"

	"golang.org/x/term"
)

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

// Colour reports whether text written to f may be coloured: f is a terminal
// that can show it, and NO_COLOR (https://no-color.org) is not set.
func Colour(f *os.File) bool {
	return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && Is(f)
}
