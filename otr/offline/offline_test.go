package offline

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// A person keeps a store only as bytes, like a program that is started for every message.
type person struct {
	t      testing.TB
	config Config
	now    time.Time
	disk   []byte
}

func newPerson(t testing.TB, seed byte) *person {
	t.Helper()
	random := rand.NewChaCha8([32]byte{seed})
	p := &person{t: t, now: time.Unix(1700000000, 0)}
	identity, err := keys.GenerateEd448(random)
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(random)
	if err != nil {
		t.Fatal(err)
	}
	p.config = Config{InstanceTag: 0x1000 + uint32(seed), Identity: identity, Forging: forging, Rand: random,
		Now: func() time.Time { return p.now }}
	return p
}

func newPeople(t testing.TB) (alice, bob *person) { return newPerson(t, 1), newPerson(t, 2) }

func (p *person) fingerprint() keys.Fingerprint {
	return keys.Ed448Fingerprint(p.config.Identity.Public(), p.config.Forging)
}

func (p *person) load() *Store {
	p.t.Helper()
	s, err := Parse(p.config, p.disk)
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// update changes the stored store.
func (p *person) update(change func(s *Store) error) {
	p.t.Helper()
	s := p.load()
	if err := change(s); err != nil {
		p.t.Fatal(err)
	}
	b, err := s.Append(nil)
	if err != nil {
		p.t.Fatal(err)
	}
	p.disk = b
	if testing.Short() {
		return
	}
	again, err := Parse(p.config, b)
	if err != nil {
		p.t.Fatal(err)
	}
	if c, err := again.Append(nil); err != nil || !bytes.Equal(b, c) {
		p.t.Fatalf("a store comes back as another, %v", err)
	}
}

func (p *person) publish(n int, whom For) (file []byte) {
	p.t.Helper()
	p.update(func(s *Store) error {
		lines, err := s.Publish(n, whom)
		for _, line := range lines {
			file = append(append(file, line...), '\n')
		}
		return err
	})
	return file
}

func (p *person) save(t *Session, ahead int) error {
	p.update(func(s *Store) error { return s.Put(t, ahead) })
	return nil
}

func (p *person) writer(t *Session, head Head) *Writer {
	p.t.Helper()
	w, err := NewWriter(t, head, WriterConfig{Save: p.save, Rand: p.config.Rand})
	if err != nil {
		p.t.Fatal(err)
	}
	return w
}

// begin writes the first line to one of the ensembles.
func (p *person) begin(file []byte) (t *Session, lines []byte) {
	p.t.Helper()
	p.update(func(s *Store) error {
		valid, refused := ReadEnsembles(file, p.now)
		if len(refused) > 0 {
			p.t.Fatal(refused)
		}
		to, err := s.Choose(valid, nil, 0)
		if err != nil {
			return err
		}
		t, lines, err = s.Write(to)
		if err != nil {
			return err
		}
		return s.Put(t, maxAhead)
	})
	return t, append(lines, '\n')
}

// stream writes a stream in the session, to its end.
func (p *person) stream(t *Session, content []byte, last bool) []byte {
	p.t.Helper()
	w := p.writer(t, Head{Name: "file", Size: int64(len(content))})
	lines, err := w.Write(nil, content)
	if err == nil {
		lines, err = w.End(lines, last)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	t.HandedOut(0)
	if err := p.save(t, 0); err != nil {
		p.t.Fatal(err)
	}
	return lines
}

func (p *person) texts(t *Session, last bool, texts ...string) []byte {
	p.t.Helper()
	w := p.writer(t, Head{})
	var lines []byte
	var err error
	for _, text := range texts {
		if lines, err = w.Text(lines, []byte(text)); err != nil {
			p.t.Fatal(err)
		}
	}
	if lines, err = w.EndTexts(lines, last); err != nil {
		p.t.Fatal(err)
	}
	t.HandedOut(0)
	if err := p.save(t, 0); err != nil {
		p.t.Fatal(err)
	}
	return lines
}

// A reading is what has come of a message.
type reading struct {
	data    []byte
	texts   []string
	head    *Head
	session *Session
	ended   bool
	warn    []error
}

// read reads a message as the program does: accept it on the disk, show it, put the session.
func (p *person) read(lines []byte) (got reading, err error) {
	p.t.Helper()
	got, err, _ = p.readUntil(lines, -1)
	return got, err
}

// readUntil is read, and stops as if it were killed before line number stop.
func (p *person) readUntil(lines []byte, stop int) (got reading, err error, killed bool) {
	p.t.Helper()
	r := NewReader(p.load(), KindAny)
	all := bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n"))
	for i, line := range all {
		if i == stop {
			return got, nil, true
		}
		if i%Batch == 0 {
			r.Prepare(all[i:min(i+Batch, len(all))])
		}
		result, err := r.Line(line)
		if result.Begun {
			got.session = r.Session()
			if result.Auth != nil {
				p.update(func(s *Store) error { _, err := s.Accept(result.Auth); return err })
			}
		}
		if result.Head != nil {
			got.head = result.Head
		}
		got.data = append(got.data, result.Data...)
		for _, text := range result.Texts {
			got.texts = append(got.texts, string(text))
		}
		got.ended = got.ended || result.Ended
		if result.Warn != nil {
			got.warn = append(got.warn, result.Warn)
		}
		if err != nil {
			break
		}
	}
	err = r.Finish()
	if r.Keep() {
		p.save(r.Session(), 0)
	}
	return got, err, false
}

func pattern(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestAStreamArrivesExactly(t *testing.T) {
	for _, n := range []int{0, 1, PieceLen - 1, PieceLen, PieceLen + 1, 5*PieceLen + 7} {
		if testing.Short() && n < PieceLen {
			continue
		}
		alice, bob := newPeople(t)
		session, lines := alice.begin(bob.publish(1, For{}))
		content := pattern(n)
		lines = append(lines, alice.stream(session, content, false)...)
		got, err := bob.read(lines)
		if err != nil || !bytes.Equal(got.data, content) || !got.ended {
			t.Fatalf("%d bytes: %d came, %v", n, len(got.data), err)
		}
		if *got.head != (Head{Name: "file", Size: int64(n)}) {
			t.Errorf("its head is %+v", *got.head)
		}
		if got.session.ID() != session.ID() || got.session.Fingerprint() != alice.fingerprint() || got.session.Began() || !session.Began() {
			t.Errorf("of session %s of %v", got.session.ID(), got.session.Fingerprint())
		}
	}
}

func TestAStreamWithMailAroundItAndInPiecesArrives(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	session, line := alice.begin(bob.publish(1, For{}))
	config := WriterConfig{Save: alice.save, Rand: alice.config.Rand, MaxLine: 900}
	lines, err := FirstLine([]byte("From: alice\n\nDear Bob,\n"), bytes.TrimSpace(line), config)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWriter(session, Head{Size: -1}, config)
	if err != nil {
		t.Fatal(err)
	}
	content := pattern(PieceLen + 100)
	if lines, err = w.Write(lines, content); err == nil {
		lines, err = w.End(lines, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, "-- \nalice ?OTRv4?\n"...)
	for _, line := range bytes.Split(lines, []byte("\n")) {
		if len(line) > 900 {
			t.Fatalf("a line of %d bytes", len(line))
		}
	}
	got, err := bob.read(lines)
	if err != nil || !bytes.Equal(got.data, content) || got.head.Size != -1 {
		t.Errorf("%d bytes, %v, %v", len(got.data), err, got.warn)
	}
}

// TestEveryCutIsNoticed: a file that is cut anywhere is not accepted as a message, delivers
// only bytes that were sent, and can be read again when it is complete.
func TestEveryCutIsNoticed(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	content := pattern(2*PieceLen + 10)
	lines = append(lines, alice.stream(session, content, false)...)
	for _, at := range []int{0, 100, 3000, len(lines) / 2, len(lines) - 1000, len(lines) - 3} {
		got, err := bob.read(lines[:at])
		if err == nil || !bytes.HasPrefix(content, got.data) || got.ended {
			t.Errorf("cut at %d: %d bytes, %v", at, len(got.data), err)
		}
		if at > 3000 && !errors.Is(err, ErrCut) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	got, err := bob.read(lines)
	if err != nil || !bytes.Equal(got.data, content) {
		t.Fatalf("the whole: %d bytes, %v", len(got.data), err)
	}
	got, err = bob.read(lines)
	if !errors.Is(err, ErrRead) || len(got.data) > 0 {
		t.Errorf("again: %d bytes, %v", len(got.data), err)
	}
}

func TestLinesOfAStreamThatAreChangedBreakIt(t *testing.T) {
	content := pattern(4*PieceLen + 10)
	for name, change := range map[string]func(lines [][]byte) [][]byte{
		"one missing":     func(l [][]byte) [][]byte { return slices.Delete(l, 2, 3) },
		"the first piece": func(l [][]byte) [][]byte { return slices.Delete(l, 1, 2) },
		"two exchanged":   func(l [][]byte) [][]byte { l[2], l[3] = l[3], l[2]; return l },
		"one damaged": func(l [][]byte) [][]byte {
			l[2] = bytes.Replace(l[2], l[2][200:210], []byte("AAAAAAAAAA"), 1)
			return l
		},
		"the end too soon": func(l [][]byte) [][]byte { return append(l[:2:2], l[len(l)-1]) },
	} {
		if testing.Short() && name != "one missing" && name != "two exchanged" {
			continue
		}
		alice, bob := newPeople(t)
		session, lines := alice.begin(bob.publish(1, For{}))
		lines = append(lines, alice.stream(session, content, false)...)
		changed := change(bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n")))
		got, err := bob.read(bytes.Join(changed, []byte("\n")))
		if !errors.Is(err, ErrBroken) || got.ended || !bytes.HasPrefix(content, got.data) {
			t.Errorf("%s: %d bytes, ended %v, %v", name, len(got.data), got.ended, err)
		}
		if got, err := bob.read(lines); err != nil || !bytes.Equal(got.data, content) {
			t.Errorf("%s: then the whole: %v", name, err)
		}
	}
}

func TestLinesThatComeTwiceDoNoHarm(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	content := pattern(2 * PieceLen)
	lines = append(lines, alice.stream(session, content, false)...)
	var twice []byte
	for _, line := range bytes.SplitAfter(lines, []byte("\n")) {
		twice = append(append(twice, line...), line...)
	}
	got, err := bob.read(append(twice, lines...))
	if err != nil || !bytes.Equal(got.data, content) {
		t.Errorf("%d bytes, %v, %v", len(got.data), err, got.warn)
	}
}

func TestAStreamFromTwoSessionsIsNotMixed(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	a, first := alice.begin(file)
	b, second := alice.begin(file)
	first = append(first, alice.stream(a, []byte("first"), false)...)
	second = append(second, alice.stream(b, []byte("second"), false)...)
	one, two := bytes.SplitAfter(first, []byte("\n")), bytes.SplitAfter(second, []byte("\n"))
	var mixed []byte
	for i := range one {
		mixed = append(append(mixed, one[i]...), two[i]...)
	}
	got, err := bob.read(mixed)
	if !errors.Is(err, ErrOther) || string(got.data) != "first" || !got.ended {
		t.Errorf("%q, %v", got.data, err)
	}
	got, err = bob.read(second)
	if err != nil || string(got.data) != "second" {
		t.Errorf("then the other: %q, %v", got.data, err)
	}
}

func TestTheBeginningOfAnotherMessageBehindAStreamIsNoticed(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	session, lines := alice.begin(file)
	lines = append(lines, alice.stream(session, []byte("first"), false)...)
	_, other := alice.begin(file)
	got, err := bob.read(append(lines, other...))
	if !errors.Is(err, ErrOther) || string(got.data) != "first" || !got.ended {
		t.Errorf("%q, %v", got.data, err)
	}
	if len(got.warn) != 1 || !errors.Is(got.warn[0], ErrOther) {
		t.Errorf("warned of %v", got.warn)
	}
}

// TestTwoStreamsOfOneSessionCannotBeSpliced: pieces of the same length at the same offset.
func TestTwoStreamsOfOneSessionCannotBeSpliced(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, pattern(3*PieceLen), false)...)
	other := alice.stream(session, make([]byte, 3*PieceLen), false)
	a, b := bytes.SplitAfter(lines, []byte("\n")), bytes.SplitAfter(other, []byte("\n"))
	a[2] = b[1] // the second piece of the first stream
	got, err := bob.read(bytes.Join(a, nil))
	if !errors.Is(err, ErrBroken) || !bytes.HasPrefix(pattern(3*PieceLen), got.data) {
		t.Errorf("%d bytes, %v", len(got.data), err)
	}
}

func TestConversationsGoOnByMail(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	mails := map[string][]byte{}
	mails["hello"] = append(lines, alice.stream(session, []byte("hello"), false)...)
	session, err := alice.load().Session(session.ID()[:6])
	if err != nil {
		t.Fatal(err)
	}
	mails["second"] = alice.stream(session, []byte("second"), false)
	session, _ = alice.load().Session(session.ID())
	mails["third"] = alice.stream(session, []byte("third"), false)
	read := func(p *person, name string) {
		t.Helper()
		got, err := p.read(mails[name])
		if err != nil || string(got.data) != name {
			t.Fatalf("%s: %q, %v, %v", name, got.data, err, got.warn)
		}
	}
	write := func(p *person, name string) {
		t.Helper()
		s, err := p.load().Session(session.ID())
		if err != nil {
			t.Fatal(err)
		}
		mails[name] = p.stream(s, []byte(name), false)
	}
	read(bob, "hello")
	read(bob, "third")
	write(bob, "answer 1")
	write(bob, "answer 2")
	write(bob, "answer 3, which is lost")
	bob.now = bob.now.Add(20 * 24 * time.Hour)
	alice.now = bob.now
	read(alice, "answer 2")
	read(bob, "second") // it had been delayed
	write(alice, "again")
	write(alice, "and again")
	read(bob, "and again")
	read(alice, "answer 1")
	read(bob, "again")
	for turn := range 7 {
		from, to := bob, alice
		if turn%2 == 1 {
			from, to = alice, bob
		}
		name := fmt.Sprintf("turn %d", turn)
		write(from, name)
		read(to, name)
		if _, err := to.read(mails[name]); !errors.Is(err, ErrRefused) {
			t.Errorf("a copy of %s: %v", name, err)
		}
	}
	bob.now = bob.now.Add(SessionLifetime)
	store := bob.load()
	store.Expire()
	if n := len(store.Sessions()); n != 0 {
		t.Errorf("%d sessions are left after a month without a word", n)
	}
}

// Who only writes has to keep the session for the answer to what was written last.
func TestASessionIsKeptForAMonthAfterTheLastMessageThatWasSent(t *testing.T) {
	alice, bob := newPeople(t)
	session, _ := alice.begin(bob.publish(1, For{}))
	alice.stream(session, []byte("hello"), false)
	for range 2 {
		alice.now = alice.now.Add(SessionLifetime - time.Hour)
		store := alice.load()
		store.Expire()
		session, err := store.Session(session.ID())
		if err != nil {
			t.Fatal(err)
		}
		alice.stream(session, []byte("more"), false)
		if !session.Used().Equal(alice.now) {
			t.Errorf("it was used at %v, and not at %v", session.Used(), alice.now)
		}
	}
	alice.now = alice.now.Add(SessionLifetime)
	store := alice.load()
	store.Expire()
	if n := len(store.Sessions()); n != 0 {
		t.Errorf("%d sessions are left after a month", n)
	}
}

func TestTheLastMessageEndsTheSessionAtBothEnds(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("bye"), true)...)
	if n := len(alice.load().Sessions()); n != 0 {
		t.Errorf("the sender keeps %d sessions", n)
	}
	got, err := bob.read(lines)
	if err != nil || string(got.data) != "bye" || !got.session.Ended() {
		t.Errorf("%q, %v", got.data, err)
	}
	if n := len(bob.load().Sessions()); n != 0 {
		t.Errorf("the receiver keeps %d sessions", n)
	}
	if _, err := bob.read(lines); !Used(err) {
		t.Errorf("again: %v", err)
	}
}

func TestTextsArriveInAnyOrder(t *testing.T) {
	slowtest.SkipShort(t)
	for _, last := range []bool{false, true} {
		alice, bob := newPeople(t)
		session, lines := alice.begin(bob.publish(1, For{}))
		lines = append(lines, alice.texts(session, last, "one", "zwölf", "three")...)
		l := bytes.SplitAfter(lines, []byte("\n"))
		l[1], l[4] = l[4], l[1] // the end comes before the first text
		got, err := bob.read(bytes.Join(l, nil))
		if err != nil || !slices.Equal(got.texts, []string{"zwölf", "three", "one"}) {
			t.Errorf("%q, %v", got.texts, err)
		}
		if n := len(bob.load().Sessions()); (n == 0) != last {
			t.Errorf("%d sessions are left", n)
		}
	}
}

func TestATextThatIsMissingIsNoticedAndCanComeLater(t *testing.T) {
	for _, last := range []bool{false, true} {
		alice, bob := newPeople(t)
		session, lines := alice.begin(bob.publish(1, For{}))
		lines = append(lines, alice.texts(session, last, "one", "two")...)
		l := bytes.SplitAfter(lines, []byte("\n"))
		late := l[1]
		got, err := bob.read(bytes.Join(slices.Delete(slices.Clone(l), 1, 2), nil))
		if !errors.Is(err, ErrCut) || !slices.Equal(got.texts, []string{"two"}) {
			t.Errorf("%q, %v", got.texts, err)
		}
		got, _ = bob.read(late)
		if !slices.Equal(got.texts, []string{"one"}) {
			t.Errorf("late: %q, %v", got.texts, got.warn)
		}
	}
}

func TestTextsThatComeBeforeTheirFirstLineAreRead(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	session, first := alice.begin(bob.publish(1, For{}))
	rest := alice.stream(session, pattern(3*PieceLen), false)
	got, err := bob.read(append(rest, first...))
	if err != nil || !bytes.Equal(got.data, pattern(3*PieceLen)) {
		t.Errorf("%d bytes, %v", len(got.data), err)
	}
	if _, err := bob.read(rest); !errors.Is(err, ErrRefused) {
		t.Errorf("without it: %v", err)
	}
}

func TestAKindThatWasNotExpectedIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	file := bob.publish(2, For{})
	a, stream := alice.begin(file)
	stream = append(stream, alice.stream(a, []byte("x"), false)...)
	b, texts := alice.begin(file)
	texts = append(texts, alice.texts(b, false, "x")...)
	for _, c := range []struct {
		lines []byte
		kind  Kind
		want  error
	}{{stream, KindTexts, ErrNoStream}, {texts, KindStream, ErrNoText}} {
		r := NewReader(bob.load(), c.kind)
		for _, line := range bytes.Split(c.lines, []byte("\n")) {
			if got, _ := r.Line(line); len(got.Data) > 0 || len(got.Texts) > 0 {
				t.Errorf("%v: %+v", c.kind, got)
			}
		}
		if err := r.Finish(); !errors.Is(err, c.want) || r.Keep() {
			t.Errorf("%v: %v", c.kind, err)
		}
	}
}

func TestAPrekeyServesOneMessage(t *testing.T) {
	alice, bob := newPeople(t)
	carol := newPerson(t, 3)
	file := bob.publish(1, For{})
	a, first := alice.begin(file)
	c, second := carol.begin(file)
	first = append(first, alice.stream(a, []byte("alice"), false)...)
	second = append(second, carol.stream(c, []byte("carol"), false)...)
	// Killed before the first line has been accepted, nothing has changed.
	if _, _, killed := bob.readUntil(first, 0); !killed {
		t.Fatal("not killed")
	}
	if n := len(bob.load().Prekeys()); n != 1 {
		t.Errorf("%d prekeys", n)
	}
	// Killed later, the prekey is gone, and the message can be read again; the other cannot.
	for stop := 1; stop < 3; stop++ {
		if _, _, killed := bob.readUntil(first, stop); !killed {
			t.Fatal("not killed")
		}
		if n := len(bob.load().Prekeys()); n != 0 {
			t.Errorf("%d prekeys", n)
		}
		if got, err := bob.read(second); !Used(err) || len(got.data) > 0 {
			t.Errorf("the second sender: %q, %v", got.data, err)
		}
	}
	got, err := bob.read(first)
	if err != nil || string(got.data) != "alice" {
		t.Errorf("%q, %v", got.data, err)
	}
}

func TestAMessageThatWasNotReadToItsEndIsGoneWithItsPrekeysTime(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, pattern(3*PieceLen), false)...)
	expires := bob.load().Prekeys()[0].Expires
	bob.readUntil(lines, 2)
	bob.now = expires.Add(v4.PrekeyGrace - time.Second)
	if _, err := bob.read(lines[:len(lines)-300]); !errors.Is(err, ErrCut) {
		t.Errorf("within the day of grace: %v", err)
	}
	bob.now = expires.Add(v4.PrekeyGrace)
	got, err := bob.read(lines)
	if !errors.Is(err, ErrRefused) || len(got.data) > 0 {
		t.Errorf("after it: %d bytes, %v", len(got.data), err)
	}
}

