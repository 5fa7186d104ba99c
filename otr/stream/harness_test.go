package stream

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// A systemClock uses package time; inside synctest the time is fake.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// testKeys are three identities.
var testKeys = sync.OnceValue(func() (all [3]*keys.DSAPrivateKey) {
	for i, seed := range []uint64{2, 3, 30} { // their primes are found soon
		var err error
		if all[i], err = keys.GenerateDSA(seeded(seed)); err != nil {
			panic(err)
		}
	}
	return all
})

// testKeys4 are the version 4 keys of the same identities.
var testKeys4 = sync.OnceValue(func() (all [3]struct {
	private *keys.Ed448PrivateKey
	forging *keys.ForgingKey
}) {
	for i := range all {
		var err error
		if all[i].private, err = keys.GenerateEd448(rand.Reader); err == nil {
			all[i].forging, err = keys.GenerateForgingKey(rand.Reader)
		}
		if err != nil {
			panic(err)
		}
	}
	return all
})

// seeded returns a source of bytes that depends only on a seed.
func seeded(seed uint64) io.Reader {
	var s [32]byte
	s[0], s[1], s[2] = byte(seed), byte(seed>>8), byte(seed>>16)
	return mathrand.NewChaCha8(s)
}

// An end is one of the two ends in a test.
type end struct {
	*Stream
	lines *Lines
	// meanwhile, unless nil, is called between the pieces that converse writes.
	meanwhile func()

	mu  sync.Mutex
	all []Event
}

// A setting configures an end; the zero value is an ordinary end.
type setting struct {
	key    int // index into testKeys
	lines  bool
	seed   uint64
	config func(*Config)
	otr    func(*otr.Config)
}

func newConversation(t testing.TB, s setting, rand io.Reader) *otr.Conversation {
	t.Helper()
	c := otr.Config{
		DSA:    testKeys()[s.key],
		Policy: otr.AllowV3 | otr.RequireEncryption,
		Rand:   rand,
		Now:    time.Now,
	}
	if overVersion4() {
		c.Policy = otr.AllowV4 | otr.RequireEncryption | otr.RestartAKE
		c.Ed448, c.Forging = testKeys4()[s.key].private, testKeys4()[s.key].forging
	}
	if s.otr != nil {
		s.otr(&c)
	}
	conversation, err := otr.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return conversation
}

// open starts an end over a transport.
func open(t testing.TB, transport io.ReadWriteCloser, s setting) *end {
	t.Helper()
	e := new(end)
	rand := seeded(s.seed<<4 + uint64(s.key))
	config := Config{
		Conversation: newConversation(t, s, rand),
		Clock:        systemClock{},
		Rand:         rand,
		Initiate:     true,
		Timeout:      time.Minute,
		Heartbeat:    time.Minute,
		Dead:         5 * time.Minute,
		Linger:       time.Second,
		Event: func(event Event) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.all = append(e.all, event)
		},
	}
	if s.config != nil {
		s.config(&config)
	}
	w := watch(t, e, config.Clock)
	config.Clock = w
	if s.lines {
		e.lines = OpenLines(transport, config)
		w.link.Store(&e.lines.link)
		t.Cleanup(func() { e.lines.Close() })
	} else {
		e.Stream = Open(transport, config)
		w.link.Store(&e.Stream.link)
		t.Cleanup(func() { e.Abort("the test is over") })
	}
	return e
}

// events returns the events of e so far.
func (e *end) events() []Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

// count returns how many events e was told so far.
func (e *end) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.all)
}

// told counts the events of type T.
func told[T any](e *end) (n int) {
	for _, event := range e.events() {
		if _, ok := event.What.(T); ok {
			n += event.Count
		}
	}
	return n
}

// openPair starts two ends that are connected by a transport.
func openPair(t testing.TB, a, b io.ReadWriteCloser, ours, theirs setting) (*end, *end) {
	t.Helper()
	theirs.key = 1
	return open(t, a, ours), open(t, b, theirs)
}

// A duplex is one end of a transport made of two pipes.
type duplex struct {
	*io.PipeReader
	*io.PipeWriter
}

func (d duplex) Close() error {
	d.PipeReader.Close()
	return d.PipeWriter.Close()
}

// A relay is the effect of a cable on lines in one direction.
type relay struct {
	// filter returns the lines that replace line i, which includes its LF; nil passes
	// everything.
	filter func(i int, line []byte) [][]byte
	// delay is the travel time of a line.
	delay time.Duration
	// limit, if not 0, is the number of bytes after which the cable is cut.
	limit int
}

