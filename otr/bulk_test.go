package otr_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// twins are two identical ends, even with the same randomness: one of them handles messages
// one by one, the other in batches.
type twins struct {
	t             *testing.T
	single, batch *end
	delivered     *int // messages
	ahead         *int // lines handled in the same call as the lines before them
}

func newTwins(t *testing.T, name string, key int, seed uint64, clock *clock, configure ...func(*otr.Config)) twins {
	return twins{t, newEnd(t, name, key, seed, clock, configure...), newEnd(t, name, key, seed, clock, configure...), new(int), new(int)}
}

// receive passes the same lines to both twins, checks that they send the same lines, and
// returns these.
func (w twins) receive(lines [][]byte) (send [][]byte) {
	w.t.Helper()
	var one, many strings.Builder
	for _, line := range lines {
		got, err := w.single.Receive(line)
		describe(&one, got, err)
		if got.DataMessage {
			*w.delivered++
		}
		for _, l := range got.Send {
			send = append(send, bytes.Clone(l))
		}
	}
	for rest := lines; len(rest) > 0; {
		got, err := w.batch.ReceiveAll(rest)
		if len(got) == 0 || len(got) > len(rest) {
			w.t.Fatalf("ReceiveAll handled %d of %d lines", len(got), len(rest))
		}
		for i, r := range got {
			if i < len(got)-1 {
				describe(&many, r, nil)
			} else {
				describe(&many, r, err)
			}
		}
		rest = rest[len(got):]
		*w.ahead += len(got) - 1
	}
	if one.String() != many.String() {
		w.t.Fatalf("%d lines, one by one:\n%.2000s\nat once:\n%.2000s", len(lines), one.String(), many.String())
	}
	return send
}

func describe(b *strings.Builder, r otr.Received, err error) {
	fmt.Fprintf(b, "text %v %.40q of %d, TLVs %d", r.HasText, r.Text, len(r.Text), len(r.TLVs))
	for _, t := range r.TLVs {
		fmt.Fprintf(b, " %d:%x", t.Type, t.Value)
	}
	fmt.Fprintf(b, ", data %v, clear %q, sends %q, events", r.DataMessage, r.Unencrypted, r.Send)
	for _, e := range r.Events {
		fmt.Fprintf(b, " %T %v", e, e)
	}
	fmt.Fprintf(b, ", %v\n", err)
}

// append encrypts messages one by one and in a batch, checks that the lines are the same, and
// returns them.
func (w twins) append(ms []otr.Message) [][]byte {
	w.t.Helper()
	var one []byte
	for _, m := range ms {
		var err error
		if one, err = w.single.AppendMessage(one, m); err != nil {
			w.t.Fatal(err)
		}
	}
	many, err := w.batch.AppendMessages([]byte("before"), ms)
	if err != nil {
		w.t.Fatal(err)
	}
	if many = bytes.TrimPrefix(many, []byte("before")); !bytes.Equal(one, many) {
		w.t.Fatalf("%d messages one by one are %d bytes, at once other %d", len(ms), len(one), len(many))
	}
	return bytes.Split(bytes.TrimSuffix(one, []byte("\n")), []byte("\n"))
}

// send passes lines to another pair of twins, and the answers back and forth.
func (w twins) send(other twins, lines [][]byte) {
	w.t.Helper()
	rounds := 0
	for to, from := other, w; len(lines) > 0; to, from = from, to {
		mayGoOn(w.t, rounds)
		rounds++
		lines = to.receive(lines)
	}
}

// inVersion is for ends of one version; those of version 4 draw its keys.
func inVersion(t *testing.T, version otr.Policy) func(*otr.Config) {
	if version&otr.AllowV4 == 0 {
		return policy(version)
	}
	return func(c *otr.Config) {
		c.Policy = version
		// Both twins have the keys that result from their first draw.
		var seed [8]byte
		if _, err := io.ReadFull(c.Rand, seed[:]); err != nil {
			t.Fatal(err)
		}
		random := rand.NewChaCha8([32]byte(bytes.Repeat(seed[:], 4)))
		var err error
		if c.Ed448, err = keys.GenerateEd448(random); err != nil {
			t.Fatal(err)
		}
		if c.Forging, err = keys.GenerateForgingKey(random); err != nil {
			t.Fatal(err)
		}
	}
}

func forEachVersion(t *testing.T, f func(t *testing.T, version otr.Policy)) {
	for name, version := range map[string]otr.Policy{"2": otr.AllowV2, "3": otr.AllowV3, "4": otr.AllowV4} {
		if testing.Short() && version == otr.AllowV2 {
			continue
		}
		t.Run("version "+name, func(t *testing.T) { f(t, version|otr.RestartAKE|otr.ErrorStartAKE) })
	}
}

func (w twins) query() [][]byte {
	w.batch.Query()
	return w.single.Query()
}

