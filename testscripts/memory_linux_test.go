package testscripts

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"filippo.io/age"
	"filippo.io/age/armor"

	"otrpipe/keyfile"
	"otrpipe/otr"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// The passphrase and the shared secret are looked for as they are, so they are like nothing
// else in memory.
const (
	scannedPassphrase = "passphrase-Zu7xWq0v"
	scannedSecret     = "shared-secret-8Jt3kNf5"
)

// TestSecretsThatAreDoneWithAreNotInMemory runs the real program, with a peer in this process,
// and looks for what the program no longer needs in its memory: after further messages, in a
// pause, and after the end of the session. The peer knows the keys that both ends derive, and
// the program was built so that it tells the randomness of its private keys.
//
// What is still found is in SECURITY.md.
func TestSecretsThatAreDoneWithAreNotInMemory(t *testing.T) {
	slowtest.Skip(t)
	if testing.Short() {
		t.Skip("short: builds the program twice")
	}
	for _, build := range []struct{ name, experiment string }{{"plain", ""}, {"runtimesecret", "runtimesecret"}} {
		t.Run(build.name, func(t *testing.T) {
			t.Parallel()
			program := buildScannable(t, build.experiment)
			for _, version := range []string{"3", "4"} {
				t.Run("version"+version, func(t *testing.T) {
					t.Parallel()
					scanSession(t, program, version, false, build.experiment != "")
				})
			}
			t.Run("halves", func(t *testing.T) {
				t.Parallel()
				scanSession(t, program, "4", true, build.experiment != "")
			})
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

// calm is how long the program may take in a pause until nothing is found in its memory.
const calm = 10 * time.Second

func scanSession(t *testing.T, program, version string, halves, erased bool) {
	folder, err := shortFolder()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	passphrase, secret := filepath.Join(folder, "passphrase"), filepath.Join(folder, "secret")
	for name, text := range map[string]string{passphrase: scannedPassphrase, secret: scannedSecret} {
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	longTerm := protectedIdentity(t, folder)

	p := &scannedProgram{t: t, folder: folder, lines: make(chan []byte, 100)}
	flags := []string{"--mode", "lines", "--stay", "--otr", version}
	secrets := []string{"--smp-secret-file", secret, "--passphrase-file", passphrase}
	if halves {
		p.startHalves(program, flags, secrets)
	} else {
		p.start(program, append(append([]string{"serve"}, flags...), secrets...))
	}
	p.begin(version)
	p.talk("first", 12)
	early := append(messageKeys("an early", p.peer.TakeKeys(), erased), sharedKeys("an early", p.peer)...)
	p.talk("later", 60)
	late := append(messageKeys("a", p.peer.TakeKeys(), erased), sharedKeys("a", p.peer)...)

	words := []scanned{
		{name: "the passphrase", bytes: []byte(scannedPassphrase)},
		{name: "the shared secret", bytes: []byte(scannedSecret)},
	}
	words = append(words, longTerm...)
	p.scan("in a pause", slices.Concat(words, early, p.privateKeys(keptPrivateKeys)))
	p.end()
	p.scan("after the end", slices.Concat(words, early, late, p.privateKeys(0)))
}

// protectedIdentity makes the identity of the program, with a passphrase, and returns its
// private keys as what must not be there: the text of their file. The keys themselves are
// needed for the next session.
func protectedIdentity(t *testing.T, folder string) (texts []scanned) {
	t.Helper()
	dir := filepath.Join(folder, "otrpipe") // in XDG_DATA_HOME
	home := keyfile.Open(dir)
	id, err := keyfile.Generate("default", rand.Reader, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := home.Create(id, nil); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "identities", "default", "private.key")
	plain, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x", "symmetric"} {
		_, text, _ := bytes.Cut(plain, []byte(`"`+name+`": "`))
		text, _, ok := bytes.Cut(text, []byte(`"`))
		if !ok || len(text) < 32 {
			t.Fatalf("the file of the private keys has no %s", name)
		}
		texts = append(texts, scanned{name: "the text of the long-term key " + name, bytes: bytes.Clone(text)})
	}
	recipient, err := age.NewScryptRecipient(scannedPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	recipient.SetWorkFactor(10) // quick, and little memory to look through
	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	sealed, err := age.Encrypt(armored, recipient)
	if err == nil {
		_, err = sealed.Write(plain)
		err = errors.Join(err, sealed.Close(), armored.Close(), os.WriteFile(path, file.Bytes(), 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// scan looks for secrets until none is found that should not be there, or the program had
// time enough.
func (p *scannedProgram) scan(where string, secrets []scanned) {
	p.t.Helper()
	// A scan that finds nothing proves nothing, unless it finds what is there.
	secrets = append(secrets, scanned{name: "an argument", bytes: []byte(p.folder), most: math.MaxInt})
	var all [][]string
	clean := false
	for begun := time.Now(); !clean && time.Since(begun) < calm; time.Sleep(200 * time.Millisecond) {
		all = find(p.memory(), secrets)
		clean = true
		for i, s := range secrets {
			clean = clean && (len(all[i]) <= s.most || s.remains)
		}
	}
	if len(all[len(all)-1]) == 0 {
		p.t.Fatal("the scan does not find the program's own arguments")
	}
	for i, s := range secrets {
		switch found := all[i]; {
		case len(found) <= s.most:
		case s.remains:
			p.t.Logf("%s: %s is in memory, at %s", where, s.name, strings.Join(found, ", "))
		default:
			p.t.Errorf("%s: %s is in memory, at %s", where, s.name, strings.Join(found, ", "))
		}
	}
	p.t.Logf("%s: looked for %d secrets", where, len(secrets)-1)
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
// version 4 the part of them that is the key of ChaCha20. In version 4 a copy may stay on a stack
// that is not in use, unless the runtime erases it.
func messageKeys(which string, keys []otr.SessionKey, erased bool) (all []scanned) {
	for _, k := range keys {
		name := fmt.Sprintf("%s key of version %d (%d, %d)", which, k.Version, k.First, k.Second)
		all = append(all, scanned{name: name, bytes: k.Key[:min(len(k.Key), 32)], remains: k.Version == 4 && !erased})
	}
	return all
}

// sharedKeys are the keys of a session that both ends have, as the peer has them now: root
// keys, chain keys, brace keys, and in version 3 the keys of each pair of D-H keys. The peer
// has no other way to show them than its memory.
func sharedKeys(which string, peer *otr.Conversation) (all []scanned) {
	fields := map[string][]string{
		"v4.ratchet":  {"root", "brace", "sendChain", "receiveChain"},
		"v3.dataKeys": {"aes", "macKey"},
		"v3.pairKeys": {"extra"},
	}
	seen := make(map[unsafe.Pointer]bool)
	var walk func(v reflect.Value)
	walk = func(v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if v.IsNil() || seen[v.UnsafePointer()] {
				return
			}
			seen[v.UnsafePointer()] = true
			walk(v.Elem())
		case reflect.Interface:
			walk(v.Elem())
		case reflect.Map:
			for entries := v.MapRange(); entries.Next(); {
				walk(entries.Value())
			}
		case reflect.Slice, reflect.Array:
			if k := v.Type().Elem().Kind(); k < reflect.Array {
				return
			}
			for i := range v.Len() {
				walk(v.Index(i))
			}
		case reflect.Struct:
			if !strings.HasPrefix(v.Type().PkgPath(), "otrpipe/otr") && v.Type().PkgPath() != "" {
				return
			}
			for _, name := range fields[v.Type().String()] {
				key := v.FieldByName(name)
				b := bytes.Clone(unsafe.Slice((*byte)(unsafe.Pointer(key.UnsafeAddr())), key.Len()))
				if !bytes.Equal(b, make([]byte, len(b))) {
					all = append(all, scanned{name: fmt.Sprintf("%s %s.%s", which, v.Type(), name), bytes: b})
				}
			}
			for i := range v.NumField() {
				walk(v.Field(i))
			}
		}
	}
	walk(reflect.ValueOf(peer))
	return all
}

// keptPrivateKeys is how many private keys of each kind a session needs in a pause at most: in
// version 3 our last and our next one; one of each kind in version 4; and one that was made
// ahead.
const keptPrivateKeys = 3

// privateKeys are the private D-H keys that the program has made, all but the last keep of
// each kind, and the numbers that its comparisons and signatures were made with. Copies of
// them stay on stacks that are not in use.
func (p *scannedProgram) privateKeys(keep int) (all []scanned) {
	p.t.Helper()
	file, err := os.ReadFile(p.random())
	if err != nil {
		p.t.Fatal(err)
	}
	kinds := make(map[int][]scanned)
	for len(file) > 4 {
		n := int(binary.BigEndian.Uint32(file))
		draw := bytes.Clone(file[4 : 4+n])
		file = file[4+n:]
		if n < 16 {
			continue // instance tags and the like
		}
		kinds[n] = append(kinds[n], scanned{name: fmt.Sprintf("random number %d of %d bytes", len(kinds[n]), n), bytes: draw, remains: true})
	}
	const ecdh = 57 // bytes
	for n, draws := range kinds {
		for i, draw := range draws[:max(0, len(draws)-keep)] {
			all = append(all, draw)
			if n == ecdh {
				scalar := group.ScalarFromSeed(draw.bytes)
				all = append(all, scanned{name: fmt.Sprintf("the scalar of random number %d", i), bytes: scalar.Append(nil)[:ecdh-1], remains: true})
			}
		}
	}
	if len(all) == 0 {
		p.t.Fatal("the program has made no private keys")
	}
	return all
}

// A scannedProgram is the program with a peer in this process at its standard streams.
type scannedProgram struct {
	t      *testing.T
	folder string
	cmds   []*exec.Cmd
	in     io.WriteCloser
	lines  chan []byte
	peer   *otr.Conversation
}

// random is the file of the program's randomness.
func (p *scannedProgram) random() string { return filepath.Join(p.folder, "random") }

// command is the program with arguments.
func (p *scannedProgram) command(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, append([]string{"--quiet"}, args...)...)
	// Collecting often is what a program does that lives for longer than this one.
	cmd.Env = append(cleanEnvironment(p.folder), "GOGC=5", "OTRPIPE_SCANNED_RANDOM="+p.random())
	cmd.Stderr = os.Stderr
	p.cmds = append(p.cmds, cmd)
	return cmd
}

// start starts an end that echoes.
func (p *scannedProgram) start(program string, args []string) {
	p.t.Helper()
	cmd := p.command(program, append(args, "--", "cat"))
	p.run(cmd, cmd)
}

// startHalves starts both halves of an end, which echo: what one has decrypted the other
// encrypts. The one that comes second has the secrets, and hands them over.
func (p *scannedProgram) startHalves(program string, flags, secrets []string) {
	p.t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		p.t.Fatal(err)
	}
	encrypt := p.command(program, append([]string{"encrypt-stream"}, flags...))
	decrypt := p.command(program, append([]string{"decrypt-stream"}, secrets...))
	encrypt.Stdin, decrypt.Stdout = r, w
	p.run(encrypt, decrypt)
	r.Close()
	w.Close()
}

// run starts a program, or two, of which one writes the lines to the peer and one reads them.
func (p *scannedProgram) run(writes, reads *exec.Cmd) {
	p.t.Helper()
	var err error
	if p.in, err = reads.StdinPipe(); err != nil {
		p.t.Fatal(err)
	}
	out, err := writes.StdoutPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	for _, cmd := range p.cmds {
		if err := cmd.Start(); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() {
			cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	go func() {
		defer close(p.lines)
		for scanner := bufio.NewScanner(out); scanner.Scan(); {
			p.lines <- bytes.Clone(scanner.Bytes())
		}
	}()
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

// memory reads what the program can write to, while nothing stops it.
func (p *scannedProgram) memory() (regions []region) {
	p.t.Helper()
	for _, cmd := range p.cmds {
		regions = append(regions, p.memoryOf(cmd.Process.Pid)...)
	}
	return regions
}

func (p *scannedProgram) memoryOf(pid int) (regions []region) {
	p.t.Helper()
	folder := fmt.Sprintf("/proc/%d", pid)
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
