//go:build unix

package offline

import (
	"bytes"
	"errors"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/keyfile"
	"otrpipe/otr/keys"
	protocol "otrpipe/otr/offline"
	"otrpipe/testscripts/slowtest"
)

// A person has a home with one identity.
type person struct {
	t    *testing.T
	home *keyfile.Home
	id   *keyfile.Identity
}

// seeds are those of identities whose primes are found soon. People take turns with them, so that those
// of one test have different keys.
var (
	seeds  = [...]byte{2, 3, 22, 30, 61, 66}
	people int
)

func newPerson(t *testing.T, name string) *person {
	t.Helper()
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	id, err := keyfile.Generate(name, mathrand.NewChaCha8([32]byte{seeds[people%len(seeds)]}), false)
	people++
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Create(id, nil); err != nil {
		t.Fatal(err)
	}
	return &person{t, home, id}
}

func (p *person) fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(p.id.Ed448.Public(), p.id.Forging)
}

// A run is one run of the program.
type run struct {
	*Config
	out, messages *os.File
}

// run prepares one with this input, and with the contact and the level of trust that flags
// would say.
func (p *person) run(input []byte, contact string, level trust.Level) *run {
	p.t.Helper()
	var files []*os.File
	for _, content := range [][]byte{input, nil, nil} {
		f, err := os.Create(filepath.Join(p.t.TempDir(), "file"))
		if err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { f.Close() })
		if _, err := f.Write(content); err != nil {
			p.t.Fatal(err)
		}
		if _, err := f.Seek(0, 0); err != nil {
			p.t.Fatal(err)
		}
		files = append(files, f)
	}
	return &run{&Config{
		IO: terminal.NewIO("otrpipe", files[0], files[1], files[2]), Home: p.home, Identity: p.id,
		Trust:   trust.Config{Home: p.home, Contact: contact, Level: level, Speaks4: true},
		Timeout: 50 * time.Millisecond,
	}, files[1], files[2]}
}

