//go:build unix

package editor

import (
	"os"
	"os/signal"
	"syscall"
)

// watchTerminal has signals told when the terminal has another size, and when the process
// goes on after it was stopped.
func watchTerminal(signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGWINCH, syscall.SIGCONT)
}

// isContinued reports whether a signal says that the process goes on.
func isContinued(s os.Signal) bool { return s == syscall.SIGCONT }

// stopGroup stops all processes of our group, as the key does in a shell, and reports whether
// that is possible at all.
func stopGroup() bool { return syscall.Kill(0, syscall.SIGTSTP) == nil }
