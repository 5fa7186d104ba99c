package process

import (
	"syscall"

	"golang.org/x/sys/windows"
)

// start starts the process so that Ctrl-C in our console does not reach it: the end of the
// session still has to pass through it.
func (c *Command) start(*SignalWatch) error {
	c.cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	return c.cmd.Start()
}

// Sweep would end what COMMAND has started and left behind. Windows does not tell what that
// is.
func (c *Command) Sweep() {}

// Signal ends COMMAND if s is SIGKILL. Windows has no other signal for processes.
func (c *Command) Signal(s syscall.Signal) {
	if s == syscall.SIGKILL {
		_ = c.cmd.Process.Kill() // it has exited
	}
}
