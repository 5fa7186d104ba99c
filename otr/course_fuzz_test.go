package otr_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// courseKeys holds the version 4 keys of both ends of a fuzzed course.
var courseKeys = sync.OnceValue(func() (k [2]struct {
	private *keys.Ed448PrivateKey
	forging *keys.ForgingKey
}) {
	for i := range k {
		random := testRand(uint64(2000 + i))
		var err error
		if k[i].private, err = keys.GenerateEd448(random); err == nil {
			k[i].forging, err = keys.GenerateForgingKey(random)
		}
		if err != nil {
			panic(err)
		}
	}
	return k
})

// courseVersions lists the sets of versions that an end of a fuzzed course may use.
var courseVersions = []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4,
	otr.AllowV2 | otr.AllowV3, otr.AllowV3 | otr.AllowV4, otr.AllowV2 | otr.AllowV3 | otr.AllowV4}

// saidMark is in every text of a course. No line on the wire shows it.
const saidMark = "said by "

// maxCourse bounds the steps of a course: longer ones find nothing new and take long.
const maxCourse = 100

// A fuzzedCourse is two ends, each of them a pair of twins, and a wire that changes their
// lines as the input says. The twins of an end must behave alike: one gets lines one by one,
// the other in batches.
type fuzzedCourse struct {
	t       *testing.T
	clock   *clock
	ends    [2]twins
	queues  [2][][]byte // lines on their way to ends[i]
	history [2][][]byte // all lines that were ever sent to ends[i]
	foreign [][]byte    // lines of other sessions, to be inserted

	spoken  int
	said    [2]map[string]bool // what ends[i] has said
	heard   [2]map[string]int  // how often ends[i] has heard a text
	latest  [2]int             // the greatest number of a text that ends[i] has heard
	resent  [2]int             // how often ends[i] has sent a text again
	orderly bool               // nothing came twice or out of order
	secret  [2]string          // of the comparison
}

// newFuzzedCourse sets up two ends. setup determines their versions, the length of their
// lines, and whether they have the same secret.
func newFuzzedCourse(t *testing.T, setup uint16, foreign [][]byte) *fuzzedCourse {
	n := &fuzzedCourse{t: t, clock: newClock(), foreign: foreign, orderly: true, secret: [2]string{"secret", "secret"}}
	versions := [2]int{int(setup) % len(courseVersions), int(setup>>4) % len(courseVersions)}
	size := []int{0, 0, 200, 1000}[setup>>8&3]
	if setup>>10&1 != 0 {
		n.secret[1] = "another"
	}
	for i, name := range []string{"alice", "bob"} {
		k := courseKeys()[i]
		n.ends[i] = newTwins(t, name, i, uint64(i+1), n.clock, func(c *otr.Config) {
			c.Policy = courseVersions[versions[i]] | otr.RequireEncryption | otr.RestartAKE | otr.ErrorStartAKE | otr.WhitespaceStartAKE
			c.Ed448, c.Forging, c.MaxSize = k.private, k.forging, size
			c.Heartbeat, c.Expire = time.Minute, time.Hour
		})
		n.said[i], n.heard[i], n.latest[i] = make(map[string]bool), make(map[string]int), -1
	}
	return n
}

// send puts lines of an end on their way.
func (n *fuzzedCourse) send(from int, lines [][]byte) {
	for _, line := range lines {
		if bytes.Contains(line, []byte(saidMark)) || bytes.ContainsAny(line, "\n\r\x00") {
			n.t.Fatalf("%q on the wire", line)
		}
		n.queues[1-from] = append(n.queues[1-from], bytes.Clone(line))
	}
}

