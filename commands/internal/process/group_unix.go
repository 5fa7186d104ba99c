//go:build unix

package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// start shields the process from the terminal's signals, because the end of the session still
// has to pass through it. In its own process group they do not reach it. But if we are in the
// terminal's foreground, the process must be there too so that it can ask for a password; then
// it ignores those signals instead.
func (c *Command) start() error {
	if !inForeground() {
		c.group = true
		c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		return c.cmd.Start()
	}
	return startDeaf(c.cmd.Start)
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

// Sweep ends the processes that COMMAND has left behind. It is for a transport, whose leftover
// processes are useless after the end; an application may have started processes that are meant
// to stay. In the foreground they cannot be told from the other processes of our group, and stay.
func (c *Command) Sweep() {
	if c.group {
		_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGTERM)
	}
}

// Signal sends a signal to COMMAND and to the processes in its group.
func (c *Command) Signal(s syscall.Signal) {
	if c.group {
		_ = syscall.Kill(-c.cmd.Process.Pid, s)
		return
	}
	_ = c.cmd.Process.Signal(s)
}
