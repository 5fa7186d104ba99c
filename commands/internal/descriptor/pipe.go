package descriptor

import (
	"os"
	"os/signal"
	"syscall"
)

// PipeErrors makes it an error to write to a standard output whose reader has gone. Without it, a
// signal ends the program at once. A command that has changed something calls it before it writes,
// because it has to take back the change or tell the user about it. stop restores the signal.
func PipeErrors() (stop func()) {
	caught := make(chan os.Signal, 1) // nobody listens
	signal.Notify(caught, syscall.SIGPIPE)
	return func() { signal.Stop(caught) }
}
