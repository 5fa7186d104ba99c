package control

import (
	"context"
	"errors"
	"net"
	"os"
	"time"

	"otrpipe/commands/internal/exit"
)

const (
	// maxGuests is the maximum number of processes connected to a session at the same time.
	maxGuests = 64
	// Greeting is how long a process may take to send its first request after connecting, and to
	// read an answer.
	Greeting = 10 * time.Second
	// acceptPause is the pause before another attempt when a process could not be accepted,
	// probably because we are out of file descriptors.
	acceptPause = 10 * time.Millisecond
)

// A Handler answers the processes that connect to a session. Several goroutines call its
// methods.
type Handler interface {
	// Handle answers a request other than a Join. The context ends when the process that asked
	// has left.
	Handle(ctx context.Context, r *Request) Reply
	// Join takes over the other half of an end: its connection, its files and its secrets.
	Join(conn *Conn, join *Join, files []*os.File)
}

// Serve accepts processes and lets h answer them until l is closed. Processes that are connected
// then are served until they leave.
func (l *Listener) Serve(h Handler) {
	places := make(chan struct{}, maxGuests)
	for {
		conn, err := l.accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			time.Sleep(acceptPause)
			continue
		}
		select {
		case places <- struct{}{}:
			go func() {
				l.serve(conn, h)
				<-places
			}()
		default:
			conn.Close()
		}
	}
}

// A message is a received request.
type message struct {
	request Request
	files   []*os.File
	err     error
}

func receiveRequest(conn *Conn) (m message) {
	m.files, m.err = conn.Receive(&m.request)
	return m
}

// serve serves one process until it leaves.
func (l *Listener) serve(conn *Conn, h Handler) {
	conn.SetDeadline(time.Now().Add(l.greeting))
	m := receiveRequest(conn)
	conn.SetDeadline(time.Time{})
	if m.err == nil && m.request.Join != nil {
		h.Join(conn, m.request.Join, m.files)
		return
	}
	defer conn.Close()
	for m.err == nil {
		CloseFiles(m.files)
		ctx, left := context.WithCancel(context.Background())
		next := make(chan message, 1)
		go func() {
			m := receiveRequest(conn)
			if m.err != nil {
				left()
			}
			next <- m
		}()
		if l.answer(ctx, conn, h, &m.request) != nil {
			conn.Close() // it reads no more answers
		}
		m = <-next
		left()
	}
}

// answer answers one request.
func (l *Listener) answer(ctx context.Context, conn *Conn, h Handler, r *Request) error {
	l.answering <- struct{}{}
	defer func() { <-l.answering }()
	defer wipeSecrets(r)
	reply := h.Handle(ctx, r)
	defer wipeSecrets(&reply)
	return conn.Reply(reply)
}

// Drain waits until every request has been answered, but no longer than limit.
func (l *Listener) Drain(limit time.Duration) {
	late := time.After(limit)
	for range maxGuests {
		select {
		case l.answering <- struct{}{}:
			defer func() { <-l.answering }()
		case <-late:
			return
		}
	}
}

// Reply sends an answer to a process, which has limited time to read it.
func (c *Conn) Reply(r Reply) error {
	c.setWriteDeadline(time.Now().Add(Greeting))
	err := c.Send(&r)
	c.setWriteDeadline(time.Time{})
	return err
}

// ReplyOf returns the answer that reports err, or success if err is nil.
func ReplyOf(err error) Reply {
	if err == nil {
		return Reply{}
	}
	e := exit.As(err)
	return Reply{Code: e.Code, Error: err.Error(), Hint: e.Hint, Silent: e.Silent}
}

// Err returns the error that an answer reports; nil for success.
func (r Reply) Err() error {
	switch {
	case r.Code == exit.OK:
		return nil
	case r.Silent:
		return exit.Silently(r.Code)
	}
	err := exit.Errorf(r.Code, "%s", r.Error)
	err.Hint = r.Hint
	return err
}
