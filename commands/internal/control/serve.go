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
	// maxGuests is how many processes may be connected to a session at once.
	maxGuests = 64
	// Greeting is how long a process that comes in may take to say what it
	// wants, and how long a process may take to read an answer.
	Greeting = 10 * time.Second
	// acceptPause is the time before another try after a process could not be let
	// in: probably we are out of file descriptors.
	acceptPause = 10 * time.Millisecond
)

// A Handler answers the processes that come to a session. Its methods are called
// by several goroutines.
type Handler interface {
	// Handle answers a request that is not a Join. The context ends when the
	// process that asked has left.
	Handle(ctx context.Context, r *Request) Reply
	// Join takes the other half of an end over, with its connection, its files and its
	// secrets.
	Join(conn *Conn, join *Join, files []*os.File)
}

// Serve lets processes in and has h answer them, until l is closed. Those that are
// in then are served until they leave.
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

// A message is a request as it was received.
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
	conn.SetDeadline(time.Now().Add(Greeting))
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
			conn.Close() // it takes no answers any more
		}
		m = <-next
		left()
	}
}

// answer has one request answered.
func (l *Listener) answer(ctx context.Context, conn *Conn, h Handler, r *Request) error {
	l.answering <- struct{}{}
	defer func() { <-l.answering }()
	defer wipeSecrets(r)
	reply := h.Handle(ctx, r)
	defer wipeSecrets(&reply)
	return conn.Reply(reply)
}

// Drain waits until every request has its answer, but not longer than limit.
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

// Reply sends an answer to a process, which may take only so long to read it.
func (c *Conn) Reply(r Reply) error {
	c.setWriteDeadline(time.Now().Add(Greeting))
	err := c.Send(&r)
	c.setWriteDeadline(time.Time{})
	return err
}

// ReplyOf is the answer that tells of an error, or of success if it is nil.
func ReplyOf(err error) Reply {
	if err == nil {
		return Reply{}
	}
	e := exit.As(err)
	return Reply{Code: e.Code, Error: err.Error(), Hint: e.Hint, Silent: e.Silent}
}

// Err is the error that an answer tells of; nil for success.
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
