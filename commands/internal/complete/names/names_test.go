package names

import (
	"bytes"
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"otrpipe/commands/internal/complete"
	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/halves"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func texts(words []complete.Word) (texts []string) {
	for _, w := range words {
		texts = append(texts, w.Text)
	}
	return texts
}

func TestATildeIsTheUsersFolder(t *testing.T) {
	user := t.TempDir()
	t.Setenv("HOME", user)
	for typed, want := range map[string]string{
		"~/keys": filepath.Join(user, "keys"),
		"/keys":  "/keys",
		"keys":   "keys",
	} {
		if got := Home(typed).Dir(); got != want {
			t.Errorf("%s is %s, not %s", typed, got, want)
		}
	}
}

func TestAHomeThatIsNotThereOffersNothing(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	for _, words := range [][]complete.Word{Identities(home), Contacts(home), Fingerprints(home, ""), Sessions(home), WaitingFor(home, "encrypt-stream")} {
		if len(words) != 0 {
			t.Errorf("offered is %v", words)
		}
	}
	if _, err := os.Stat(home.Dir()); err == nil {
		t.Error("completion has made the home")
	}
}

func TestIdentitiesAndContactsAreOfferedByName(t *testing.T) {
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	id, err := keyfile.Generate("work", rand.Reader, false)
	must(t, err)
	defer id.Wipe()
	must(t, home.Create(id, nil))
	var fps []keys.Fingerprint
	for i, contact := range []string{"bob", "carol"} {
		fp, err := keys.FingerprintFromBytes(bytes.Repeat([]byte{byte(i)}, keys.FingerprintLen3))
		must(t, err)
		must(t, home.RememberKey(contact, fp, keyfile.Verified, time.Now()))
		fps = append(fps, fp)
	}
	if got := texts(Identities(home)); !slices.Equal(got, []string{"work"}) {
		t.Errorf("the identities are %q", got)
	}
	if got := texts(Contacts(home)); !slices.Equal(got, []string{"bob", "carol"}) {
		t.Errorf("the contacts are %q", got)
	}
	if got := texts(Fingerprints(home, "")); !slices.Equal(got, []string{fps[0].Hex(), fps[1].Hex()}) {
		t.Errorf("the fingerprints are %q", got)
	}
	want := []complete.Word{{Text: fps[1].Hex(), Means: "carol, OTRv3, verified by hand"}}
	if got := Fingerprints(home, "carol"); !slices.Equal(got, want) {
		t.Errorf("the fingerprints of carol are %q", got)
	}
}

// A sessionHost answers for a session what completion asks.
type sessionHost struct{ control.Reply }

func (h sessionHost) Handle(context.Context, *control.Request) control.Reply { return h.Reply }

func (h sessionHost) Join(conn *control.Conn, _ *control.Join, files []*os.File) {
	control.CloseFiles(files)
	conn.Close()
}

// A meeting is a folder where the sessions of a home, and of others, meet.
type meeting struct {
	dir, path string
	home      *keyfile.Home
}

func newMeeting(t *testing.T) *meeting {
	t.Helper()
	run, err := os.MkdirTemp("", "run") // a socket's path has to be short
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(run) })
	t.Setenv("XDG_RUNTIME_DIR", run)
	m := &meeting{home: keyfile.Open(t.TempDir())}
	m.dir, err = control.Dir()
	must(t, err)
	m.path, err = m.home.RealPath()
	must(t, err)
	return m
}

// listen takes the name of a session of a home, without an answer to anybody.
func (m *meeting) listen(t *testing.T, home, session string) *control.Listener {
	t.Helper()
	l, err := control.Listen(m.dir, control.Name{Home: home, Identity: "default", Session: session})
	must(t, err)
	t.Cleanup(l.Close)
	return l
}

// serve has a session of the home answer; waits is the half that waits in it, if any.
func (m *meeting) serve(t *testing.T, session, waits string) {
	t.Helper()
	l := m.listen(t, m.path, session)
	served := make(chan struct{})
	go func() {
		l.Serve(sessionHost{control.Reply{Status: &control.Status{Session: session}, Home: m.path, Waits: waits}})
		close(served)
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
}

func TestTheHomesSessionsAreOfferedThoughOneIsStopped(t *testing.T) {
	m := newMeeting(t)
	m.serve(t, "talk", "")
	m.listen(t, m.path, "stopped")
	m.listen(t, "/home/another", "another")
	if got := texts(Sessions(m.home)); !slices.Equal(got, []string{"stopped", "talk"}) {
		t.Errorf("the sessions are %q", got)
	}
}

func TestAHalfIsOfferedTheSessionsThatWaitForIt(t *testing.T) {
	m := newMeeting(t)
	m.serve(t, "talk", "")
	m.serve(t, "half", halves.Decrypt)
	var got []string
	for begun := time.Now(); time.Since(begun) < 20*time.Second; { // a busy machine may answer too late
		if got = texts(WaitingFor(m.home, halves.Encrypt)); len(got) > 0 {
			break
		}
	}
	if !slices.Equal(got, []string{"half"}) {
		t.Errorf("%q wait for encrypt-stream", got)
	}
	if got := texts(WaitingFor(m.home, halves.Decrypt)); len(got) > 0 {
		t.Errorf("%q wait for decrypt-stream", got)
	}
}