// both makes both twins of an end do the same, and sends their lines.
func (n *fuzzedCourse) both(i int, do func(*otr.Conversation) ([][]byte, error)) {
	one, errOne := do(n.ends[i].single.Conversation)
	one = cloneLines(one)
	other, errOther := do(n.ends[i].batch.Conversation)
	if !slices.EqualFunc(one, other, bytes.Equal) || fmt.Sprint(errOne) != fmt.Sprint(errOther) {
		n.t.Fatalf("%s: %q, %v; its twin: %q, %v", n.ends[i].single.name, one, errOne, other, errOther)
	}
	n.send(i, one)
	n.sameState(i)
}

// sameState compares the states of the twins.
func (n *fuzzedCourse) sameState(i int) {
	state := func(e *end) string {
		s, ok := e.Session()
		return fmt.Sprintln(e.State(), e.AuthState(), e.SMPState(), e.Exchanging(), e.UnderWay(), e.NextTick(), ok, s)
	}
	if one, other := state(n.ends[i].single), state(n.ends[i].batch); one != other {
		n.t.Fatalf("%s is %sits twin %s", n.ends[i].single.name, one, other)
	}
}

// hand passes lines to an end.
func (n *fuzzedCourse) hand(i int, lines [][]byte) {
	w := n.ends[i]
	var one, many strings.Builder
	var send [][]byte
	for _, line := range lines {
		_, before := w.single.Session()
		got, err := w.single.Receive(bytes.Clone(line))
		describe(&one, got, err)
		n.check(i, got, before)
		send = append(send, cloneLines(got.Send)...)
	}
	for rest := cloneLines(lines); len(rest) > 0; {
		got, err := w.batch.ReceiveAll(rest)
		if len(got) == 0 || len(got) > len(rest) {
			n.t.Fatalf("ReceiveAll handled %d of %d lines", len(got), len(rest))
		}
		for k, r := range got {
			if k < len(got)-1 {
				describe(&many, r, nil)
			} else {
				describe(&many, r, err)
			}
		}
		rest = rest[len(got):]
	}
	if one.String() != many.String() {
		n.t.Fatalf("%d lines, one by one:\n%.3000s\nat once:\n%.3000s", len(lines), one.String(), many.String())
	}
	n.send(i, send)
	n.sameState(i)
}

// check compares the events and texts of an end with what its peer has sent. session means
// that there was a session before.
func (n *fuzzedCourse) check(i int, got otr.Received, session bool) {
	e := n.ends[i].single
	now, after := e.Session()
	if (got.HasText || got.Text != nil || got.DataMessage || len(got.TLVs) > 0) && !session && !after {
		n.t.Fatalf("%s reads %q without a session", e.name, got.Text)
	}
	if bytes.Contains(got.Unencrypted, []byte(saidMark)) {
		n.t.Fatalf("%s was told %q in clear", e.name, got.Unencrypted)
	}
	for _, event := range got.Events {
		switch event := event.(type) {
		case otr.Secure:
			if want := n.ends[1-i].single.Fingerprint(event.Version); event.Fingerprint != want {
				n.t.Fatalf("%s has a session with %v, who is not the peer", e.name, event.Fingerprint)
			}
		case otr.SMPSucceeded:
			if n.secret[0] != n.secret[1] {
				n.t.Fatalf("%s takes different secrets for the same", e.name)
			}
		case otr.Resent:
			n.resent[i]++
		}
	}
	if text := string(got.Text); got.HasText && text != "" {
		var number int
		if _, err := fmt.Sscanf(text, saidMark+n.ends[1-i].single.name+": %d", &number); err != nil || !n.said[1-i][text] {
			n.t.Fatalf("%s reads %q, which nobody has said", e.name, text)
		}
		if n.heard[i][text]++; n.heard[i][text] > 1+n.resent[1-i] {
			n.t.Fatalf("%s reads %q %d times", e.name, text, n.heard[i][text])
		}
		if n.orderly && n.resent[1-i] == 0 && number < n.latest[i] {
			n.t.Fatalf("%s reads %q after text %d", e.name, text, n.latest[i])
		}
		n.latest[i] = max(n.latest[i], number)
	}
	if other, ok := n.ends[1-i].single.Session(); ok && after && other.SSID == now.SSID &&
		(other.Version != now.Version || other.FirstHalfBold == now.FirstHalfBold) {
		n.t.Fatalf("one session, and two descriptions: %+v, %+v", now, other)
	}
}

