package live

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transport"
	"otrpipe/keyfile"
)

// A tcpEnd is an end whose way is TCP, with a session of its own.
type tcpEnd struct {
	*Session
	messages string        // the file of its messages
	received <-chan string // what has arrived, at the end
	ended    <-chan error
}

// overTCP runs a session over a way.
func overTCP(t *testing.T, who int, secret string, values options.Values, way Way, payload string) *tcpEnd {
	t.Helper()
	o, err := values.Options([]byte(secret))
	if secret == "" {
		o.SMP = nil
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	name := control.Name{Home: dir, Identity: "default", Session: "tcp"}
	listener, err := control.Listen(dir, name)
	if err != nil {
		t.Fatal(err)
	}
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nowhere.Close() })
	e := &tcpEnd{messages: filepath.Join(dir, "messages")}
	messages, err := os.Create(e.messages)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { messages.Close() })
	e.Session = New(Config{
		IO: terminal.NewIO("otrpipe", nowhere, nowhere, messages), Name: name, Dir: dir,
		Home: keyfile.Open(filepath.Join(dir, "home")), Listener: listener,
	})
	go listener.Serve(e.Session)
	identity := *identities()[who]
	conversation, err := e.Prepare(Setup{Options: o, Open: func(<-chan struct{}) (*keyfile.Identity, error) { return &identity, nil }})
	if err != nil {
		t.Fatal(err)
	}
	out, in := io.Pipe()
	received, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		b, _ := io.ReadAll(out)
		received <- string(b)
	}()
	go func() {
		err := e.RunOver(way, messages, conversation, func() (*Payload, error) {
			return &Payload{In: strings.NewReader(payload), Out: in, DoneOut: in.Close}, nil
		})
		in.Close()
		e.identity = nil // the test's keys are not to be wiped
		ended <- e.Finish(err)
	}()
	e.received, e.ended = received, ended
	t.Cleanup(func() {
		e.Stop(errors.New("the test is over"), "")
		<-e.Over()
	})
	return e
}

func (e *tcpEnd) told(t *testing.T) string {
	t.Helper()
	e.Messages.Flush(patience)
	b, err := os.ReadFile(e.messages)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func listenTCP(t *testing.T) *transport.Listener {
	t.Helper()
	l, err := transport.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

var version3 = options.Values{options.OTRFlag: {"3"}}

func TestCallersThatFailDoNotEndTheListeningAndTheRightOneDoes(t *testing.T) {
	t.Parallel() // it waits
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
	l := listenTCP(t)
	address := l.Address()
	here := overTCP(t, 0, "sesame", version3, Way{Listener: l}, "from here")
	// A wrong word, and nothing that is a secret at all.
	wrong := overTCP(t, 1, "Sesame", version3, Way{Dial: address}, "never sent")
	if err := wait(t, wrong.ended); exit.As(err).Code != exit.SMP {
		t.Errorf("the caller with a wrong word leaves with %v", err)
	}
	nonsense, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nonsense.Close()
	_, _ = io.WriteString(nonsense, "?OTRv3?\nand then nothing of OTR\n")
	_ = nonsense.(*net.TCPConn).CloseWrite()
	// It is heard out before the right one calls.
	_, _ = io.ReadAll(nonsense)
	right := overTCP(t, 1, "sesame", version3, Way{Dial: address}, "from there")
	for _, e := range []*tcpEnd{right, here} {
		if err := wait(t, e.ended); err != nil {
			t.Errorf("%v\n%s", err, e.told(t))
		}
	}
	if got := wait(t, here.received); got != "from there" {
		t.Errorf("%q arrived here", got)
	}
	if got := wait(t, right.received); got != "from here" {
		t.Errorf("%q arrived there", got)
	}
	if got := wait(t, wrong.received); got != "" {
		t.Errorf("%q arrived at the caller with a wrong word", got)
	}
	told := here.told(t)
	for _, want := range []string{
		"listening on " + address + "\n", "was turned away: SMP failed", "callers turned away: 1\n", "callers turned away: 2\n",
		"before the secrets are compared", // a failed comparison costs time, whoever has called
	} {
		if !strings.Contains(told, want) {
			t.Errorf("nothing says %q:\n%s", want, told)
		}
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("somebody still listens")
	}
}

func TestAWrongKeyDoesNotEndTheListening(t *testing.T) {
	t.Parallel() // it waits
	l := listenTCP(t)
	address := l.Address()
	expect := options.Values{options.OTRFlag: {"3"}, options.ExpectFlag: {identities()[1].Public().Keys[0].Hex()}}
	here := overTCP(t, 0, "", expect, Way{Listener: l}, "")
	wrong := overTCP(t, 0, "", version3, Way{Dial: address}, "not for sending")
	if err := wait(t, wrong.ended); exit.As(err).Code != exit.Broken {
		t.Errorf("the caller with a wrong key leaves with %v", err)
	}
	right := overTCP(t, 1, "", version3, Way{Dial: address}, "the payload")
	for _, e := range []*tcpEnd{right, here} {
		if err := wait(t, e.ended); err != nil {
			t.Errorf("%v\n%s", err, e.told(t))
		}
	}
	if got := wait(t, here.received); got != "the payload" {
		t.Errorf("%q arrived", got)
	}
}

func TestASessionThatListensCanBeStopped(t *testing.T) {
	here := overTCP(t, 0, "", version3, Way{Listener: listenTCP(t)}, "")
	here.Stop(exit.Silently(130), "interrupted")
	if err := wait(t, here.ended); exit.As(err).Code != 130 {
		t.Errorf("it leaves with %v", err)
	}
}

func TestDiallingIsBoundByTheTimeLimitAndCanBeStopped(t *testing.T) {
	l := listenTCP(t)
	address := l.Address()
	l.Close()
	short := options.Values{options.OTRFlag: {"3"}, options.TimeoutFlag: {"300ms"}}
	err := wait(t, overTCP(t, 0, "", short, Way{Dial: address}, "").ended)
	if e := exit.As(err); e.Code != exit.Timeout || !strings.Contains(err.Error(), "refused") || !strings.Contains(e.Hint, "--timeout") {
		t.Errorf("it leaves with %v", err)
	}
	long := overTCP(t, 0, "", version3, Way{Dial: address}, "")
	long.Stop(exit.Silently(143), "interrupted")
	if err := wait(t, long.ended); exit.As(err).Code != 143 {
		t.Errorf("it leaves with %v", err)
	}
}

func TestAPortThatClosesAtOnceIsDialledAgain(t *testing.T) {
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := nobody.Addr().String()
	there := overTCP(t, 1, "", version3, Way{Dial: address}, "hello")
	conn, err := nobody.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	nobody.Close()
	l, err := transport.Listen(address, nil)
	if err != nil {
		t.Fatal(err)
	}
	here := overTCP(t, 0, "", version3, Way{Listener: l}, "")
	for _, e := range []*tcpEnd{there, here} {
		if err := wait(t, e.ended); err != nil {
			t.Errorf("%v\n%s", err, e.told(t))
		}
	}
	if got := wait(t, here.received); got != "hello" {
		t.Errorf("%q arrived", got)
	}
}
