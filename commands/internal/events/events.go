// Package events writes the events of a session as lines of JSON, for --events.
package events

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

	"otrpipe/commands/internal/descriptor"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
)

// A Record is one line of --events. Fields that an event does not have are
// left out.
type Record struct {
	Time    string `json:"time"`
	Event   string `json:"event"`
	Session string `json:"session"`

	// started
	Identity string `json:"identity,omitempty"`
	Mode     string `json:"mode,omitempty"`
	PID      int    `json:"pid,omitempty"`

	// secure, refreshed, told, vouched, downgraded; second_client and other_key, of
	// whose client no contact, trust and session are known
	*Peer

	Vouching  string  `json:"vouching,omitempty"`  // told, vouched: the key of version 3
	Question  *string `json:"question,omitempty"`  // smp_asked
	Bytes     *int64  `json:"bytes,omitempty"`     // unencrypted, stream_ended
	Reason    string  `json:"reason,omitempty"`    // unreadable
	Text      *string `json:"text,omitempty"`      // peer_error
	Use       *uint32 `json:"use,omitempty"`       // extra_key
	Data      *string `json:"data,omitempty"`      // extra_key
	Direction string  `json:"direction,omitempty"` // stream_ended, lost
	Address   string  `json:"address,omitempty"`   // listening, turned_away
	Code      *int    `json:"code,omitempty"`      // turned_away, ended
	Message   string  `json:"message,omitempty"`   // turned_away, ended
	Count     int     `json:"count,omitempty"`     // how many events this record stands for, if more than one
}

// A Peer describes a session's peer in events and in status.
type Peer struct {
	Version     int     `json:"version"`
	Fingerprint string  `json:"fingerprint,omitempty"` // not of second_client
	Contact     *string `json:"contact"`
	Trust       string  `json:"trust,omitempty"`
	By          string  `json:"by,omitempty"` // how the key was verified: hand or secret
	SSID        string  `json:"ssid,omitempty"`
	Instance    *string `json:"instance"` // null in version 2, which has no instance tags
}

// The names of events.
const (
	Started      = "started"
	Listening    = "listening"
	TurnedAway   = "turned_away"
	Secure       = "secure"
	Refreshed    = "refreshed"
	Told         = "told"
	Vouched      = "vouched"
	Downgraded   = "downgraded"
	SecondClient = "second_client"
	OtherKey     = "other_key"
	SMPAsked     = "smp_asked"
	SMPSucceeded = "smp_succeeded"
	SMPFailed    = "smp_failed"
	SMPAborted   = "smp_aborted"
	Unencrypted  = "unencrypted"
	Unreadable   = "unreadable"
	PeerError    = "peer_error"
	ExtraKey     = "extra_key"
	Lost         = "lost"
	Late         = "late"
	StreamEnded  = "stream_ended"
	PeerEnded    = "peer_ended"
	Ended        = "ended"
)

// queueSize is the maximum number of events that wait for a slow reader of --events. Floods are
// summarized before, so it is enough for minutes.
const queueSize = 1024

// flushTime is how long the program waits for such a reader before it exits.
const flushTime = 2 * time.Second

// A Log writes events as they happen, without making the session wait.
type Log struct {
	session string
	queue   chan []byte
	written chan struct{} // closed when the whole queue has been written
	report  func(format string, a ...any)

	closing sync.Once

	mu     sync.Mutex
	closed bool
	full   bool // an event was left out
}

// Open opens the value of --events: a file, to append to, or a file descriptor that the program
// was given.
func Open(value string) (*os.File, error) {
	if number, ok := strings.CutPrefix(value, "fd:"); ok {
		return openDescriptor(number)
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

// Check refuses a value of --events that names a file descriptor that the program was not given.
// It opens nothing.
func Check(value string) error {
	if number, ok := strings.CutPrefix(value, "fd:"); ok {
		_, err := checkDescriptor(number)
		return err
	}
	return nil
}

func checkDescriptor(number string) (fd int, err error) {
	fd, err = strconv.Atoi(number)
	switch {
	case err != nil || fd < 0:
		return 0, exit.Errorf(exit.Usage, "--events: %q is not the number of a file descriptor", number)
	case fd < 2:
		return 0, exit.Errorf(exit.Usage, "--events: file descriptor %d is for the stream", fd)
	}
	if err := descriptor.Check(fd); err != nil {
		return 0, exit.Errorf(exit.Usage, "--events: %w", exit.Plain(err)).
			WithHint("open it on the command line: %d> FILE", fd)
	}
	return fd, nil
}

// openDescriptor takes over a file descriptor that the program was given, so that COMMAND does
// not inherit it.
func openDescriptor(number string) (*os.File, error) {
	fd, err := checkDescriptor(number)
	if err != nil {
		return nil, err
	}
	own, err := takeDescriptor(fd)
	if err != nil {
		return nil, exit.Errorf(exit.Usage, "--events: file descriptor %d is not open", fd)
	}
	return os.NewFile(own, "file descriptor "+number), nil
}

// Share returns a second descriptor of the same file, for another Log.
func Share(f *os.File) (*os.File, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	var own uintptr
	var failed error
	if err := conn.Control(func(fd uintptr) { own, failed = duplicate(fd) }); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	if failed != nil {
		return nil, fmt.Errorf("events: %w", failed)
	}
	return os.NewFile(own, f.Name()), nil
}

// NewLog starts writing the events of a session to f. The first write that fails is passed to
// report and ends the log. The first event that is left out, because f takes no more, is reported
// too.
func NewLog(f *os.File, session string, report func(format string, a ...any)) *Log {
	l := &Log{session: session, queue: make(chan []byte, queueSize), written: make(chan struct{}), report: report}
	go func() {
		defer close(l.written)
		var failed error
		for line := range l.queue {
			if failed != nil {
				continue
			}
			if _, failed = (descriptor.Stream{File: f}).Write(line); failed != nil {
				report("--events: %v", failed)
			}
		}
		f.Close()
	}()
	return l
}

// Write queues r, which happened at t. A nil log ignores it.
func (l *Log) Write(t time.Time, r Record) {
	if l == nil {
		return
	}
	r.Time = t.UTC().Format(time.RFC3339Nano)
	r.Session = l.session
	line, err := json.Marshal(r)
	if err != nil {
		return // strings and numbers always marshal
	}
	if l.queued(append(terminal.SafeJSON(line), '\n')) {
		l.report("--events: they are not read, so some are left out")
	}
}

// queued queues a line. It reports whether this is the first that was left out, because nothing
// has been read for a very long time.
func (l *Log) queued(line []byte) (firstLeftOut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	select {
	case l.queue <- line:
	default:
		firstLeftOut, l.full = !l.full, true
	}
	return firstLeftOut
}

// Close waits until everything has been written, but no longer than flushTime. It reports what has
// not been written by then. A further Close waits for the first one, and for nothing else.
func (l *Log) Close() {
	if l != nil {
		l.closing.Do(l.close)
	}
}

func (l *Log) close() {
	l.mu.Lock()
	l.closed = true
	close(l.queue)
	l.mu.Unlock()
	select {
	case <-l.written:
	case <-time.After(flushTime):
		l.report("--events: they are not read, so the last ones are lost")
	}
}

// Instance returns an instance tag in hexadecimal, or nil for 0.
func Instance(tag uint32) *string {
	if tag == 0 {
		return nil
	}
	s := fmt.Sprintf("%08x", tag)
	return &s
}

func Hex(b []byte) *string {
	s := hex.EncodeToString(b)
	return &s
}
