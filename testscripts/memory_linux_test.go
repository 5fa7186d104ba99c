package testscripts

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// The passphrase and the shared secret are looked for as they are, so they are like nothing
// else in memory.
const (
	scannedPassphrase = "passphrase-Zu7xWq0v"
	scannedSecret     = "shared-secret-8Jt3kNf5"
)

// TestSecretsThatAreDoneWithAreNotInMemory runs the real program, with a peer that logs the
// keys of the session in this process, and looks for what the program no longer needs in
// its memory: after further messages, in a pause, and after the end of the session.
//
// What is still found is in SECURITY.md.
func TestSecretsThatAreDoneWithAreNotInMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short: builds the program twice")
	}
	for _, build := range []struct{ name, experiment string }{{"plain", ""}, {"runtimesecret", "runtimesecret"}} {
		t.Run(build.name, func(t *testing.T) {
			program := buildScannable(t, build.experiment)
			for _, version := range []string{"3", "4"} {
				t.Run("version"+version, func(t *testing.T) { scanSession(t, program, version) })
			}
		})
	}
}

// buildScannable builds a program whose memory its parent may read.
func buildScannable(t *testing.T, experiment string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "otrpipe")
	build := exec.Command("go", "build", "-buildvcs=false", "-tags", "scannable", "-o", program, "otrpipe")
	build.Env = append(os.Environ(), "GOEXPERIMENT="+experiment)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

func scanSession(t *testing.T, program, version string) {
	folder, err := os.MkdirTemp("", "otr") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	passphrase, secret := filepath.Join(folder, "passphrase"), filepath.Join(folder, "secret")
	for name, text := range map[string]string{passphrase: scannedPassphrase, secret: scannedSecret} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keygen := exec.Command(program, "keygen", "--passphrase-file", passphrase)
	keygen.Env = cleanEnvironment(folder)
	if out, err := keygen.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	p := startScanned(t, folder, program, "--quiet", "serve", "--mode", "lines", "--stay", "--otr", version,
		"--smp-secret-file", secret, "--passphrase-file", passphrase, "--", "cat")
	p.begin(version)
	p.talk("first", 12)
	early := p.peer.TakeKeys()
	p.talk("later", 60)
	late := p.peer.TakeKeys()
	time.Sleep(2 * time.Second) // the program is idle

	once := func(where string, secrets ...scanned) {
		t.Helper()
		// A scan that finds nothing proves nothing, unless it finds what is there.
		secrets = append(secrets, scanned{name: "an argument", bytes: []byte(folder), most: math.MaxInt})
		all := find(p.memory(), secrets)
		if len(all[len(all)-1]) == 0 {
			t.Fatal("the scan does not find the program's own arguments")
		}
		for i, s := range secrets {
			switch found := all[i]; {
			case len(found) <= s.most:
			case s.remains:
				t.Logf("%s: %s is in memory, at %s", where, s.name, strings.Join(found, ", "))
			default:
				t.Errorf("%s: %s is in memory, at %s", where, s.name, strings.Join(found, ", "))
			}
		}
	}
	words := []scanned{
		// The age library takes it as a string, which nobody can wipe.
		{name: "the passphrase", bytes: []byte(scannedPassphrase), remains: true},
		// The next session needs it: --stay.
		{name: "the shared secret", bytes: []byte(scannedSecret), most: 1},
	}
	once("in a pause", append(words, messageKeys("an early", early)...)...)

	p.end()
	time.Sleep(2 * time.Second)
	once("after the end", append(words, messageKeys("a", append(early, late...))...)...)
}

// scanned is a secret to look for.
type scanned struct {
	name  string
	bytes []byte
	most  int // how often it may be there
	// remains is set for a secret of which SECURITY.md says that copies are left.
	remains bool
}

// messageKeys are the keys of messages as they are looked for: whole in version 3, and in
// version 4 the part of them that is the key of ChaCha20.
func messageKeys(which string, keys []otr.SessionKey) (all []scanned) {
	for _, k := range keys {
		name := fmt.Sprintf("%s key of version %d (%d, %d)", which, k.Version, k.First, k.Second)
		all = append(all, scanned{name: name, bytes: k.Key[:min(len(k.Key), 32)]})
	}
	return all
}

// A scannedProgram is the program with a peer in this process at its standard streams.
type scannedProgram struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan []byte
	peer  *otr.Conversation
}

func startScanned(t *testing.T, folder, program string, args ...string) *scannedProgram {
	p := &scannedProgram{t: t, cmd: exec.Command(program, args...), lines: make(chan []byte, 100)}
	// Collecting often is what a program does that lives for longer than this one.
	p.cmd.Env = append(cleanEnvironment(folder), "GOGC=5")
	p.cmd.Stderr = os.Stderr
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- bytes.Clone(scanner.Bytes())
		}
	}()
	return p
}