func TestAMessageAfterItsPrekeyExpiredIsRefusedByName(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("late"), false)...)
	bob.now = bob.load().Prekeys()[0].Expires.Add(v4.PrekeyGrace)
	bob.update(func(s *Store) error { s.Expire(); return nil })
	if _, err := bob.read(lines); !Expired(err) || !NoPrekey(err) {
		t.Errorf("%v", err)
	}
	if b := bob.load(); len(b.publications) != 0 || len(b.prekeys) != 0 {
		t.Errorf("%d publications and %d prekeys are left", len(b.publications), len(b.prekeys))
	}
}

func TestAPrekeyForOneContactTakesNobodyElsesMessage(t *testing.T) {
	alice, bob := newPeople(t)
	carol := newPerson(t, 3)
	file := bob.publish(1, For{Contact: "alice", Keys: []keys.Fingerprint{alice.fingerprint()}})
	c, lines := carol.begin(file)
	lines = append(lines, carol.stream(c, []byte("carol"), false)...)
	if got, err := bob.read(lines); !errors.Is(err, ErrSender) || len(got.data) > 0 {
		t.Errorf("carol: %q, %v", got.data, err)
	}
	a, lines := alice.begin(file)
	lines = append(lines, alice.stream(a, []byte("alice"), false)...)
	if got, err := bob.read(lines); err != nil || string(got.data) != "alice" {
		t.Errorf("alice: %q, %v", got.data, err)
	}
}

