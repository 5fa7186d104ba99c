//go:build unix

package control

import (
	"context"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A host answers for a session.
type host struct {
	handle func(context.Context, *Request) Reply
	joined chan *Conn
}

func (h host) Handle(ctx context.Context, r *Request) Reply {
	if r.Status {
		return Reply{Status: &Status{Session: "default"}, Home: "/home/alice"}
	}
	return h.handle(ctx, r)
}

func (h host) Join(conn *Conn, join *Join, files []*os.File) {
	CloseFiles(files)
	h.joined <- conn
}

// serve hosts a session and returns a client of it.
func serve(t *testing.T, h host) (*Listener, *Client, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		l.Serve(h)
		close(done)
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	found, _ := Find(dir, patience, Filter{})
	if len(found) != 1 || found[0].Status.Session != "default" || found[0].Home != "/home/alice" {
		t.Fatalf("found %+v", found)
	}
	t.Cleanup(found[0].Close)
	return l, found[0], dir
}

func wait[T any](t *testing.T, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened")
	}
	return v
}

func TestAClientHearsWhatBecameOfItsRequest(t *testing.T) {
	refused := exit.Errorf(exit.Refused, "refused").WithHint("100%% sure")
	_, c, _ := serve(t, host{handle: func(_ context.Context, r *Request) Reply {
		switch {
		case r.Refresh:
			return ReplyOf(refused)
		case r.End:
			return ReplyOf(exit.Silently(5))
		}
		return Reply{Key: []byte("key")}
	}})
	if _, err := c.Do(t.Context(), Request{Refresh: true}); exit.As(err).Code != exit.Refused || exit.As(err).Hint != "100% sure" || err.Error() != "refused" {
		t.Errorf("refresh: %+v", exit.As(err))
	}
	if _, err := c.Do(t.Context(), Request{End: true}); exit.As(err).Code != 5 || !exit.As(err).Silent {
		t.Errorf("end: %+v", exit.As(err))
	}
	if reply, err := c.Do(t.Context(), Request{ExtraKey: &ExtraKey{}}); err != nil || string(reply.Key) != "key" {
		t.Errorf("extra key: %+v, %v", reply, err)
	}
}

func TestARequestEndsWithTheProcessThatAsked(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	_, c, _ := serve(t, host{handle: func(ctx context.Context, _ *Request) Reply {
		close(begun)
		<-ctx.Done()
		close(ended)
		return Reply{}
	}})
	ctx, leave := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := c.Do(ctx, Request{Refresh: true})
		result <- err
	}()
	wait(t, begun)
	leave()
	wait(t, ended)
	if err := wait(t, result); !errors.Is(err, context.Canceled) {
		t.Errorf("the client hears %v", err)
	}
}

func TestTheHostWaitsForItsLastAnswers(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	l, c, _ := serve(t, host{handle: func(context.Context, *Request) Reply {
		close(begun)
		<-end
		return Reply{Home: "over"}
	}})
	result := make(chan Reply, 1)
	go func() {
		reply, _ := c.Do(context.Background(), Request{End: true})
		result <- reply
	}()
	wait(t, begun)
	l.Close()
	l.Drain(time.Millisecond) // gives up
	drained := make(chan struct{})
	go func() {
		l.Drain(patience)
		close(drained)
	}()
	select {
	case <-drained:
		t.Fatal("an answer was forgotten")
	case <-time.After(10 * time.Millisecond):
	}
	close(end)
	wait(t, drained)
	if reply := wait(t, result); reply.Home != "over" {
		t.Errorf("the answer is %+v", reply)
	}
}

func TestASessionThatEndsEndsItsClients(t *testing.T) {
	_, c, _ := serve(t, host{handle: func(context.Context, *Request) Reply { return Reply{} }})
	c.conn.Close()
	if _, err := c.Do(t.Context(), Request{End: true}); exit.As(err).Code != exit.Session {
		t.Errorf("%v", err)
	}
}

func TestAHalfIsHandedOverWithItsConnection(t *testing.T) {
	h := host{joined: make(chan *Conn, 1)}
	_, _, dir := serve(t, h)
	half, err := Dial(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if err := half.Send(&Request{Join: &Join{Half: "decrypt-stream"}}); err != nil {
		t.Fatal(err)
	}
	conn := wait(t, h.joined)
	defer conn.Close()
	if err := conn.Reply(Reply{Home: "welcome"}); err != nil {
		t.Fatal(err)
	}
	if reply, err := half.ReceiveReply(); err != nil || reply.Home != "welcome" {
		t.Errorf("%+v, %v", reply, err)
	}
}

func TestAProcessThatSendsNoRequestIsTurnedAway(t *testing.T) {
	_, _, dir := serve(t, host{})
	stranger, err := Dial(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if _, err := stranger.c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	stranger.SetDeadline(time.Now().Add(patience))
	if _, err := stranger.ReceiveReply(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it was not turned away: %v", err)
	}
}

func TestAProcessThatSaysNothingIsTurnedAwayInTime(t *testing.T) {
	for _, said := range []string{"", "\x00\x00\x00\x10{"} {
		dir := t.TempDir()
		l, err := Listen(dir, alice)
		if err != nil {
			t.Fatal(err)
		}
		if l.greeting != Greeting {
			t.Errorf("it may take %v", l.greeting)
		}
		l.greeting = 10 * time.Millisecond
		silent, err := Dial(dir, alice)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := silent.c.Write([]byte(said)); err != nil {
			t.Fatal(err)
		}
		over := make(chan struct{})
		go func() {
			l.Serve(host{})
			close(over)
		}()
		silent.SetDeadline(time.Now().Add(patience / 6))
		if _, err := silent.ReceiveReply(); !errors.Is(err, io.EOF) {
			t.Errorf("after %q it was not turned away: %v", said, err)
		}
		silent.Close()
		l.Close()
		<-over
	}
}
