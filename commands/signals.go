package commands

import (
	"os"
	"os/signal"
	"syscall"
)

// ending are the signals that end a session.
var ending = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}

// A watch has the signals that end a session sent to it instead of ending the
// process. What our parent wants ignored, as nohup does, stays ignored.
// Meanwhile writing to a closed pipe is an error and not a signal.
type watch struct {
	signals chan os.Signal
	pipes   chan os.Signal // SIGPIPE; nobody listens
	ignored []os.Signal    // at the start
}

func watchSignals() *watch {
	w := &watch{signals: make(chan os.Signal, 4), pipes: make(chan os.Signal, 1)}
	for _, s := range ending {
		if signal.Ignored(s) {
			w.ignored = append(w.ignored, s)
		}
	}
	w.resume()
	return w
}

func (w *watch) resume() {
	for _, s := range ending {
		if !w.ignores(s) {
			signal.Notify(w.signals, s)
		}
	}
	signal.Notify(w.pipes, syscall.SIGPIPE)
}

func (w *watch) ignores(s os.Signal) bool {
	for _, i := range w.ignored {
		if i == s {
			return true
		}
	}
	return false
}

// startDeaf starts a process that ignores the signals a terminal sends. They
// are ignored here too for the moment it takes: that is how a process
// inherits it.
func (w *watch) startDeaf(start func() error) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP)
	defer w.resume()
	return start()
}

// stop gives the signals their own meaning back.
func (w *watch) stop() {
	signal.Stop(w.signals)
	signal.Stop(w.pipes)
}