// deliver delivers the first lines on their way to an end, at most k.
func (n *fuzzedCourse) deliver(to, k int) {
	k = min(k, len(n.queues[to]))
	lines := n.queues[to][:k]
	n.queues[to] = slices.Clone(n.queues[to][k:])
	for _, line := range lines {
		if len(n.history[to]) < 64 {
			n.history[to] = append(n.history[to], line)
		}
	}
	n.hand(to, lines)
}

// settle delivers everything. Two ends that follow the rules stop answering each other.
func (n *fuzzedCourse) settle() {
	for range 2000 {
		switch {
		case len(n.queues[0]) > 0:
			n.deliver(0, 1+len(n.queues[0])/2)
		case len(n.queues[1]) > 0:
			n.deliver(1, 1+len(n.queues[1])/2)
		default:
			return
		}
	}
	n.t.Fatal("the two never stop")
}

// pass lets time pass, and both ends do what is due.
func (n *fuzzedCourse) pass(d time.Duration) {
	n.clock.advance(d)
	for i, w := range n.ends {
		for range 20 {
			if next := w.single.NextTick(); next.IsZero() || next.After(n.clock.now) {
				break
			}
			_, before := w.single.Session()
			got, err := w.single.Tick()
			n.check(i, got, before)
			var one, other strings.Builder
			describe(&one, got, err)
			send := cloneLines(got.Send)
			got, err = w.batch.Tick()
			if describe(&other, got, err); one.String() != other.String() {
				n.t.Fatalf("Tick: %s; the twin: %s", one.String(), other.String())
			}
			n.send(i, send)
			n.sameState(i)
		}
		if next := w.single.NextTick(); !next.IsZero() && !next.After(n.clock.now) {
			n.t.Fatalf("%s never has nothing to do: %v", w.single.name, next)
		}
	}
}

// say sends a text from an end, which may have to wait.
func (n *fuzzedCourse) say(i int) {
	text := fmt.Sprintf(saidMark+"%s: %d", n.ends[i].single.name, n.spoken)
	n.spoken++
	n.said[i][text] = true
	n.both(i, func(c *otr.Conversation) ([][]byte, error) { return c.Send([]byte(text)) })
}

