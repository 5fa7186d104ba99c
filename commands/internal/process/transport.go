package process

import (
	"errors"
	"io"
	"os"
	"time"

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
)

// Files is a transport of two files, one for each direction.
type Files struct {
	In, Out *os.File
}

func (f *Files) Read(p []byte) (int, error) { return descriptor.Stream{File: f.In}.Read(p) }

func (f *Files) Write(p []byte) (int, error) { return descriptor.Stream{File: f.Out}.Write(p) }

// Close ends what we write, so that the transport can leave, and stops
// reading.
func (f *Files) Close() error {
	return errors.Join(f.Out.Close(), f.In.Close())
}

// Transport returns COMMAND's input and output as a transport.
func (c *Command) Transport() io.ReadWriteCloser { return &transport{c} }

type transport struct{ command *Command }

func (t *transport) Read(b []byte) (int, error) { return t.command.Out.Read(b) }

func (t *transport) Write(b []byte) (int, error) { return t.command.In.Write(b) }

// Close ends COMMAND's input and stops reading. What COMMAND still writes is
// read and dropped by Leave.
func (t *transport) Close() error { return t.command.CloseIn() }

// lastOutput bounds the wait for output of an application that has exited
// from the processes that it has started and left behind.
const lastOutput = 100 * time.Millisecond

// Output returns a reader of what COMMAND, an application, writes. It ends when
// COMMAND has closed its output; or when COMMAND has exited and the processes
// that hold its output open write nothing more. The error is io.EOF, but for an
// application that was killed it is an *exit.Error, for its output may be
// incomplete. It is to be called once.
func (c *Command) Output() io.Reader {
	go func() {
		<-c.Exited
		_ = c.Out.SetReadDeadline(time.Now().Add(Patience))
	}()
	return &output{c}
}

type output struct{ command *Command }

func (o *output) Read(b []byte) (int, error) {
	n, err := o.command.Out.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && n == 0 {
		// There may be something left that nobody had the time to read.
		_ = o.command.Out.SetReadDeadline(time.Now().Add(lastOutput))
		n, err = o.command.Out.Read(b)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, o.end()
	}
	return n, err
}

func (o *output) end() error {
	// Its output ends a moment before it is known how it has ended.
	if !o.command.HasExited() {
		return io.EOF // it closed its output and goes on
	}
	if _, killedBy := o.command.Status(); killedBy != 0 {
		return o.command.Result()
	}
	return io.EOF
}

// Result returns nil for a COMMAND that has exited with status 0, and else the
// *exit.Error with which we leave as it did. It is to be called once COMMAND
// has exited.
func (c *Command) Result() error {
	code, killedBy := c.Status()
	switch {
	case killedBy != 0:
		return exit.Errorf(128+int(killedBy), "%s", c.Describe())
	case code != 0:
		return exit.Silently(code)
	}
	return nil
}
