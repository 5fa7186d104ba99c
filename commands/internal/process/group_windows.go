package process

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// start shields the process from Ctrl-C in our console, because the end of the session still has
// to pass through it.
func (c *Command) start() error {
	c.cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	return c.cmd.Start()
}

// Sweep would end the processes that COMMAND has left behind, but Windows does not tell which
// they are.
func (c *Command) Sweep() {}

// Signal ends COMMAND if s is SIGKILL. Windows has no other signal for processes.
func (c *Command) Signal(s syscall.Signal) {
	if s == syscall.SIGKILL {
		_ = c.cmd.Process.Kill() // it has exited
	}
}
