package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"otrpipe/commands/internal/exit"
)

// A Client is a connection to a live session, for a process that asks something
// of it. It is for one goroutine.
type Client struct {
	Status *Status // when the session was found; not nil
	Home   string  // where its identity is
	Waits  string  // the half that waits for the other one; "": neither
	Asked  *string // the question that the peer's SMP waits with; nil: it does not
	Run    uint64  // tells that question from others
	conn   *Conn
}

// Find connects to every live session of the user whose socket is in dir, sorted by
// session and identity. A session that does not answer within the limit, or comes
// or goes just now, is left out. The clients are to be closed.
func Find(dir string, limit time.Duration) []*Client {
	conns, err := connectAll(dir)
	if err != nil {
		return nil // no folder: no sessions
	}
	var all []*Client
	for _, conn := range conns {
		conn.SetDeadline(time.Now().Add(limit))
		if conn.Send(Request{Status: true}) == nil {
			if reply, err := conn.ReceiveReply(); err == nil && reply.Status != nil {
				conn.SetDeadline(time.Time{})
				all = append(all, &Client{reply.Status, reply.Home, reply.Waits, reply.Asked, reply.Run, conn})
				continue
			}
		}
		conn.Close()
	}
	slices.SortFunc(all, func(a, b *Client) int {
		return strings.Compare(a.Status.Session+"\x00"+a.Status.Identity, b.Status.Session+"\x00"+b.Status.Identity)
	})
	return all
}

// Do sends a request to the session and returns its answer, and the error that the
// answer tells of. Where ctx ends before, the session notices that nobody waits
// any longer, and the Client is closed.
func (c *Client) Do(ctx context.Context, r Request) (Reply, error) {
	stop := context.AfterFunc(ctx, c.conn.Close)
	defer stop()
	if err := c.conn.Send(r); err != nil {
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

// Close closes the connection.
func (c *Client) Close() { c.conn.Close() }

// ReceiveReply reads an answer.
func (c *Conn) ReceiveReply() (Reply, error) {
	var reply Reply
	files, err := c.Receive(&reply)
	CloseFiles(files)
	return reply, err
}
