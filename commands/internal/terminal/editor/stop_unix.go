//go:build unix

package editor

import (
	"os"
	"os/signal"
	"syscall"
)

// watchTerminal sends to signals when the terminal's size changes and when the process continues
// after a stop.
func watchTerminal(signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
}

// isContinued reports whether a signal means that the process has been continued.
func isContinued(s os.Signal) bool { return s == syscall.SIGCONT }

// stopGroup stops all processes of our group, as Ctrl-Z does in a shell, and reports whether
// that is possible at all.
func stopGroup() bool { return syscall.Kill(0, syscall.SIGTSTP) == nil }
