//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// start starts the process so that what interrupts us does not interrupt it:
// the end of the session still has to pass through it. In a process group of
// its own the terminal's signals do not reach it. But where we are in the
// terminal's foreground it has to be there too, or it could not ask for a
// password; then it ignores those signals instead.
func (c *Command) start(w *SignalWatch) error {
	if !inForeground() {
		c.group = true
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return c.cmd.Start()
	}
	return w.startDeaf(c.cmd.Start)
}

// inForeground reports whether we have a terminal and are in its foreground.
func inForeground() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	front, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	if err != nil {
		return false
	}
	own, err := unix.Getpgid(0)
	return err == nil && front == own
}

// Sweep ends what COMMAND has started and left behind. It is for a transport,
// of which no part is good for anything after the end; an application may have
// started what is to stay.
func (c *Command) Sweep() {
	if c.group {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	}
}

// Signal sends a signal to COMMAND, and to what it has started where that is
// in a group with it.
func (c *Command) Signal(s syscall.Signal) {
	if c.group {
		_ = syscall.Kill(-c.cmd.Process.Pid, s)
		return
	}
	_ = c.cmd.Process.Signal(s)
}
