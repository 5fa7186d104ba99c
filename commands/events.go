package commands

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/exit"
)

// An event is one line of --events. Fields that an event does not have are
// left out.
type event struct {
	Time    string `json:"time"`
	Event   string `json:"event"`
	Session string `json:"session"`

	// started
	Identity string `json:"identity,omitempty"`
	Mode     string `json:"mode,omitempty"`
	PID      int    `json:"pid,omitempty"`

	// secure, refreshed, vouched, downgraded
	*peer

	Vouching  string  `json:"vouching,omitempty"`  // vouched: the key of version 3
	Question  *string `json:"question,omitempty"`  // smp_asked
	Bytes     *int64  `json:"bytes,omitempty"`     // unencrypted, stream_ended
	Reason    string  `json:"reason,omitempty"`    // unreadable
	Text      *string `json:"text,omitempty"`      // peer_error
	Use       *uint32 `json:"use,omitempty"`       // extra_key
	Data      *string `json:"data,omitempty"`      // extra_key
	Direction string  `json:"direction,omitempty"` // stream_ended
	Code      *int    `json:"code,omitempty"`      // ended
	Message   string  `json:"message,omitempty"`   // ended
	Count     int     `json:"count,omitempty"`     // how many this one stands for, if more than one
}

// A peer is whom a session is with, as events and status tell it.
type peer struct {
	Version     int     `json:"version"`
	Fingerprint string  `json:"fingerprint"`
	Contact     *string `json:"contact"`
	Trust       string  `json:"trust"`
	SSID        string  `json:"ssid"`
	Instance    *string `json:"instance"` // null in version 2, which has none
}

// The names of events.
const (
	eventStarted      = "started"
	eventSecure       = "secure"
	eventRefreshed    = "refreshed"
	eventVouched      = "vouched"
	eventDowngraded   = "downgraded"
	eventSMPAsked     = "smp_asked"
	eventSMPSucceeded = "smp_succeeded"
	eventSMPFailed    = "smp_failed"
	eventSMPAborted   = "smp_aborted"
	eventUnencrypted  = "unencrypted"
	eventUnreadable   = "unreadable"
	eventPeerError    = "peer_error"
	eventExtraKey     = "extra_key"
	eventStreamEnded  = "stream_ended"
	eventPeerEnded    = "peer_ended"
	eventEnded        = "ended"
)

// eventQueue is how many events may wait for a reader of --events that is
// slow. Floods are summed up before, so this is minutes of them.
const eventQueue = 1024

// eventFlush is how long the end waits for such a reader.
const eventFlush = 2 * time.Second

// An eventLog writes events, as they happen, without making the session wait.
type eventLog struct {
	session string
	queue   chan []byte
	written chan struct{} // closed when all of queue is written

	mu     sync.Mutex
	closed bool
}

// openEvents opens the value of --events: a file that is appended to, or a
// file descriptor that the program was given.
func openEvents(value string) (*os.File, error) {
	if number, ok := strings.CutPrefix(value, "fd:"); ok {
		return openEventsDescriptor(number)
	}
	f, err := os.OpenFile(value, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, exit.Errorf(exit.Failure, "--events: %s: %w", value, err)
	}
	return f, nil
}

// openEventsDescriptor takes over a file descriptor that we were started with,
// so that COMMAND does not have it too.
func openEventsDescriptor(number string) (*os.File, error) {
	fd, err := strconv.Atoi(number)
	switch {
	case err != nil || fd < 0:
		return nil, exit.Errorf(exit.Usage, "--events: %q is not the number of a file descriptor", number)
	case fd < 2:
		return nil, exit.Errorf(exit.Usage, "--events: file descriptor %d is for the stream", fd)
	}
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "--events: file descriptor %d is not open", fd)
	}
	if fd > 2 {
		unix.CloseOnExec(fd)
	}
	return os.NewFile(uintptr(own), "file descriptor "+number), nil
}

// newEventLog starts writing the events of a session to f. A write that fails
// is told to warn, once, and ends the log.
func newEventLog(f *os.File, session string, warn func(format string, a ...any)) *eventLog {
	l := &eventLog{session: session, queue: make(chan []byte, eventQueue), written: make(chan struct{})}
	go func() {
		defer close(l.written)
		var failed error
		for line := range l.queue {
			if failed != nil {
				continue
			}
			if _, failed = f.Write(line); failed != nil {
				warn("--events: %v", failed)
			}
		}
		f.Close()
	}()
	return l
}

// write queues e, which happened at t. A nil log takes nothing.
func (l *eventLog) write(t time.Time, e event) {
	if l == nil {
		return
	}
	e.Time = t.UTC().Format(time.RFC3339Nano)
	e.Session = l.session
	line, err := json.Marshal(e)
	if err != nil {
		return // strings and numbers always marshal
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	select {
	case l.queue <- append(line, '\n'):
	default: // nobody has read for very long
	}
}

// close waits until everything is written, but not for ever.
func (l *eventLog) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.queue)
	}
	l.mu.Unlock()
	select {
	case <-l.written:
	case <-time.After(eventFlush):
	}
}

// instance writes an instance tag; 0 is none.
func instance(tag uint32) *string {
	if tag == 0 {
		return nil
	}
	s := fmt.Sprintf("%08x", tag)
	return &s
}

func hexOf(b []byte) *string {
	s := hex.EncodeToString(b)
	return &s
}
