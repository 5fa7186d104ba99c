//go:build unix

package control

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"syscall"
	"testing"
	"time"
)

// connected returns both ends of a connection that no listener is needed for.
func connected(t testing.TB) (a, b *Conn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]*Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "socket")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = newConn(c.(*net.UnixConn))
		t.Cleanup(conns[i].Close)
	}
	return conns[0], conns[1]
}

// FuzzReceive gives a process any bytes where messages belong: what is taken for a message
// is the same message after it was sent on, and what is refused leaves no secret behind.
func FuzzReceive(f *testing.F) {
	for _, m := range []Message{
		&Request{Status: true},
		&Request{Join: &Join{Half: "decrypt-stream", Flags: map[string][]string{"otr": {"34"}}, SMPSecret: []byte("secret"), Passphrase: []byte{}}},
		&Request{SMP: &SMP{Secret: []byte("secret"), Question: "why?", Timeout: time.Second, Run: 3}},
		&Request{ExtraKey: &ExtraKey{Use: 7, Data: []byte("data")}},
		&Reply{Code: 4, Error: "no", Key: bytes.Repeat([]byte{1}, 32), Status: &Status{State: StateEncrypted}},
	} {
		a, b := connected(f)
		if err := a.Send(m); err != nil {
			f.Fatal(err)
		}
		a.Close()
		text, err := io.ReadAll(b.c)
		if err != nil {
			f.Fatal(err)
		}
		_, reply := m.(*Reply)
		f.Add(reply, text)
	}
	f.Fuzz(func(t *testing.T, reply bool, text []byte) {
		if len(text) > 32<<10 {
			return // what a socket holds without a reader
		}
		empty := func() Message {
			if reply {
				return new(Reply)
			}
			return new(Request)
		}
		a, b := connected(t)
		if _, err := a.c.Write(text); err != nil {
			t.Fatal(err)
		}
		a.c.CloseWrite()
		m := empty()
		files, err := b.Receive(m)
		if len(files) > 0 {
			t.Fatalf("%d files came from nowhere", len(files))
		}
		if err != nil {
			for _, secret := range m.secrets() {
				if *secret != nil {
					t.Fatalf("%v, and yet a secret of %d bytes", err, len(*secret))
				}
			}
			return
		}
		c, d := connected(t)
		if err := c.Send(m); err != nil {
			t.Fatalf("%+v was received and cannot be sent: %v", m, err)
		}
		again := empty()
		if _, err := d.Receive(again); err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%+v became %+v: %v", m, again, err)
		}
	})
}

// FuzzHost gives a process any bytes where another has recorded which session it hosts. What is
// accepted is the same when it is written again, and what is refused names no session.
func FuzzHost(f *testing.F) {
	path := filepath.Join(f.TempDir(), "host")
	name := Name{Home: "/home", Identity: "default", Session: "\x00é\n"}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		f.Fatal(err)
	}
	if err := writeHost(path, name); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"Home":"/home","PID":"7"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "host")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var s Silent
		if !readHost(path, &s) {
			if s != (Silent{}) {
				t.Fatalf("refused, and yet %+v", s)
			}
			return
		}
		if err := writeHost(path, s.Name); err != nil {
			t.Fatal(err)
		}
		var again Silent
		if !readHost(path, &again) || again.Name != s.Name || again.PID != os.Getpid() {
			t.Fatalf("%q became %+v, then %+v", text, s, again)
		}
	})
}