func TestPublicationsLiveAWeekToAMidnightAndAreRenewed(t *testing.T) {
	_, bob := newPeople(t)
	bob.publish(2, For{})
	first := bob.load().Prekeys()
	expires := first[0].Expires.UTC()
	if expires != expires.Truncate(24*time.Hour) || expires.Sub(bob.now) < Lifetime || expires.Sub(bob.now) >= Lifetime+24*time.Hour {
		t.Errorf("it expires at %v", expires)
	}
	bob.now = expires.Add(-renewal)
	bob.publish(1, For{})
	bob.now = bob.now.Add(time.Second)
	bob.publish(1, For{})
	list := bob.load().Prekeys()
	if len(list) != 4 || !list[2].Expires.Equal(expires) || !list[3].Expires.After(expires) {
		t.Errorf("%v", list)
	}
	bob.now = expires.Add(v4.PrekeyGrace)
	bob.update(func(s *Store) error { s.Expire(); return nil })
	if list := bob.load().Prekeys(); len(list) != 1 {
		t.Errorf("%v are left", list)
	}
}

func TestAStoreHoldsSoManyPrekeysAndNoMore(t *testing.T) {
	_, bob := newPeople(t)
	s := bob.load()
	for _, n := range []int{0, -1, MaxPrekeys + 1} {
		if _, err := s.Publish(n, For{}); !errors.Is(err, ErrFull) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestARevokedPrekeyOpensNothing(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(2, For{}))
	lines = append(lines, alice.stream(session, []byte("x"), false)...)
	bob.update(func(s *Store) error {
		if n := s.Revoke(func(Prekey) bool { return true }); n != 2 {
			t.Errorf("%d revoked", n)
		}
		return nil
	})
	if _, err := bob.read(lines); !NoPrekey(err) || Used(err) || Expired(err) {
		t.Errorf("%v", err)
	}
	if n := len(bob.load().publications); n != 0 {
		t.Errorf("%d publications are left", n)
	}
}

func TestChoosing(t *testing.T) {
	alice, bob := newPeople(t)
	carol := newPerson(t, 3)
	file := append(bob.publish(2, For{}), carol.publish(1, For{})...)
	valid, refused := ReadEnsembles(file, alice.now)
	if len(valid) != 3 || len(refused) != 0 {
		t.Fatal(refused)
	}
	s := alice.load()
	if _, err := s.Choose(valid, nil, 0); !errors.Is(err, ErrSeveral) {
		t.Errorf("of two people: %v", err)
	}
	if r, err := s.Choose(valid, nil, carol.config.InstanceTag); err != nil || r.Fingerprint() != carol.fingerprint() {
		t.Errorf("by instance: %v", err)
	}
	if _, err := s.Choose(valid, []keys.Fingerprint{alice.fingerprint()}, 0); !errors.Is(err, ErrNoEnsemble) {
		t.Errorf("of nobody: %v", err)
	}
	used := map[[32]byte]bool{}
	for range 2 {
		r, err := s.Choose(valid, []keys.Fingerprint{bob.fingerprint()}, 0)
		if err != nil || used[r.r.Ensemble.Digest()] {
			t.Fatalf("%v", err)
		}
		used[r.r.Ensemble.Digest()] = true
		if _, _, err := s.Write(r); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Write(r); !errors.Is(err, ErrNoEnsemble) {
			t.Errorf("an ensemble is used twice: %v", err)
		}
		if s.Spend(r) {
			t.Error("a used ensemble is unused")
		}
	}
	if _, err := s.Choose(valid, []keys.Fingerprint{bob.fingerprint()}, 0); !errors.Is(err, ErrNoEnsemble) {
		t.Errorf("all used: %v", err)
	}
	// The latest expiry first.
	bob.now = bob.now.Add(Lifetime)
	later, _ := ReadEnsembles(append(file, bob.publish(1, For{})...), alice.now)
	r, err := alice.load().Choose(later, []keys.Fingerprint{bob.fingerprint()}, 0)
	if err != nil || !r.Expires().After(valid[0].Expires()) {
		t.Errorf("the latest: %v", err)
	}
}

// TestACrashOfTheSenderUsesNoKeyTwice: while a stream is being written, the stored session
// continues after it.
func TestACrashOfTheSenderUsesNoKeyTwice(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(1, For{}))
	lines = append(lines, alice.stream(session, []byte("hello"), false)...)
	if _, err := bob.read(lines); err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{} // key and place of every message
	use := func(lines []byte) {
		t.Helper()
		for _, line := range bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n")) {
			msg, err := wire.AppendDearmored(nil, line)
			if err != nil {
				t.Fatal(err)
			}
			h, body, err := wire.ParseHeader(msg)
			if err != nil || h.Type != wire.TypeData {
				continue
			}
			m, err := v4.ParseData(body)
			if err != nil {
				t.Fatal(err)
			}
			place := fmt.Sprintf("%x %d", m.ECDH, m.MessageID)
			if used[place] {
				t.Errorf("two messages are encrypted with the key of message %d", m.MessageID)
			}
			used[place] = true
		}
	}
	use(lines)
	for range 40 { // of which each costs the session as much as it was stored ahead
		s, err := alice.load().Session(session.ID())
		if err != nil {
			t.Fatal(err)
		}
		w := alice.writer(s, Head{Size: -1})
		for range 10 {
			if lines, err = w.Write(lines[:0], pattern(100)); err != nil {
				t.Fatal(err)
			}
			use(lines)
		}
		// Killed here: the session was not put.
	}
	s, _ := alice.load().Session(session.ID())
	lines = alice.stream(s, []byte("after the crashes"), false)
	use(lines)
	got, err := bob.read(lines)
	if err != nil || string(got.data) != "after the crashes" {
		t.Errorf("%q, %v", got.data, err)
	}
}

