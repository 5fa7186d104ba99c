// Package process runs COMMAND and handles the signals that end a session.
package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"otrpipe/commands/internal/exit"
)

// How long a COMMAND may take to exit after the end.
const (
	// Patience is for a COMMAND that may still have work to do.
	Patience = 2 * time.Second
	// Brief is for a COMMAND that has no more work to do.
	Brief = 100 * time.Millisecond
)

const (
	// killAfter is the time between telling COMMAND to exit and killing it.
	killAfter = 3 * time.Second
	// exitLag is how long after the end of a process's output its exit status may take to be
	// known on a busy machine.
	exitLag = time.Second
	// drainPoll is the time between Drain's checks of how much COMMAND has read, and drainNews
	// the time between its reports.
	drainPoll = 20 * time.Millisecond
	drainNews = 10 * time.Second
)

// A Command is a running COMMAND with its two pipes.
//
// Start sets its fields, which never change afterwards, except those of CloseIn. cmd's
// ProcessState is read only after Exited is closed.
type Command struct {
	In     *os.File      // to its standard input
	Out    *os.File      // from its standard output
	Exited chan struct{} // closed when it has exited

	name  string
	cmd   *exec.Cmd
	group bool // it leads its own process group

	ending  sync.Once // guards rest and inError
	rest    *os.File  // the other end of In, to see how much is left in it; nil: the system cannot tell
	inError error     // the error of closing In
	muting  sync.Once // guards the goroutine of mute
}

// Find returns an error with exit code 127 if the program cannot be run.
func Find(command []string) error {
	if _, err := exec.LookPath(command[0]); err != nil {
		return cannotRun(command[0], err)
	}
	return nil
}

func cannotRun(name string, err error) error {
	why := err
	var pathErr *os.PathError
	var execErr *exec.Error
	switch {
	case errors.As(err, &pathErr):
		why = pathErr.Err
	case errors.As(err, &execErr):
		why = execErr.Err
	}
	if errors.Is(why, exec.ErrNotFound) {
		why = errors.New("not found")
	}
	return exit.Errorf(exit.CannotRun, "%s cannot be run: %w", name, why)
}

// Start runs command, with stderr as its standard error. A SignalWatch must be running.
func Start(command []string, stderr *os.File) (*Command, error) {
	c := &Command{name: command[0], Exited: make(chan struct{})}
	c.cmd = exec.Command(command[0], command[1:]...)
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("a pipe to %s: %w", c.name, err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		theirIn.Close()
		in.Close()
		return nil, fmt.Errorf("a pipe from %s: %w", c.name, err)
	}
	Widen(in)
	Widen(out)
	c.In, c.Out = in, out
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirIn, theirOut, stderr
	err = c.start()
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, cannotRun(c.name, err)
	}
	go func() {
		_ = c.cmd.Wait() // Status reports how it ended
		close(c.Exited)
	}()
	return c, nil
}

// Finish is for a COMMAND whose exit status matters. It closes COMMAND's input, discards its
// output, and waits until it has exited or stop is closed.
func (c *Command) Finish(stop <-chan struct{}) {
	_ = c.CloseIn()
	c.mute()
	select {
	case <-c.Exited:
	case <-stop:
	}
}

// CloseIn closes COMMAND's input, once. COMMAND can still read what has been written.
func (c *Command) CloseIn() error {
	c.ending.Do(func() {
		c.rest = readingEnd(c.In)
		c.inError = c.In.Close()
	})
	return c.inError
}

// mute discards what COMMAND still writes, so that COMMAND does not wait for a reader.
func (c *Command) mute() {
	c.muting.Do(func() {
		go func() { _, _ = io.Copy(io.Discard, c.Out) }()
	})
}

// Drain closes COMMAND's input and waits until COMMAND has read all of it except the last
// surplus bytes, which do not matter. It also returns if COMMAND has exited, has read nothing
// for d, or stop is closed. It returns the number of bytes that COMMAND has not read, or 0 if
// the system cannot tell. Every ten seconds it passes the number of bytes left to tell. It must
// be called at most once, before Leave.
func (c *Command) Drain(d time.Duration, surplus int, stop <-chan struct{}, tell func(left int)) (left int) {
	_ = c.CloseIn()
	if c.rest == nil {
		return 0
	}
	defer c.rest.Close()
	c.mute()
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	left = unread(c.rest)
	taken := time.Now()
	told := taken
	for left > surplus && time.Since(taken) < d {
		select {
		case <-c.Exited:
			return unread(c.rest)
		case <-stop:
			return left
		case now := <-poll.C:
			n := unread(c.rest)
			if n < left {
				left, taken = n, now
			}
			if now.Sub(told) >= drainNews {
				told = now
				tell(left)
			}
		}
	}
	return left
}

// Leave ends COMMAND: it closes its input and discards its output. If COMMAND does not exit
// within grace, Leave tells it to, and finally kills it.
func (c *Command) Leave(grace time.Duration) {
	_ = c.CloseIn()
	c.mute()
	term := time.NewTimer(grace)
	defer term.Stop()
	kill := time.NewTimer(grace + killAfter)
	defer kill.Stop()
	for {
		select {
		case <-c.Exited:
			return
		case <-term.C:
			c.Signal(syscall.SIGTERM)
		case <-kill.C:
			c.Signal(syscall.SIGKILL)
		}
	}
}

// Status returns COMMAND's exit code, or the signal that killed it. It must not be called before
// COMMAND has exited.
func (c *Command) Status() (code int, killedBy syscall.Signal) {
	state, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && state.Signaled() {
		return 0, state.Signal()
	}
	return c.cmd.ProcessState.ExitCode(), 0
}

// HasExited waits a moment for COMMAND to exit. It is for when there are signs that COMMAND is
// about to.
func (c *Command) HasExited() bool {
	select {
	case <-c.Exited:
		return true
	case <-time.After(exitLag):
		return false
	}
}

// Describe returns the words that tell how COMMAND ended. It must not be called before COMMAND
// has exited.
func (c *Command) Describe() string {
	code, killedBy := c.Status()
	if killedBy != 0 {
		return fmt.Sprintf("%s was killed by signal %d (%v)", c.name, int(killedBy), killedBy)
	}
	return fmt.Sprintf("%s exited with status %d", c.name, code)
}