// step makes one step of the course: an action of an end, or a change to the lines on their
// way to it. arg is for steps that need a number.
func (n *fuzzedCourse) step(op, i int, arg func() int) {
	queue := &n.queues[i]
	at := func() int { return arg() % max(len(*queue), 1) }
	switch op {
	case 0:
		n.settle()
	case 1:
		n.deliver(i, 1)
	case 2:
		n.deliver(i, 1+arg()%16)
	case 3:
		n.both(i, func(c *otr.Conversation) ([][]byte, error) { return c.Query(), nil })
	case 4:
		n.both(i, (*otr.Conversation).Start)
	case 5:
		n.both(i, (*otr.Conversation).Refresh)
	case 6:
		n.say(i)
	case 7:
		for range 1 + arg()%12 {
			n.say(i)
		}
	case 8:
		n.both(i, (*otr.Conversation).End)
	case 9:
		question := []string{"", "why?"}[arg()%2]
		n.both(i, func(c *otr.Conversation) ([][]byte, error) { return c.StartSMP([]byte(n.secret[i]), question) })
	case 10:
		n.both(i, func(c *otr.Conversation) ([][]byte, error) { return c.AnswerSMP([]byte(n.secret[i])) })
	case 11:
		n.both(i, (*otr.Conversation).AbortSMP)
	case 12:
		use := uint32(arg())
		n.both(i, func(c *otr.Conversation) ([][]byte, error) {
			_, lines, err := c.ExtraKey(use, nil)
			return lines, err
		})
	case 13:
		n.pass([]time.Duration{time.Millisecond, time.Second, 3 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 30 * time.Minute, 2 * time.Hour}[arg()%8])
	case 14:
		n.both(i, func(c *otr.Conversation) ([][]byte, error) {
			if work := c.Prepare(); work != nil {
				work()
			}
			return nil, nil
		})
	case 15:
		n.both(i, func(c *otr.Conversation) ([][]byte, error) { return nil, c.AllowUpgrade() })
	case 16:
		n.both(i, (*otr.Conversation).Upgrade)
	case 17: // a line gets lost
		if len(*queue) > 0 {
			k := at()
			*queue = slices.Delete(slices.Clone(*queue), k, k+1)
		}
	case 18: // a line comes twice
		if len(*queue) > 0 {
			n.orderly = false
			*queue = append(slices.Clone(*queue), (*queue)[at()])
		}
	case 19: // two lines change places
		if len(*queue) > 1 {
			n.orderly = false
			k := arg() % (len(*queue) - 1)
			(*queue)[k], (*queue)[k+1] = (*queue)[k+1], (*queue)[k]
		}
	case 20: // a byte of a line is changed
		if len(*queue) > 0 {
			n.change((*queue)[at()], arg())
		}
	case 21: // a line is cut
		if len(*queue) > 0 {
			if k := at(); len((*queue)[k]) > 0 {
				(*queue)[k] = (*queue)[k][:arg()*len((*queue)[k])/256]
			}
		}
	case 22: // an earlier line comes again, or one of its own
		n.orderly = false
		if past := n.history[(i+arg())%2]; len(past) > 0 {
			*queue = append(slices.Clone(*queue), past[arg()%len(past)])
		}
	case 23: // a line of another session
		if len(n.foreign) > 0 {
			n.orderly = false // it may be one of this course
			*queue = slices.Insert(slices.Clone(*queue), min(arg(), len(*queue)), n.foreign[arg()%len(n.foreign)])
		}
	}
}

const courseSteps = 24

// change changes a byte of the message in an armored line, so that the armor stays valid; in
// other lines it changes a byte of the line.
func (n *fuzzedCourse) change(line []byte, where int) {
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil || len(msg) == 0 {
		if len(line) > 0 {
			if k := where * len(line) / 256; line[k]^1 != '\n' && line[k]^1 != '\r' {
				line[k] ^= 1
			}
		}
		return
	}
	msg[where*len(msg)/256] ^= 1
	copy(line, wire.AppendArmor(nil, msg))
}

// recover checks that nothing is broken for good: after a while the two ends have a session
// again, and talk.
func (n *fuzzedCourse) recover() {
	for i := range n.ends {
		n.both(i, (*otr.Conversation).End)
	}
	for range 2 {
		n.queues = [2][][]byte{}
		n.pass(2 * time.Minute)
	}
	n.queues = [2][][]byte{}
	n.both(0, func(c *otr.Conversation) ([][]byte, error) { return c.Query(), nil })
	alice, bob := n.ends[0].single, n.ends[1].single
	for range 30 {
		n.settle()
		a, okA := alice.Session()
		b, okB := bob.Session()
		if okA && okB && a.SSID == b.SSID && !alice.Exchanging() && !bob.Exchanging() {
			break
		}
		n.pass(time.Second)
	}
	wantSameSession(n.t, alice, bob)
	for i, e := range []*end{alice, bob} {
		n.say(i)
		text := fmt.Sprintf(saidMark+"%s: %d", e.name, n.spoken-1)
		if n.settle(); n.heard[1-i][text] != 1 {
			n.t.Fatalf("%q does not arrive", text)
		}
	}
}