func content(t *testing.T, f *os.File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (p *person) publish(n int, contact string) []byte {
	p.t.Helper()
	made, err := p.run(nil, "", trust.RequireNew).Publish(n, contact)
	if err != nil {
		p.t.Fatal(err)
	}
	return made.Ensembles
}

// Of prekeys whose ensembles were not all written, those stay whose ensembles were.
func TestPrekeysStayWhoseEnsemblesWereWrittenWhole(t *testing.T) {
	alice := newPerson(t, "alice")
	r := alice.run(nil, "", trust.RequireNew)
	made, err := r.Publish(3, "")
	if err != nil {
		t.Fatal(err)
	}
	first := bytes.IndexByte(made.Ensembles, '\n')
	for _, test := range []struct{ written, stay int }{
		{len(made.Ensembles), 3}, {len(made.Ensembles) - 1, 3}, {len(made.Ensembles) - 2, 2}, {first, 1}, {first - 1, 0}, {0, 0},
	} {
		if stay, err := r.Withdraw(made, test.written); stay != test.stay || err != nil {
			t.Errorf("with %d bytes written %d stay, %v; not %d", test.written, stay, err, test.stay)
		}
		if list, err := r.List(); err != nil || len(list.Prekeys) != test.stay {
			t.Errorf("with %d bytes written there are %d, %v; not %d", test.written, len(list.Prekeys), err, test.stay)
		}
	}
}

// send encrypts to one of the ensembles in the file at path.
func (p *person) send(path, text, contact string) ([]byte, error) {
	p.t.Helper()
	r := p.run([]byte(text), contact, trust.RequireNew)
	file, err := os.ReadFile(path)
	if err != nil {
		p.t.Fatal(err)
	}
	err = r.Send(file, path, 0)
	return content(p.t, r.out), err
}

func (p *person) mustSend(path, text, contact string) []byte {
	p.t.Helper()
	lines, err := p.send(path, text, contact)
	if err != nil {
		p.t.Fatal(err)
	}
	return lines
}

func (p *person) receive(lines []byte, contact string, level trust.Level) (string, error) {
	p.t.Helper()
	r := p.run(lines, contact, level)
	err := r.Receive()
	return string(content(p.t, r.out)), err
}

// file writes ensembles to a file of the user's.
func file(t *testing.T, ensembles []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ensembles")
	if err := os.WriteFile(path, ensembles, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func mustBe(t *testing.T, err error, code int, text string) {
	t.Helper()
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Error(), text) {
		t.Errorf("%v, not %d with %q", err, code, text)
	}
}

func TestAMessageArrivesOnceAndIsAnswered(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	lines := bob.mustSend(file(t, alice.publish(1, "")), "exact\x00bytes", "alice")
	if got, err := alice.receive(lines, "bob", trust.RequireNew); err != nil || got != "exact\x00bytes" {
		t.Fatalf("%q, %v", got, err)
	}
	got, err := alice.receive(lines, "bob", trust.RequireNew)
	mustBe(t, err, exit.Failure, "has been read before")
	if got != "" {
		t.Errorf("the second time %q came", got)
	}
	reply := alice.run([]byte("thanks"), "", trust.RequireNew)
	if err := reply.Reply("bob"); err != nil {
		t.Fatal(err)
	}
	if got, err := bob.receive(content(t, reply.out), "alice", trust.RequireKnown); err != nil || got != "thanks" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestASenderWhoIsRefusedIsNotHeardAndCostsNoPrekey(t *testing.T) {
	alice, bob, mallory := newPerson(t, "alice"), newPerson(t, "bob"), newPerson(t, "mallory")
	if err := alice.home.RememberKey("bob", bob.fingerprint(), keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, contact string
		level         trust.Level
		publishedFor  string
		text          string
	}{
		{"another key than the contact's", "bob", trust.RequireNew, "", "the key of bob has changed"},
		{"a contact who was never met, with --trust known", "mallory", trust.RequireKnown, "", ""},
		{"a prekey made for somebody else", "", trust.RequireNew, "bob", "not from the contact"},
		{"a prekey made for somebody else, and the sender named", "mallory", trust.RequireNew, "bob", "not from the contact"},
	} {
		lines := mallory.mustSend(file(t, alice.publish(1, test.publishedFor)), "secret", "")
		got, err := alice.receive(lines, test.contact, test.level)
		mustBe(t, err, exit.Refused, test.text)
		if got != "" {
			t.Errorf("%s: %q came", test.name, got)
		}
		list, err := alice.run(nil, "", trust.RequireNew).List()
		if err != nil || len(list.Prekeys) != 1 || len(list.Sessions) != 0 {
			t.Errorf("%s: %d prekeys and %d sessions are left, %v", test.name, len(list.Prekeys), len(list.Sessions), err)
		}
		if _, err := alice.run(nil, "", trust.RequireNew).Revoke(true, "", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNothingIsEncryptedToAPublisherWhoIsRefused(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob, mallory := newPerson(t, "alice"), newPerson(t, "bob"), newPerson(t, "mallory")
	if err := bob.home.RememberKey("alice", alice.fingerprint(), keyfile.Seen, time.Now()); err != nil {
		t.Fatal(err)
	}
	ensembles := mallory.publish(1, "")
	path := file(t, ensembles)
	lines, err := bob.send(path, "secret", "alice")
	mustBe(t, err, exit.Refused, "the key of alice has changed")
	if len(lines) > 0 {
		t.Errorf("%d bytes came out", len(lines))
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(after, ensembles) {
		t.Error("an ensemble was marked as used")
	}
}

func TestTheEnsembleThatIsUsedIsMarkedInTheFile(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := append([]byte("mail\nfrom alice:\n"), alice.publish(3, "")...)
	path := file(t, ensembles)
	for n := 1; n <= 3; n++ {
		bob.mustSend(path, "hello", "alice")
		after, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Count(after, []byte(protocol.UsedMark)); got != n {
			t.Errorf("%d are marked after %d messages", got, n)
		}
		if !bytes.Equal(bytes.ReplaceAll(after, []byte(protocol.UsedMark), []byte(protocol.UnusedMark)), ensembles) {
			t.Error("something else has changed")
		}
	}
	_, err := bob.send(path, "hello", "alice")
	mustBe(t, err, exit.Failure, "no unused ensemble")
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("the mode is %v, %v", info.Mode(), err)
	}
}

// What the home has marked stays so whatever becomes of the file.
func TestAnEnsembleIsNotUsedTwiceWhereTheFileCannotBeMarked(t *testing.T) {
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	bob.mustSend(file(t, ensembles), "hello", "alice")
	lines, err := bob.send(file(t, ensembles), "hello", "alice") // an older copy of it
	mustBe(t, err, exit.Failure, "no unused ensemble")
	if len(lines) > 0 {
		t.Errorf("%d bytes came out", len(lines))
	}

	// A program that never lets go of the file's lock holds nobody up for long.
	path := file(t, alice.publish(1, ""))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	bob.mustSend(path, "hello", "alice")
}

// A home that cannot be written leaves the ensemble unused.
func TestAnEnsembleIsUnusedAgainWhereNothingWasSent(t *testing.T) {
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	ensembles := alice.publish(1, "")
	path := file(t, ensembles)
	valid, refused := protocol.ReadEnsembles(ensembles, time.Now())
	if len(valid) != 1 {
		t.Fatal(refused)
	}
	e := openEnsembles(path)
	if there, err := e.mark(valid[0]); !there || err != nil {
		t.Fatalf("%v, %v", there, err)
	}
	if there, err := openEnsembles(path).mark(valid[0]); !there || !errors.Is(err, errFileBusy) {
		t.Errorf("while it is locked: %v, %v", there, err)
	}
	e.unmark()
	e.close()
	if after, _ := os.ReadFile(path); !bytes.Equal(after, ensembles) {
		t.Error("the mark stays")
	}
	bob.mustSend(path, "hello", "alice")
	if there, err := openEnsembles(path).mark(valid[0]); there || err != nil {
		t.Errorf("an ensemble that another process has taken is there: %v", err)
	}
	// What is no mark any more is not overwritten.
	other := file(t, ensembles)
	e = openEnsembles(other)
	if there, err := e.mark(valid[0]); !there || err != nil {
		t.Fatalf("%v, %v", there, err)
	}
	for _, now := range []string{strings.Repeat("my own text ", 200), "short", ""} {
		if err := os.WriteFile(other, []byte(now), 0o600); err != nil {
			t.Fatal(err)
		}
		e.unmark()
		if after, _ := os.ReadFile(other); string(after) != now {
			t.Errorf("of %.20q it makes %.20q", now, after)
		}
	}
	e.close()
	for _, path := range []string{os.DevNull, filepath.Join(t.TempDir(), "nothing"), t.TempDir()} {
		if openEnsembles(path) != nil {
			t.Errorf("%s can be marked", path)
		}
	}
}

func TestSendersWithHomesOfTheirOwnTakeDifferentEnsembles(t *testing.T) {
	slowtest.SkipShort(t)
	const senders = 4
	alice := newPerson(t, "alice")
	path := file(t, alice.publish(senders, ""))
	var all sync.WaitGroup
	var messages [senders][]byte
	for i := range messages {
		bob := newPerson(t, "bob")
		all.Go(func() {
			lines, err := bob.send(path, "hello", "")
			if err != nil {
				t.Error(err)
			}
			messages[i] = lines
		})
	}
	all.Wait()
	for _, lines := range messages {
		if got, err := alice.receive(lines, "", trust.RequireNew); err != nil || got != "hello" {
			t.Errorf("%q, %v", got, err)
		}
	}
}

func TestOfTwoReadersOneReads(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	lines := bob.mustSend(file(t, alice.publish(1, "")), "hello", "")
	const readers = 4
	var all sync.WaitGroup
	var got [readers]string
	var errs [readers]error
	for i := range readers {
		r := alice.run(lines, "", trust.RequireNew)
		r.Timeout = time.Minute
		all.Go(func() {
			errs[i] = r.Receive()
			got[i] = string(content(t, r.out))
		})
	}
	all.Wait()
	read := 0
	for i := range readers {
		if errs[i] == nil && got[i] == "hello" {
			read++
		} else if errs[i] == nil || got[i] != "" {
			t.Errorf("%q, %v", got[i], errs[i])
		}
	}
	if read != 1 {
		t.Errorf("%d have read it", read)
	}
}

func TestAMessageThatIsCutOffIsReadAgainFromItsBeginning(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	text := strings.Repeat("0123456789abcdef", 20000)
	lines := bob.mustSend(file(t, alice.publish(1, "")), text, "")
	for _, cut := range []int{1, len(lines) / 2, len(lines) - 2} {
		got, err := alice.receive(lines[:cut], "", trust.RequireNew)
		mustBe(t, err, exit.Broken, "")
		if !strings.HasPrefix(text, got) {
			t.Errorf("cut at %d: other bytes came", cut)
		}
	}
	if got, err := alice.receive(lines, "", trust.RequireNew); err != nil || got != text {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestAMessageThatIsDamagedHasToBeSentAgain(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	message := bob.mustSend(file(t, alice.publish(1, "")), "the text", "")
	first, rest, _ := bytes.Cut(message, []byte("\n"))
	wrong := bytes.Clone(message)
	if at := len(first) / 2; wrong[at] == 'A' {
		wrong[at] = 'B'
	} else {
		wrong[at] = 'A'
	}
	for what, damaged := range map[string][]byte{"a wrong character": wrong, "no first line": rest, "no message": []byte("?OTR:\n")} {
		_, err := alice.receive(damaged, "", trust.RequireNew)
		if err == nil || !strings.Contains(exit.As(err).Hint, "ask ") {
			t.Errorf("%s: %v, hint %q", what, err, exit.As(err).Hint)
		}
	}
}

func TestAMessageIsReadAgainWhereItsOutputWasFull(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	lines := bob.mustSend(file(t, alice.publish(1, "")), "the text", "")
	r := alice.run(lines, "", trust.RequireNew)
	out, err := os.Open(r.out.Name()) // which takes nothing
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	r.IO = terminal.NewIO("otrpipe", r.In, out, r.messages)
	err = r.Receive()
	mustBe(t, err, exit.Failure, "the output is incomplete: it ends after 0 bytes")
	if hint := exit.As(err).Hint; !strings.Contains(hint, "can be read again") {
		t.Errorf("the hint is %q", hint)
	}
	if got, err := alice.receive(lines, "", trust.RequireNew); err != nil || got != "the text" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAMessageIsRecognizedInARegularFile(t *testing.T) {
	alice, bob := newPerson(t, "alice"), newPerson(t, "bob")
	lines := bob.mustSend(file(t, alice.publish(1, "")), "hello", "")
	for _, test := range []struct {
		name string
		text []byte
		want bool
	}{
		{"a message", lines, true},
		{"below a mail's headers", append([]byte("Subject: hello\n\n"), lines...), true},
		{"nothing", nil, false},
		{"text", []byte("hello\n"), false},
		{"a query", []byte("?OTRv4?\n"), false},
		{"another message", []byte("?OTR:AAMDAAAA.\n"), false},
	} {
		if got := IsMessage(alice.run(test.text, "", trust.RequireNew).In); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if _, err := w.Write(lines); err != nil {
		t.Fatal(err)
	}
	if IsMessage(r) {
		t.Error("a pipe was read")
	}
}