// begin makes the peer, and has it talk until both ends share the secret.
func (p *scannedProgram) begin(version string) {
	p.t.Helper()
	config := otr.Config{Rand: rand.Reader, Now: time.Now, LogKeys: true, Policy: otr.AllowV3 | otr.RequireEncryption}
	var err error
	if config.DSA, err = keys.GenerateDSA(rand.Reader); err != nil {
		p.t.Fatal(err)
	}
	if version == "4" {
		config.Policy = otr.AllowV4 | otr.RequireEncryption
		if config.Ed448, err = keys.GenerateEd448(rand.Reader); err == nil {
			config.Forging, err = keys.GenerateForgingKey(rand.Reader)
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	if p.peer, err = otr.New(config); err != nil {
		p.t.Fatal(err)
	}
	p.write(p.peer.Query())
	p.until("both share the secret", func(got otr.Received) bool {
		for _, event := range got.Events {
			switch event.(type) {
			case otr.SMPAsked:
				lines, err := p.peer.AnswerSMP([]byte(scannedSecret))
				if err != nil {
					p.t.Fatal(err)
				}
				p.write(lines)
			case otr.SMPSucceeded:
				return true
			}
		}
		return false
	})
}

// talk has n texts echoed.
func (p *scannedProgram) talk(what string, n int) {
	p.t.Helper()
	for i := range n {
		text := fmt.Sprintf("%s text %d", what, i)
		lines, err := p.peer.Send([]byte(text))
		if err != nil {
			p.t.Fatal(err)
		}
		p.write(lines)
		p.until(text, func(got otr.Received) bool { return string(got.Text) == text })
	}
}

// end has the peer leave, and waits until the program has read that.
func (p *scannedProgram) end() {
	p.t.Helper()
	lines, err := p.peer.End()
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(lines)
}

func (p *scannedProgram) write(lines [][]byte) {
	p.t.Helper()
	for _, line := range lines {
		if _, err := p.in.Write(append(bytes.Clone(line), '\n')); err != nil {
			p.t.Fatal(err)
		}
	}
}

// until hands the peer what the program says until done.
func (p *scannedProgram) until(what string, done func(otr.Received) bool) {
	p.t.Helper()
	timeout := time.After(patience)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var got otr.Received
		var err error
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("the program has left before: %s", what)
			}
			got, err = p.peer.Receive(line)
		case <-tick.C:
			got, err = p.peer.Tick()
		case <-timeout:
			p.t.Fatalf("it never came: %s", what)
		}
		if err != nil {
			p.t.Fatal(err)
		}
		p.write(got.Send)
		if done(got) {
			return
		}
	}
}

// find returns where in memory each of the secrets is, all of which have four bytes at
// least. It goes through memory once.
func find(memory []region, secrets []scanned) [][]string {
	places := make([][]string, len(secrets))
	begin := make(map[[4]byte][]int) // secrets by their first bytes
	var first [256]bool
	for i, s := range secrets {
		head := [4]byte(s.bytes)
		begin[head] = append(begin[head], i)
		first[head[0]] = true
	}
	for _, r := range memory {
		for at, b := range r.bytes[:max(0, len(r.bytes)-3)] {
			if !first[b] || b == 0 && r.bytes[at+1] == 0 {
				continue
			}
			for _, i := range begin[[4]byte(r.bytes[at:])] {
				if bytes.HasPrefix(r.bytes[at:], secrets[i].bytes) {
					places[i] = append(places[i], fmt.Sprintf("%x (%s)", r.start+uint64(at), r.name))
				}
			}
		}
	}
	return places
}

type region struct {
	start uint64
	name  string
	bytes []byte
}

// memory reads what the program can write to, while it is stopped by nothing.
func (p *scannedProgram) memory() (regions []region) {
	p.t.Helper()
	folder := fmt.Sprintf("/proc/%d", p.cmd.Process.Pid)
	maps, err := os.ReadFile(folder + "/maps")
	if err != nil {
		p.t.Fatal(err)
	}
	memory, err := os.Open(folder + "/mem")
	if err != nil {
		p.t.Fatal(err)
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var start, end uint64
		var mode, offset, device, inode, name string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %s %s %s %s", &start, &end, &mode, &offset, &device, &inode, &name); n < 6 || !strings.HasPrefix(mode, "rw") {
			continue
		}
		if name == "" {
			name = "anonymous"
		}
		// Pages that cannot be read are guards; nothing is on them.
		for at := start; at < end; {
			b := make([]byte, min(end-at, 1<<26))
			n, err := memory.ReadAt(b, int64(at))
			if n > 0 {
				regions = append(regions, region{at, name, b[:n]})
			}
			if err != nil {
				break
			}
			at += uint64(n)
		}
	}
	return regions
}