// FuzzCourse lets two ends of any versions do anything, over a wire that changes lines in any
// way. No text is read without a session, or if the peer has not sent it, or twice, or, if
// the wire keeps the order, out of order. No text is on the wire unencrypted. A session is
// always with the peer, and different secrets never count as equal. Lines one by one and in
// batches have the same result. Ticking stops. Afterwards the two ends can always establish a new
// session.
func FuzzCourse(f *testing.F) {
	slowtest.SkipShort(f)
	foreign := recordedLines(f)
	// Ordinary courses: a session, texts, new keys, a comparison, an end.
	const settle, text, texts, answer = 0, 6, 7, 10
	do := func(i int, op ...byte) (program []byte) {
		for _, op := range op {
			program = append(program, op<<1|byte(i), 3)
		}
		return program
	}
	begun := append(do(0, 3, settle), do(1, text, settle)...)
	for setup := range uint16(6) {
		if testing.Short() && setup != 5 { // both ends speak all versions
			continue
		}
		setup |= setup << 4
		if testing.Short() {
			f.Add(setup|2<<8, slices.Concat(begun, do(0, 9, settle), do(1, answer, settle), do(0, 12, settle, 8, settle)), foreign[0])
			continue
		}
		f.Add(setup, slices.Concat(begun, do(0, texts, settle), do(1, texts, 5, settle), do(0, text, settle)), []byte("hello"))
		f.Add(setup|2<<8, slices.Concat(begun, do(0, 9, settle), do(1, answer, settle), do(0, 12, settle, 8, settle)), foreign[0])
		f.Add(setup|1<<10, slices.Concat(begun, do(0, 9, settle), do(1, answer, settle), do(0, 13, 8, settle)), foreign[1])
		f.Add(setup, slices.Concat(begun, do(0, texts, 2, 20, 17, 18, 19, 22, 23, 2, settle), do(1, 8, settle, 4, settle)), foreign[2])
	}
	f.Add(uint16(0x44), slices.Concat(do(0, 15), do(1, 15), begun, do(0, 16, settle, text, settle)), []byte("?OTRv34?"))
	for k, lines := range foreign {
		if testing.Short() && k > 0 {
			continue
		}
		f.Add(uint16(k%6*0x11), slices.Concat(do(0, 23, 23, settle, 3, 23, settle), do(1, 23, text, settle)), lines)
	}
	f.Fuzz(func(t *testing.T, setup uint16, program, lines []byte) {
		n := newFuzzedCourse(t, setup, bytes.Split(lines, []byte("\n")))
		next := 0
		read := func() int {
			if next == len(program) {
				return 0
			}
			next++
			return int(program[next-1])
		}
		for range maxCourse {
			if next == len(program) {
				break
			}
			b, arg := read(), read()
			used := false
			n.step(b>>1%courseSteps, b&1, func() int {
				if used {
					return read()
				}
				used = true
				return arg
			})
			for i := range n.queues { // the course may not be honest
				n.queues[i] = n.queues[i][:min(len(n.queues[i]), 400)]
			}
		}
		a, b := n.ends[0].single.Versions(), n.ends[1].single.Versions()
		if a&b == 0 {
			n.settle()
			return
		}
		n.recover()
	})
}

// recordedLines returns recorded sessions of other implementations, each with the lines of
// both sides.
func recordedLines(t testing.TB) (sessions [][]byte) {
	for _, pattern := range []string{"v4/testdata/session-*.json", "testdata/transcripts/*.txt"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(file) == ".txt" {
				sessions = append(sessions, bytes.TrimSpace(b))
				continue
			}
			var recorded struct {
				Sessions []struct {
					Steps []struct{ Line string }
				}
			}
			if err := json.Unmarshal(b, &recorded); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			for _, s := range recorded.Sessions[:1] {
				var lines []string
				for _, step := range s.Steps {
					if step.Line != "" {
						lines = append(lines, step.Line)
					}
				}
				sessions = append(sessions, []byte(strings.Join(lines, "\n")))
			}
		}
	}
	return sessions
}