// cable returns the ends of a transport with the relays ab and ba. Nothing in it is buffered
// unless it has a delay.
func cable(t testing.TB, ab, ba relay) (a, b duplex) {
	fromA, a2 := io.Pipe() // what a writes comes out of fromA
	toB, b2 := io.Pipe()   // what is written to b2 is what b reads
	fromB, b3 := io.Pipe()
	toA, a3 := io.Pipe()
	cut := func() {
		for _, p := range []io.Closer{fromA, b2, fromB, a3} {
			p.Close()
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() { ab.run(fromA, b2, cut) })
	wg.Go(func() { ba.run(fromB, a3, cut) })
	t.Cleanup(func() {
		cut()
		toA.Close()
		toB.Close()
		wg.Wait()
	})
	return duplex{toA, a2}, duplex{toB, b3}
}

func (r relay) run(from *io.PipeReader, to *io.PipeWriter, cut func()) {
	type parcel struct {
		line []byte
		at   time.Time
	}
	parcels := make(chan parcel)
	if r.delay > 0 {
		parcels = make(chan parcel, 4096)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer to.Close()
		for p := range parcels {
			if r.delay > 0 {
				time.Sleep(time.Until(p.at))
			}
			to.Write(p.line) // an end that has left accepts nothing more
		}
	}()
	lines := bufio.NewReader(from)
	passed := 0
	for i := 0; ; i++ {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		out := [][]byte{line}
		if r.filter != nil {
			out = r.filter(i, line)
		}
		for _, line := range out {
			if r.limit > 0 && passed+len(line) >= r.limit {
				parcels <- parcel{line[:r.limit-passed], time.Now().Add(r.delay)}
				close(parcels)
				<-done
				cut()
				return
			}
			passed += len(line)
			parcels <- parcel{line, time.Now().Add(r.delay)}
		}
	}
	close(parcels)
	<-done
	from.Close()
}

// pattern returns n bytes, from offset on, of a stream in which every position looks
// different.
func pattern(seed byte, offset, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		at := offset + i
		b[i] = byte(at) ^ byte(at>>8)*31 ^ byte(at>>16)*17 ^ seed
	}
	return b
}

// A checker reads a stream and compares it with a pattern.
type checker struct {
	seed byte
	n    int
}

func (c *checker) Write(p []byte) (int, error) {
	if !bytes.Equal(p, pattern(c.seed, c.n, len(p))) {
		return 0, fmt.Errorf("wrong bytes from offset %d on", c.n)
	}
	c.n += len(p)
	return len(p), nil
}

// outcome is the result of an exchange at one end.
type outcome struct {
	got    int   // bytes, all right
	wrong  error // a wrong byte was handed out
	eof    bool
	read   error // of Read, nil at the end
	write  error
	result error
}

// converse sends n bytes of a pattern and reads until the end; it returns when everything is
// over.
func converse(e *end, mine, theirs byte, n int) (o outcome) {
	written := make(chan error, 1)
	go func() {
		err := writePattern(meanwhileWriter{e}, mine, n)
		if err == nil {
			err = e.CloseWrite()
		}
		written <- err
	}()
	c := &checker{seed: theirs}
	buf := make([]byte, 40000)
	for {
		n, err := e.Read(buf)
		if n > 0 && o.wrong == nil {
			_, o.wrong = c.Write(buf[:n])
		}
		if err != nil {
			o.eof = err == io.EOF
			if !o.eof {
				o.read = err
			}
			break
		}
	}
	o.got = c.n
	o.write = <-written
	o.result = e.Wait()
	return o
}

type meanwhileWriter struct{ *end }

func (w meanwhileWriter) Write(p []byte) (int, error) {
	if w.meanwhile != nil {
		w.meanwhile()
	}
	return w.end.Write(p)
}

// writePattern writes n bytes of a pattern in pieces of many sizes.
func writePattern(w io.Writer, seed byte, n int) error {
	for at, size := 0, 1; at < n; size = size*5%65537 + 1 {
		size = min(size, n-at)
		m, err := w.Write(pattern(seed, at, size))
		if err != nil {
			return err
		}
		at += m
	}
	return nil
}

// converseBoth runs converse at both ends.
func converseBoth(a, b *end, fromA, fromB int) (oa, ob outcome) {
	var wg sync.WaitGroup
	wg.Go(func() { oa = converse(a, 'a', 'b', fromA) })
	wg.Go(func() { ob = converse(b, 'b', 'a', fromB) })
	wg.Wait()
	return oa, ob
}

// whole fails the test unless o is the outcome of a complete stream of n bytes.
func (o outcome) whole(t *testing.T, name string, n int) {
	t.Helper()
	if o.wrong != nil || o.read != nil || o.write != nil || o.result != nil || !o.eof || o.got != n {
		t.Errorf("%s: got %d of %d bytes, end %v, wrong %v, read %v, write %v, result %v",
			name, o.got, n, o.eof, o.wrong, o.read, o.write, o.result)
	}
}

// honest fails the test if o is success although bytes are missing, or if a byte was wrong.
func (o outcome) honest(t *testing.T, name string, n int) {
	t.Helper()
	switch {
	case o.wrong != nil:
		t.Errorf("%s: %v", name, o.wrong)
	case o.got > n, o.eof && o.got != n, o.result == nil && !o.eof:
		t.Errorf("%s: got %d of %d bytes, end %v, result %v", name, o.got, n, o.eof, o.result)
	case o.result != nil && !errors.Is(o.result, ErrBroken) && !errors.Is(o.result, ErrTimeout):
		t.Errorf("%s: result %v", name, o.result)
	}
}

func handshakeBoth(t *testing.T, ends ...*end) {
	t.Helper()
	for _, e := range ends {
		if err := e.Handshake(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}
