package control

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"otrpipe/commands/internal/exit"
)

// A Client is a process's connection to a live session. Only one goroutine may use it.
type Client struct {
	Status *Status // at the time the session was found; not nil
	Home   string  // the home that has its identity
	Waits  string  // the half that waits for its other half; "": neither
	Asked  *string // the question of the peer's SMP that waits for an answer; nil: there is none
	Run    uint64  // identifies that question
	conn   *Conn
}

// AnswerTime is how long each session may take to answer if several are asked together, so that
// a stopped one does not hold up the others.
const AnswerTime = 500 * time.Millisecond

// A Filter selects sessions. An empty field matches any.
type Filter Name

// matches reports whether the filter selects the session called n.
func (f Filter) matches(n Name) bool {
	return (f.Home == "" || f.Home == n.Home) &&
		(f.Identity == "" || f.Identity == n.Identity) &&
		(f.Session == "" || f.Session == n.Session)
}

// A Silent is a live session that did not answer, because its process is stopped or overloaded.
type Silent struct {
	Name
	PID int
}

// Find asks all of the user's sessions in dir that match the filter for their status, at the
// same time. It returns clients of those that answer within the limit, which the caller closes,
// and the names of those that do not, both sorted by session and identity. Sessions that are
// just starting or ending are left out.
func Find(dir string, limit time.Duration, filter Filter) (answered []*Client, silent []Silent) {
	type answer struct {
		client *Client
		err    error
		who    Silent
	}
	hosts := hostsIn(dir, filter)
	answers := make(chan answer, len(hosts))
	for _, h := range hosts {
		go func() {
			client, err := ask(h.socket, limit)
			answers <- answer{client, err, h.Silent}
		}()
	}
	for range hosts {
		switch a := <-answers; {
		case a.err == nil && !filter.matches(a.client.name()):
			a.client.Close() // the socket did not tell which session it belongs to
		case a.err == nil:
			answered = append(answered, a.client)
		case errors.Is(a.err, os.ErrDeadlineExceeded), errors.Is(a.err, syscall.EAGAIN):
			silent = append(silent, a.who)
		}
	}
	slices.SortFunc(answered, func(a, b *Client) int {
		return strings.Compare(a.Status.Session+"\x00"+a.Status.Identity, b.Status.Session+"\x00"+b.Status.Identity)
	})
	slices.SortFunc(silent, func(a, b Silent) int {
		return strings.Compare(a.Session+"\x00"+a.Identity, b.Session+"\x00"+b.Identity)
	})
	return answered, silent
}

// ask connects to the session at a socket and asks for its status.
func ask(socket string, limit time.Duration) (*Client, error) {
	conn, err := dialPath(socket)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(limit))
	err = conn.Send(&Request{Status: true})
	var reply Reply
	if err == nil {
		reply, err = conn.ReceiveReply()
	}
	if err == nil && reply.Status == nil {
		err = ErrMessage
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return &Client{reply.Status, reply.Home, reply.Waits, reply.Asked, reply.Run, conn}, nil
}

// Do sends a request to the session and returns the answer, with the error that it contains, if
// any. If ctx ends first, the Client is closed, by which the session notices that nobody waits
// any longer.
func (c *Client) Do(ctx context.Context, r Request) (Reply, error) {
	stop := context.AfterFunc(ctx, c.conn.Close)
	defer stop()
	if err := c.conn.Send(&r); err != nil {
		return Reply{}, c.ended(ctx)
	}
	reply, err := c.conn.ReceiveReply()
	switch {
	case errors.Is(err, ErrMessage):
		return reply, exit.Failed(err)
	case err != nil:
		return reply, c.ended(ctx)
	}
	return reply, reply.Err()
}

func (c *Client) ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return exit.Errorf(exit.Session, "session %q ended", c.Status.Session)
}

func (c *Client) name() Name {
	return Name{Home: c.Home, Identity: c.Status.Identity, Session: c.Status.Session}
}

// Close closes the connection.
func (c *Client) Close() { c.conn.Close() }

// ReceiveReply reads an answer.
func (c *Conn) ReceiveReply() (Reply, error) {
	var reply Reply
	files, err := c.Receive(&reply)
	CloseFiles(files)
	return reply, err
}
