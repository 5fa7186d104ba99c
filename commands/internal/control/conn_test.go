//go:build unix

package control

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"reflect"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// pair returns both ends of a connection to a session's host.
func pair(t *testing.T) (host, guest *Conn) {
	t.Helper()
	dir := t.TempDir()
	listener, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(listener.Close)
	if guest, err = Dial(dir, alice); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(guest.Close)
	if host, err = listener.accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(host.Close)
	return host, guest
}

func TestAHalfHandsItsStreamsOver(t *testing.T) {
	host, guest := pair(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := guest.Send(&Request{Join: &Join{Half: "decrypt-stream"}}, w); err != nil {
		t.Fatal(err)
	}
	w.Close()

	var request Request
	files, err := host.Receive(&request)
	if err != nil {
		t.Fatal(err)
	}
	if request.Join == nil || request.Join.Half != "decrypt-stream" || len(files) != 1 {
		t.Fatalf("received %+v with %d files", request, len(files))
	}
	if _, err := files[0].WriteString("through the other process"); err != nil {
		t.Fatal(err)
	}
	CloseFiles(files)
	if got, _ := io.ReadAll(r); string(got) != "through the other process" {
		t.Errorf("the pipe carried %q", got)
	}
}

func TestSecretsAreInNoText(t *testing.T) {
	secret := []byte("sesame")
	for _, m := range []Message{
		&Request{Join: &Join{SMPSecret: secret, Passphrase: secret}},
		&Request{SMP: &SMP{Secret: secret}},
		&Reply{Key: secret},
	} {
		text, err := json.Marshal(m)
		if err != nil || bytes.Contains(text, secret) || bytes.Contains(text, []byte("c2VzYW1l")) {
			t.Errorf("%s, %v", text, err)
		}
		host, guest := pair(t)
		if err := guest.Send(m); err != nil {
			t.Fatal(err)
		}
		got := Message(new(Request))
		if _, ok := m.(*Reply); ok {
			got = new(Reply)
		}
		if _, err := host.Receive(got); err != nil || len(got.secrets()) != len(m.secrets()) {
			t.Fatalf("%v", err)
		}
		for i, place := range got.secrets() {
			if !bytes.Equal(*place, *m.secrets()[i]) {
				t.Errorf("%+v: secret %d is %q", m, i, *place)
			}
		}
		wipeSecrets(got)
		for _, place := range got.secrets() {
			if *place != nil {
				t.Errorf("%q is left", *place)
			}
		}
		if string(secret) != "sesame" {
			t.Fatal("the sender's is wiped")
		}
	}
}

// What was given and is empty is not what was not given.
func TestASecretThatIsEmptyIsNotOneThatIsMissing(t *testing.T) {
	host, guest := pair(t)
	long := bytes.Repeat([]byte{'s'}, maxSecret)
	for _, want := range []Join{{}, {SMPSecret: []byte{}}, {Passphrase: []byte{}, SMPSecret: long}, {Passphrase: long}} {
		if err := guest.Send(&Request{Join: &want}); err != nil {
			t.Fatal(err)
		}
		var request Request
		if _, err := host.Receive(&request); err != nil || !reflect.DeepEqual(*request.Join, want) {
			t.Errorf("%+v, %v", request.Join, err)
		}
	}
	if err := guest.Send(&Request{Join: &Join{Passphrase: append(long, 's')}}); !errors.Is(err, ErrMessage) {
		t.Errorf("a secret that is too long: %v", err)
	}
}

func TestMessagesKeepTheirOrderAndTheirSize(t *testing.T) {
	host, guest := pair(t)
	long := bytes.Repeat([]byte{0xa5}, 100<<10)
	go func() {
		for i := range 10 {
			if err := guest.Send(&Request{ExtraKey: &ExtraKey{Use: uint32(i), Data: long}}); err != nil {
				t.Error(err)
			}
		}
		guest.Close()
	}()
	for i := range 10 {
		var request Request
		if _, err := host.Receive(&request); err != nil {
			t.Fatal(err)
		}
		if k := request.ExtraKey; k == nil || k.Use != uint32(i) || !bytes.Equal(k.Data, long) {
			t.Fatalf("message %d came as another", i)
		}
	}
	var request Request
	if _, err := host.Receive(&request); !errors.Is(err, io.EOF) {
		t.Errorf("after the last message: %v, want EOF", err)
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	t.Run("not JSON", func(t *testing.T) {
		host, guest := pair(t)
		if _, err := guest.c.Write([]byte("hello\n")); err != nil {
			t.Fatal(err)
		}
		var request Request
		if _, err := host.Receive(&request); !errors.Is(err, ErrMessage) {
			t.Errorf("got %v", err)
		}
	})
	for name, sent := range map[string]string{
		"a text that is too long":   "\x00\x04\x00\x01",
		"a secret that is too long": "\x00\x00\x00\x0a{\"smp\":{}}\x00\x00\x10\x02",
		"no JSON":                   "\x00\x00\x00\x03yes",
	} {
		t.Run(name, func(t *testing.T) {
			host, guest := pair(t)
			if _, err := guest.c.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			host.SetDeadline(time.Now().Add(10 * time.Second)) // it waits for no more of the message
			var request Request
			if _, err := host.Receive(&request); !errors.Is(err, ErrMessage) {
				t.Errorf("got %v", err)
			}
		})
	}
	for _, sent := range []string{"\x00", "\x00\x00\x00\x0a{\"smp\"", "\x00\x00\x00\x0a{\"smp\":{}}\x00\x00", "\x00\x00\x00\x0a{\"smp\":{}}\x00\x00\x00\x09sesame"} {
		t.Run(fmt.Sprintf("%d bytes of one", len(sent)), func(t *testing.T) {
			host, guest := pair(t)
			if _, err := guest.c.Write([]byte(sent)); err != nil {
				t.Fatal(err)
			}
			guest.Close()
			var request Request
			if _, err := host.Receive(&request); !errors.Is(err, io.EOF) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("too many files", func(t *testing.T) {
		host, guest := pair(t)
		many := make([]*os.File, maxFiles+1)
		for i := range many {
			many[i] = os.Stderr
		}
		if err := guest.Send(&Request{Status: true}, many...); err != nil {
			t.Fatal(err)
		}
		var request Request
		if files, err := host.Receive(&request); err == nil {
			t.Errorf("%d files were let in", len(files))
		}
	})
	t.Run("too many files in several parts", func(t *testing.T) {
		host, guest := pair(t)
		text := []byte(`{"status":true}`)
		parts := [][]byte{{0, 0, 0, byte(len(text))}, text[:5], text[5:]}
		for _, part := range parts { // none of them has too many by itself
			if _, _, err := guest.c.WriteMsgUnix(part, rightsOf([]*os.File{os.Stderr, os.Stderr}), nil); err != nil {
				t.Fatal(err)
			}
		}
		var request Request
		if files, err := host.Receive(&request); !errors.Is(err, ErrMessage) {
			t.Errorf("%d files were let in: %v", len(files), err)
			CloseFiles(files)
		}
	})
}

// TestDialHelper is no test: it is the other user's process in the test
// below.
func TestDialHelper(t *testing.T) {
	dir := os.Getenv("SESSION_TEST_DIR")
	if dir == "" {
		t.Skip("started by another test")
	}
	c, err := Dial(dir, alice)
	if err != nil {
		os.Stdout.WriteString("refused: " + err.Error() + "\n")
		return
	}
	_ = c.Send(&Request{Status: true})
	var reply Reply
	_, err = c.Receive(&reply)
	os.Stdout.WriteString("answer: " + err.Error() + "\n")
}

func TestAnotherUsersProcessIsNotLetIn(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to become another user")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("needs a user nobody")
	}
	uid, _ := strconv.ParseUint(nobody.Uid, 10, 32)
	// The file modes alone would keep the stranger out; they are opened so
	// that the check of the peer's credentials is what is tested.
	dir, err := os.MkdirTemp("/tmp", "otr")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	listener, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	for path, mode := range map[string]os.FileMode{dir: 0o755, dir + "/" + alice.file() + socketSuffix: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	program := dir + "/stranger"
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip("needs /proc")
	}
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	let := make(chan bool, 1)
	go func() {
		c, err := listener.accept()
		if err == nil {
			c.Close() // or the stranger would wait for an answer
		}
		let <- err == nil
	}()
	stranger := exec.Command(program, "-test.run=^TestDialHelper$")
	stranger.Dir = dir
	stranger.Env = []string{"SESSION_TEST_DIR=" + dir}
	stranger.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	out, err := stranger.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if !strings.Contains(string(out), "another user") {
		t.Errorf("the stranger talked to us: %s", out)
	}
	listener.Close()
	if <-let {
		t.Error("the host let the stranger in")
	}
}