func TestALongStreamIsStoredAheadOfItself(t *testing.T) {
	alice, bob := newPeople(t)
	session, _ := alice.begin(bob.publish(1, For{}))
	saves := 0
	w, err := NewWriter(session, Head{}, WriterConfig{Save: func(*Session, int) error { saves++; return nil }})
	if err != nil {
		t.Fatal(err)
	}
	var lines []byte
	for range 16 + 32 + 64 + 128 + 3*256 {
		if lines, err = w.Write(lines[:0], []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if saves != 7 {
		t.Errorf("stored %d times", saves)
	}
	session.HandedOut(0)
	full := errors.New("disk full")
	w, err = NewWriter(session, Head{}, WriterConfig{Save: func(*Session, int) error { return full }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if b, err := w.Write(nil, []byte("x")); !errors.Is(err, full) || len(b) > 0 {
			t.Errorf("%d bytes, %v", len(b), err)
		}
	}
}

func TestWhatCannotBeSentIsRefused(t *testing.T) {
	alice, bob := newPeople(t)
	session, _ := alice.begin(bob.publish(1, For{}))
	w := alice.writer(session, Head{})
	if _, err := w.Text(nil, make([]byte, 1)); err == nil {
		t.Error("a text with a NUL")
	}
	if _, err := w.Text(nil, bytes.Repeat([]byte("x"), MaxText+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a long text: %v", err)
	}
	for _, head := range []Head{{Name: strings.Repeat("x", maxName+1)}, {Name: "\xff"}} {
		if _, err := NewWriter(session, head, WriterConfig{}); !errors.Is(err, ErrTooLong) {
			t.Errorf("%.10q: %v", head.Name, err)
		}
	}
}

func TestAStoreIsRefusedUnlessItIsWhole(t *testing.T) {
	alice, bob := newPeople(t)
	session, lines := alice.begin(bob.publish(2, For{Contact: "alice", Keys: []keys.Fingerprint{alice.fingerprint()}}))
	lines = append(lines, alice.stream(session, []byte("x"), false)...)
	if _, err := bob.read(lines); err != nil {
		t.Fatal(err)
	}
	step := 1
	if testing.Short() {
		step = 13
	}
	for n := 1; n < len(bob.disk); n += step {
		if _, err := Parse(bob.config, bob.disk[:n]); !errors.Is(err, ErrState) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := Parse(bob.config, append(bytes.Clone(bob.disk), 0)); !errors.Is(err, ErrState) {
		t.Errorf("with a byte behind: %v", err)
	}
	newer := bytes.Clone(bob.disk)
	newer[0]++
	if _, err := Parse(bob.config, newer); !errors.Is(err, ErrNewer) {
		t.Errorf("of a newer form: %v", err)
	}
	for _, v := range []any{bob.load(), *bob.load(), *bob.load().Sessions()[0]} {
		if got := fmt.Sprintf("%+v", v); !strings.Contains(got, "(…)") {
			t.Errorf("%T prints as %s", v, got)
		}
	}
}

func TestTooManySessionsLetTheOldestGo(t *testing.T) {
	slowtest.SkipShort(t)
	s := newPerson(t, 1).load()
	alice, bob := newPeople(t)
	session, _ := alice.begin(bob.publish(1, For{}))
	b, err := session.append(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for n := range MaxSessions + 2 {
		r := wire.NewReader(b)
		copied, err := alice.load().readSession(&r, storeFormat)
		if err != nil {
			t.Fatal(err)
		}
		copied.used = time.Unix(int64(1000-n%7), int64(n))
		copied.id = fmt.Sprint(n)
		s.add(copied)
	}
	if len(s.sessions) != MaxSessions {
		t.Errorf("%d sessions", len(s.sessions))
	}
	if s.sessions[0].id != "0" || slices.ContainsFunc(s.sessions, func(t *Session) bool { return t.id == "6" }) {
		t.Error("another one than the oldest went")
	}
}

// testdata/alice.1 and bob.1 were written in format 1, after Bob had read a message of Alice.
func TestAStoreOfAnEarlierFormatGoesOn(t *testing.T) {
	alice, bob := newPeople(t)
	for p, name := range map[*person]string{alice: "alice.1", bob: "bob.1"} {
		var err error
		if p.disk, err = os.ReadFile("testdata/" + name); err != nil {
			t.Fatal(err)
		}
		sessions := p.load().Sessions()
		if len(sessions) != 1 || sessions[0].Closed() || sessions[0].Unread() || sessions[0].Gap() > 0 {
			t.Fatalf("%s has other sessions than when it was written: %v", name, sessions)
		}
	}
	if n := len(bob.load().Prekeys()); n != 2 {
		t.Errorf("Bob has %d prekeys left, not 2", n)
	}
	for _, message := range []struct{ from, to *person }{{bob, alice}, {alice, bob}} {
		lines := message.from.stream(message.from.load().Sessions()[0], []byte("hello again"), false)
		if got, err := message.to.read(lines); err != nil || string(got.data) != "hello again" {
			t.Errorf("%q, %v", got.data, err)
		}
	}
	if alice.disk[0] != storeFormat || bob.disk[0] != storeFormat {
		t.Errorf("they are written in formats %d and %d, not %d", alice.disk[0], bob.disk[0], storeFormat)
	}
}

func FuzzParseStore(f *testing.F) {
	alice, bob := newPeople(f)
	session, lines := alice.begin(bob.publish(2, For{Contact: "alice", Keys: []keys.Fingerprint{alice.fingerprint()}}))
	lines = append(lines, alice.stream(session, []byte("x"), false)...)
	if _, err := bob.read(lines); err != nil {
		f.Fatal(err)
	}
	f.Add(bob.disk)
	f.Add(alice.disk)
	for _, name := range []string{"alice.1", "bob.1"} {
		earlier, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(earlier)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(bob.config, b)
		if err != nil {
			return
		}
		c, err := s.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(bob.config, c); err != nil {
			t.Errorf("%x is read, and not as it is written: %v", b, err)
		}
	})
}

func FuzzParseHead(f *testing.F) {
	f.Add(Head{Name: "file", Size: 7}.append(nil))
	f.Add(Head{Size: -1}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := parseHead(b); err == nil && !bytes.Equal(h.append(nil), b) {
			t.Errorf("%x comes back as %x", b, h.append(nil))
		}
	})
}

// FuzzReader inserts any lines into an honest message: the reader delivers only bytes that
// were sent in it.
func FuzzReader(f *testing.F) {
	alice, bob := newPeople(f)
	session, lines := alice.begin(bob.publish(1, For{}))
	content := pattern(1000)
	w := alice.writer(session, Head{})
	for at := 0; at < len(content); at += 100 {
		var err error
		if lines, err = w.Write(lines, content[at:at+100]); err != nil {
			f.Fatal(err)
		}
	}
	lines, _ = w.End(lines, false)
	whole := bytes.Split(lines, []byte("\n"))
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, []byte("?OTR:AAQD."))
	f.Add([]byte{5, 4, 3, 2, 1, 0, 9, 11}, lines[:50])
	f.Fuzz(func(t *testing.T, order, line []byte) {
		store, err := Parse(bob.config, bob.disk)
		if err != nil {
			t.Fatal(err)
		}
		r := NewReader(store, KindAny)
		var got []byte
		for _, n := range order {
			next := line
			if int(n) < len(whole) {
				next = whole[n]
			}
			result, err := r.Line(next)
			got = append(got, result.Data...)
			if err != nil {
				break
			}
		}
		if !bytes.HasPrefix(content, got) || r.Ended() && len(got) != len(content) {
			t.Errorf("%x, ended %v", got, r.Ended())
		}
	})
}