func TestManyAtOnceDoWhatSingleMessagesDo(t *testing.T) {
	for _, cores := range []int{1, 3} {
		if testing.Short() && cores == 1 {
			continue
		}
		t.Run(fmt.Sprint(cores, " cores"), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(cores))
			forEachVersion(t, func(t *testing.T, version otr.Policy) {
				if testing.Short() && version != otr.AllowV4 {
					return
				}
				rounds, seeds := 60, uint64(3)
				switch {
				case testing.Short():
					rounds, seeds = 15, 1
				case slowtest.LeftOut():
					seeds = 1
				}
				for seed := range seeds {
					rng := rand.New(rand.NewPCG(seed, uint64(version)))
					clock := newClock()
					alice := newTwins(t, "alice", 0, 1, clock, inVersion(t, version))
					bob := newTwins(t, "bob", 1, 2, clock, inVersion(t, version))
					alice.send(bob, alice.query())
					late := [][]byte{}
					for range rounds {
						from, to := alice, bob
						if rng.IntN(4) == 0 {
							from, to = bob, alice
						}
						if from.single.State() != otr.StateEncrypted || to.single.State() != otr.StateEncrypted {
							t.Fatal("the session is lost")
						}
						lines := from.append(someMessages(rng))
						lines, late = damaged(rng, lines, late)
						from.send(to, lines)
					}
					if *bob.delivered < rounds || *bob.ahead < rounds/2 {
						t.Errorf("only %d messages were delivered, %d lines were handled with others", *bob.delivered, *bob.ahead)
					}
				}
			})
		})
	}
}

// someMessages returns messages that often have equal lengths, like those of a stream.
func someMessages(rng *rand.Rand) []otr.Message {
	size := rng.IntN(3000)
	ms := make([]otr.Message, 1+rng.IntN(14))
	for i := range ms {
		if rng.IntN(10) == 0 {
			size = rng.IntN(3000)
		}
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(rng.Uint32())
		}
		ms[i] = otr.Message{Text: bytes.Repeat([]byte{'a' + byte(i)}, size%50), IgnoreUnreadable: rng.IntN(2) == 0}
		if rng.IntN(5) > 0 {
			ms[i].TLVs = []wire.TLV{{Type: 0x6F02, Value: value}}
		}
	}
	return ms
}

// damaged changes lines as a bad network or an attacker may do.
func damaged(rng *rand.Rand, lines, late [][]byte) (out, stillLate [][]byte) {
	if rng.IntN(3) == 0 {
		return lines, late // no damage
	}
	for _, line := range lines {
		switch rng.IntN(20) {
		case 0: // lost
		case 1: // twice
			out = append(out, line, line)
		case 2: // held back
			late = append(late, line)
		case 3: // changed
			line = bytes.Clone(line)
			line[rng.IntN(len(line))] ^= 1 << rng.IntN(7)
			out = append(out, bytes.ReplaceAll(line, []byte("\n"), []byte(" ")))
		case 4: // with something before it
			out = append(out, []byte([]string{"hello", "?OTR Error: no", "?OTR:AAQD", "", "?OTR:!!!!."}[rng.IntN(5)]), line)
		case 5: // overtaken
			out = append(out, line)
			if n := len(out); n > 1 {
				out[n-1], out[n-2] = out[n-2], out[n-1]
			}
		default:
			out = append(out, line)
		}
		if len(late) > 0 && rng.IntN(10) == 0 {
			out, late = append(out, late[0]), late[1:]
		}
	}
	return out, late
}

func TestABatchEndsBeforeWhatIsNotAuthentic(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		alice, bob := newSession(t, inVersion(t, version))
		wantTalk(t, alice, bob)
		var lines [][]byte
		for i := range 6 {
			lines = append(lines, alice.say(fmt.Sprint("text ", i))...)
		}
		bob.all(lines[:1]) // so that the keys do not rotate any more
		lines = lines[1:]
		bad := bytes.Clone(lines[2])
		bad[len(bad)/2] ^= 1
		lines[2] = bad
		got, err := bob.ReceiveAll(lines)
		if err != nil || len(got) != 2 || string(got[0].Text) != "text 1" || string(got[1].Text) != "text 2" {
			t.Fatalf("%d lines, %v: %v", len(got), err, got)
		}
		got, err = bob.ReceiveAll(lines[2:])
		if err != nil || len(got) != 1 || got[0].DataMessage || len(got[0].Events) == 0 {
			t.Fatalf("%d lines, %v: %v", len(got), err, got)
		}
	})
}

func TestAppendMessagesSendsWhatComesBeforeAnError(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		alice, bob := newSession(t, inVersion(t, version))
		ms := []otr.Message{{Text: []byte("one")}, {Text: []byte("two")}, {Text: []byte("with a NUL \x00")}, {Text: []byte("four")}}
		lines, err := alice.AppendMessages(nil, ms)
		if !errors.Is(err, otr.ErrNUL) || bytes.Count(lines, []byte("\n")) != 2 {
			t.Fatalf("%d lines, %v", bytes.Count(lines, []byte("\n")), err)
		}
		bob.all(bytes.Split(bytes.TrimSuffix(lines, []byte("\n")), []byte("\n")))
		if fmt.Sprint(bob.texts) != "[one two]" {
			t.Errorf("the peer has read %q", bob.texts)
		}
	})
}

// Lines that are not authentic cost no more in batches than one by one: the lines after each of them
// are not opened for it again. The preparation of a batch allocates memory, which shows.
func TestLinesThatAreNotAuthenticAreNotOpenedAhead(t *testing.T) {
	forEachVersion(t, func(t *testing.T, version otr.Policy) {
		_, bob := newSession(t, inVersion(t, version))
		lines := make([][]byte, 1000)
		for i := range lines {
			lines[i] = []byte("hello")
		}
		one := testing.AllocsPerRun(1, func() {
			for _, line := range lines {
				if _, err := bob.Receive(line); err != nil {
					t.Error(err)
				}
			}
		})
		batch := testing.AllocsPerRun(1, func() {
			for rest := lines; len(rest) > 0; {
				got, err := bob.ReceiveAll(rest)
				if err != nil {
					t.Error(err)
				}
				rest = rest[len(got):]
			}
		})
		if batch > one+100 {
			t.Errorf("%v allocations one by one, and %v in batches", one, batch)
		}
	})
}
