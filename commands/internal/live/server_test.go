//go:build unix

package live

import (
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

// serve starts a server on a free port of loopback, and yields the sessions that it hosts. It
// cannot host a session for the first callers, one for each failure, because of that.
func serve(t *testing.T, secret string, most int, script string, failures ...error) (address string, hosted <-chan *Session, ended <-chan error) {
	t.Helper()
	dir := t.TempDir()
	nowhere, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nowhere.Close() })
	streams := terminal.NewIO("otrpipe", nowhere, nowhere, nowhere)
	o, err := version3.Options([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	if secret == "" {
		o.SMP = nil
	}
	dsa, err := keys.GenerateDSA(mathrand.NewChaCha8([32]byte{2})) // it is wiped at the end
	if err != nil {
		t.Fatal(err)
	}
	opened, hosts, l, sessions := false, 0, listenTCP(t), make(chan *Session, 100)
	server := &Server{
		IO: streams, Listener: l, Max: most, Command: []string{"sh", "-c", script}, Options: o,
		Setup: Setup{Open: func(<-chan struct{}) (*keyfile.Identity, error) {
			if opened {
				t.Error("the identity is opened once more")
			}
			opened = true
			return &keyfile.Identity{Name: "default", InstanceTag: 0x200, DSA: dsa}, nil
		}},
		Host: func() (*Session, error) {
			if hosts++; hosts <= len(failures) {
				return nil, exit.Failed(&fs.PathError{Op: "open", Path: "lock", Err: failures[hosts-1]})
			}
			name := control.Name{Home: dir, Identity: "default", Session: fmt.Sprint(hosts)}
			listener, err := control.Listen(dir, name)
			if err != nil {
				return nil, err
			}
			s := New(Config{IO: streams, Name: name, Dir: dir, Home: keyfile.Open(filepath.Join(dir, "home")), Listener: listener, OneOfMany: true})
			go listener.Serve(s)
			sessions <- s
			return s, nil
		},
	}
	result := make(chan error, 1)
	go func() { result <- server.Run() }()
	return l.Address(), sessions, result
}

func TestAServerHasASessionForEachCallerUntilASignalEndsIt(t *testing.T) {
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
	address, hosted, ended := serve(t, "sesame", 2, "cat; echo and goodbye")
	// A wrong word gets no application, and keeps nobody out.
	wrong := overTCP(t, 1, "Sesame", version3, Way{Dial: address}, "never sent")
	if err := wait(t, wrong.ended); exit.As(err).Code != exit.SMP {
		t.Errorf("a caller with a wrong word leaves with %v", err)
	}
	callers := []*tcpEnd{
		overTCP(t, 1, "sesame", version3, Way{Dial: address}, "first\n"),
		overTCP(t, 1, "sesame", version3, Way{Dial: address}, "second\n"),
	}
	for i, word := range []string{"first", "second"} {
		if err := wait(t, callers[i].ended); err != nil {
			t.Errorf("the %s caller leaves with %v", word, err)
		}
		if got := wait(t, callers[i].received); got != word+"\nand goodbye\n" {
			t.Errorf("the %s caller gets %q", word, got)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, ended); exit.As(err).Code != 143 {
		t.Errorf("the server leaves with %v", err)
	}
	for range 3 {
		wait(t, wait(t, hosted).Over())
	}
	if len(hosted) != 0 {
		t.Errorf("there were %d more sessions than callers", len(hosted))
	}
}

func TestAServerHasNoMoreSessionsAtOnceThanItMay(t *testing.T) {
	address, hosted, ended := serve(t, "", 1, "echo ready; cat")
	first := overTCP(t, 1, "", version3, Way{Dial: address}, "one")
	second := overTCP(t, 1, "", version3, Way{Dial: address}, "two")
	s := wait(t, hosted)
	wait(t, hosted)
	select {
	case <-s.Over():
	default:
		t.Error("two sessions run at once")
	}
	for _, caller := range []*tcpEnd{first, second} {
		if err := wait(t, caller.ended); err != nil {
			t.Error(err)
		}
		if got := wait(t, caller.received); !strings.HasPrefix(got, "ready\n") {
			t.Errorf("%q arrived", got)
		}
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, ended); exit.As(err).Code != 130 {
		t.Errorf("the server leaves with %v", err)
	}
}

// speak calls a server, says that it speaks OTR, and returns once the server has closed the
// connection.
func speak(t *testing.T, address string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("?OTRv3?\n")); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err == nil && len(got) > 0 {
		t.Errorf("the server says %q", got)
	}
}

func TestAServerThatHasRunOutOfSomethingTurnsTheCallerAwayAndGoesOn(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the server waits for seconds")
	}
	address, hosted, ended := serve(t, "", 1, "echo ready; cat", syscall.EMFILE, syscall.ENOSPC)
	speak(t, address)
	speak(t, address)
	caller := overTCP(t, 1, "", version3, Way{Dial: address}, "one")
	select {
	case err := <-ended:
		t.Fatalf("the server leaves with %v", err)
	case err := <-caller.ended:
		if err != nil {
			t.Errorf("the next caller leaves with %v", err)
		}
	}
	if got := wait(t, caller.received); got != "ready\none" {
		t.Errorf("%q arrived", got)
	}
	wait(t, hosted)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, ended); exit.As(err).Code != 143 {
		t.Errorf("the server leaves with %v", err)
	}
}

// TestAServerThatCannotHostASessionGoesOn ends no other session because of that.
func TestAServerThatCannotHostASessionGoesOn(t *testing.T) {
	address, hosted, ended := serve(t, "", 1, "cat", syscall.EACCES)
	speak(t, address)
	dialStalled(t, address) // it waits a moment after the failure
	select {
	case err := <-ended:
		t.Fatalf("the server leaves with %v", err)
	case <-hosted:
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := wait(t, ended); exit.As(err).Code != 143 {
		t.Errorf("the server leaves with %v", err)
	}
}

func TestASignalOfTheServersDoesNotEndTheProcessTwice(t *testing.T) {
	s := newSession(t, "one of many")
	s.cfg.OneOfMany = true
	s.Stop(exit.Silently(143), "interrupted") // by the server, which has heard the signal first
	s.Signal(syscall.SIGTERM)                 // and by itself; else this process is over
	if err := s.Finish(s.Cause()); exit.As(err).Code != 143 {
		t.Errorf("it leaves with %v", err)
	}
}
