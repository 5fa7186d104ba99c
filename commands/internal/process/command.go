// Package process runs COMMAND and watches for the signals that end a session.
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

// How long a COMMAND that does not leave after the end is let alone.
const (
	// Patience is for one that may still have something to do.
	Patience = 2 * time.Second
	// Brief is for one that has nothing to do any more.
	Brief = 100 * time.Millisecond
)

const (
	// killAfter is how long after it has been told to leave COMMAND is killed.
	killAfter = 3 * time.Second
	// exitLag is how long after the end of its output it may take until it is
	// known how a process has ended, on a machine that has much to do.
	exitLag = time.Second
	// drainPoll is how often Drain looks how much COMMAND has taken, and drainNews
	// how often it tells what is left.
	drainPoll = 20 * time.Millisecond
	drainNews = 10 * time.Second
)

// A Command is COMMAND while it runs, between two pipes.
//
// Its fields are set by Start and never changed, but for those of CloseIn; cmd's
// ProcessState is read after Exited is closed.
type Command struct {
	In     *os.File      // to its standard input
	Out    *os.File      // from its standard output
	Exited chan struct{} // closed when it has exited

	name  string
	cmd   *exec.Cmd
	group bool // it leads a process group of its own

	ending  sync.Once // guards the two below
	rest    *os.File  // the other end of In, to see what is left in it; nil: that cannot be seen
	inError error     // of closing In
	muting  sync.Once // guards the goroutine of mute
}

// Find fails with exit code 127 where the program cannot be run.
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

// Start runs command, with stderr as its standard error.
func Start(command []string, stderr *os.File, w *SignalWatch) (*Command, error) {
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
	err = c.start(w)
	theirIn.Close()
	theirOut.Close()
	if err != nil {
		in.Close()
		out.Close()
		return nil, cannotRun(c.name, err)
	}
	go func() {
		_ = c.cmd.Wait() // Status says how it has ended
		close(c.Exited)
	}()
	return c, nil
}

// Finish closes the input of COMMAND, whose exit status matters, drops its output, and
// waits until it has exited or stop is closed.
func (c *Command) Finish(stop <-chan struct{}) {
	_ = c.CloseIn()
	c.mute()
	select {
	case <-c.Exited:
	case <-stop:
	}
}

// CloseIn ends COMMAND's input, once. What has been written stays for it to read.
func (c *Command) CloseIn() error {
	c.ending.Do(func() {
		c.rest = readingEnd(c.In)
		c.inError = c.In.Close()
	})
	return c.inError
}

// mute reads what COMMAND still writes and drops it, for it might wait for a reader.
func (c *Command) mute() {
	c.muting.Do(func() {
		go func() { _, _ = io.Copy(io.Discard, c.Out) }()
	})
}

// Drain closes COMMAND's input and waits until COMMAND has taken what was written to
// it, but for surplus bytes at the end that nobody misses; or has exited, or has taken
// nothing for d; or stop is closed. It returns how many bytes COMMAND has not taken; 0
// too where the system cannot tell. Every ten seconds tell is told how many are left. It
// is to be called once, and before Leave.
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

// Leave sees COMMAND off after the end: its input is closed, its output read
// and dropped, and if that does not make it leave within grace it is told to, and then
// killed.
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

// Status is COMMAND's exit code, or the signal that killed it; to be called
// once it has exited.
func (c *Command) Status() (code int, killedBy syscall.Signal) {
	state, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && state.Signaled() {
		return 0, state.Signal()
	}
	return c.cmd.ProcessState.ExitCode(), 0
}

// HasExited waits a moment for COMMAND to exit, of which some sign was seen.
func (c *Command) HasExited() bool {
	select {
	case <-c.Exited:
		return true
	case <-time.After(exitLag):
		return false
	}
}

// Describe says how COMMAND has ended, for a message; to be called once it has
// exited.
func (c *Command) Describe() string {
	code, killedBy := c.Status()
	if killedBy != 0 {
		return fmt.Sprintf("%s was killed by signal %d (%v)", c.name, int(killedBy), killedBy)
	}
	return fmt.Sprintf("%s exited with status %d", c.name, code)
}
