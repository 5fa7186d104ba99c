package process

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// ending are the signals that end a session.
var ending = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// A SignalWatch has the signals that end a session sent to it instead of ending the
// process. What our parent wants ignored, as nohup does, stays ignored.
// Meanwhile writing to a closed pipe is an error and not a signal.
type SignalWatch struct {
	Signals chan os.Signal
	pipes   chan os.Signal // SIGPIPE; nobody listens
	ignored []os.Signal    // at the start
}

// watching guards watches, the running ones of this process, and is held while startDeaf has the
// signals ignored: that takes them from every watch, and none may begin meanwhile.
var (
	watching sync.Mutex
	watches  = map[*SignalWatch]struct{}{}
)

// Watch begins to catch the signals.
func Watch() *SignalWatch {
	watching.Lock()
	defer watching.Unlock()
	w := &SignalWatch{Signals: make(chan os.Signal, 4), pipes: make(chan os.Signal, 1)}
	for _, s := range ending {
		if signal.Ignored(s) {
			w.ignored = append(w.ignored, s)
		}
	}
	w.resume()
	watches[w] = struct{}{}
	return w
}

func (w *SignalWatch) resume() {
	for _, s := range ending {
		if !w.ignores(s) {
			signal.Notify(w.Signals, s)
		}
	}
	signal.Notify(w.pipes, syscall.SIGPIPE)
}

func (w *SignalWatch) ignores(s os.Signal) bool {
	for _, i := range w.ignored {
		if i == s {
			return true
		}
	}
	return false
}

// startDeaf starts a process that ignores the signals a terminal sends. They
// are ignored here too for the moment it takes: that is how a process
// inherits it. Then all watches of this process catch them again. A signal
// that comes in that moment is lost, and the person has to press Ctrl-C again:
// Go has no other way to start a process that ignores a signal.
func startDeaf(start func() error) error {
	watching.Lock()
	defer watching.Unlock()
	signal.Ignore(syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	defer func() {
		for w := range watches {
			w.resume()
		}
	}()
	return start()
}

// Stop gives the signals their own meaning back.
func (w *SignalWatch) Stop() {
	watching.Lock()
	defer watching.Unlock()
	delete(watches, w)
	signal.Stop(w.Signals)
	signal.Stop(w.pipes)
}
