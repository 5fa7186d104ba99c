package otrv4

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/peers/python"

	"otrpipe/otr/keys"
	"otrpipe/otr/offline"
	"otrpipe/testscripts/slowtest"
)

// kinds are the hostile kinds of a command of the peer's, dealt out to two groups that run
// at the same time.
func kinds(t *testing.T, command string, least int) (groups [2][]string) {
	t.Helper()
	variable := map[string]string{"publish": "PUBLISH_HOSTILE", "send": "SEND_HOSTILE"}[command]
	cmd := exec.Command(python.Need(t), "-c", "import offline; print(' '.join(sorted(offline."+variable+")))")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Fields(string(out))
	if len(all) < least {
		t.Fatalf("kinds: %v", all)
	}
	for i, kind := range all {
		groups[i%len(groups)] = append(groups[i%len(groups)], kind)
	}
	return groups
}

// A mailbox is a person who uses package offline in this process. Its store is kept in
// bytes, as the program keeps it.
type mailbox struct {
	t      *testing.T
	config offline.Config
	disk   []byte
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	identity, err := keys.GenerateEd448(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &mailbox{t: t, config: offline.Config{
		InstanceTag: 0x1234, Identity: identity, Forging: forging, Rand: rand.Reader, Now: time.Now,
	}}
}

func (m *mailbox) load() *offline.Store {
	m.t.Helper()
	s, err := offline.Parse(m.config, m.disk)
	if err != nil {
		m.t.Fatal(err)
	}
	return s
}

func (m *mailbox) store(s *offline.Store) {
	m.t.Helper()
	var err error
	if m.disk, err = s.Append(nil); err != nil {
		m.t.Fatal(err)
	}
}

// publish makes one prekey, the only one, and writes its ensemble to a file.
func (m *mailbox) publish(path string) {
	m.t.Helper()
	s := m.load()
	s.Revoke(func(offline.Prekey) bool { return true })
	lines, err := s.Publish(1, offline.For{})
	if err != nil {
		m.t.Fatal(err)
	}
	m.store(s)
	if err := os.WriteFile(path, append(lines[0], '\n'), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// read reads texts as the program does: what Accept changes is stored before they are shown.
func (m *mailbox) read(lines []byte) (text string, err error) {
	m.t.Helper()
	r := offline.NewReader(m.load(), offline.KindTexts)
	for line := range bytes.Lines(lines) {
		got, broken := r.Line(bytes.TrimSuffix(line, []byte("\n")))
		if got.Auth != nil {
			s := m.load()
			if _, err := s.Accept(got.Auth); err != nil {
				m.t.Fatal(err)
			}
			m.store(s)
		}
		for _, t := range got.Texts {
			text += string(t) + "\n"
		}
		if broken != nil {
			break
		}
	}
	err = r.Finish()
	if r.Keep() {
		s := m.load()
		if err := s.Put(r.Session(), 0); err != nil {
			m.t.Fatal(err)
		}
		m.store(s)
	}
	return text, err
}

func TestHostileEnsemblesAreNotWrittenTo(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	for i, group := range kinds(t, "publish", 30) {
		t.Run([]string{"even", "odd"}[i], func(t *testing.T) {
			t.Parallel()
			peer := newPythonPeer(t, t.TempDir())
			alice := newMailbox(t)
			for _, kind := range group {
				published, _ := peer.run(nil, "publish", "-n", "1", "--hostile", kind, "--store", kind+".json")
				if !bytes.Contains(published.stdout, []byte("?OTRP:")) {
					t.Fatalf("%s: nothing was published: %s", kind, published.stderr)
				}
				valid, refused := offline.ReadEnsembles(published.stdout, time.Now())
				if kind != "duplicate" { // which is no offence
					if len(valid) > 0 || len(refused) == 0 {
						t.Errorf("%s: %d ensembles are valid", kind, len(valid))
					}
					continue
				}
				if len(valid) != 1 {
					t.Fatalf("%s: %v", kind, refused)
				}
				s := alice.load()
				session, first, err := s.Write(valid[0])
				if err != nil {
					t.Fatal(err)
				}
				w, err := offline.NewWriter(session, offline.Head{}, offline.WriterConfig{Save: s.Put, Rand: rand.Reader})
				if err != nil {
					t.Fatal(err)
				}
				lines, err := w.Text(append(first, '\n'), []byte("hello"))
				if err == nil {
					lines, err = w.EndTexts(lines, true)
				}
				if err != nil {
					t.Fatal(err)
				}
				if got, events := peer.run(lines, "receive", "--store", kind+".json"); got.status != 0 {
					t.Errorf("%s: %v", kind, events)
				}
			}
		})
	}
}

func TestHostileMessagesAreRefusedOrDoNoHarm(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	const three = "one\ntwo\nthree\n"
	// What must come of the kinds that do not spoil the message which begins the session.
	special := map[string]struct {
		text string
		err  error
	}{
		"bad-mac":             {"two\nthree\n", offline.ErrCut}, // the first text is missing
		"wrong-instance-tag":  {"", offline.ErrCut},
		"truncated-last-line": {three, offline.ErrCut},
		"no-last-line":        {three, offline.ErrCut},
		"lost-text":           {"two\nthree\n", offline.ErrCut},
		"skip":                {"two\none\nthree\n", nil},
		"data-first":          {three, nil},
		"replay":              {three, nil}, // copies of lines do no harm
		"prekey-twice":        {three, offline.ErrOther},
		// The peer writes to an ensemble although it knows that it has expired; this one has not.
		"expired-prekey-profile": {three, nil},
	}
	for i, group := range kinds(t, "send", 40) {
		t.Run([]string{"even", "odd"}[i], func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			peer, bob := newPythonPeer(t, folder), newMailbox(t)
			for _, kind := range group {
				bob.publish(filepath.Join(folder, "ensemble"))
				sent, _ := peer.run(nil, "send", "--to", "ensemble", "--text", "one", "--text", "two", "--text", "three", "--hostile", kind)
				if !bytes.Contains(sent.stdout, []byte("?OTR")) {
					t.Fatalf("%s: nothing was sent: %s", kind, sent.stderr)
				}
				text, err := bob.read(sent.stdout)
				if want, ok := special[kind]; ok {
					if !errors.Is(err, want.err) || text != want.text {
						t.Errorf("%s: %q, %v", kind, text, err)
					}
					continue
				}
				if err == nil || text != "" {
					t.Errorf("%s: %q, %v", kind, text, err)
				}
				if left := bob.load().Prekeys(); len(left) != 1 {
					t.Errorf("%s has cost a prekey", kind)
				}
			}
		})
	}
}
