package otr_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

var queueRuns = flag.Int("queues", 0, "how often each case of TestNewKeysAndTextsInSlowQueuesLoseNothing runs, with Departed called and without; 0: 8, or 1 with -short, or 4 where slow tests are left out")

// A typist is an end of a conversation whose lines go through a queue that sends one line per
// gap. Texts wait while the end is exchanging keys, if it is one of ours.
type typist struct {
	player
	gap     time.Duration
	queue   [][]byte
	ready   time.Time   // when the next line of the queue may leave
	typed   []string    // all texts
	waiting []time.Time // when those were typed that have not been sent
	longest time.Duration
	departs func() // called when the queue becomes empty; may be nil
}

// types sends a text of another program, which encrypts during a key exchange too.
func (p *theirPlayer) types(text string) [][]byte {
	var msg []byte
	var err error
	if p.version == v4.Version {
		msg, err = p.engine4.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	} else {
		msg, err = p.engine3.Seal(nil, 0, wire.Plaintext{Text: []byte(text)})
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return [][]byte{wire.AppendArmor(nil, msg)}
}

// typeOut sends the texts that need not wait any more.
func (p *typist) typeOut(now time.Time) {
	for len(p.waiting) > 0 {
		text := p.typed[len(p.typed)-len(p.waiting)]
		if their, ok := p.player.(*theirPlayer); ok {
			p.queue = append(p.queue, their.types(text)...)
		} else {
			lines, ok := p.say(text)
			if !ok {
				return
			}
			p.queue = append(p.queue, cloneLines(lines)...)
		}
		p.longest = max(p.longest, now.Sub(p.waiting[0]))
		p.waiting = p.waiting[1:]
	}
}

// slowQueues plays two ends with slow queues for some time.
type slowQueues struct {
	t         *testing.T
	now       time.Time
	ends      [2]*typist
	exchanged time.Time // when a message of a key exchange last left
}

func (q *slowQueues) play(until time.Time, events map[time.Time][]func()) {
	const step = 100 * time.Millisecond
	for ; q.now.Before(until); q.now = q.now.Add(step) {
		for _, event := range events[q.now] {
			event()
		}
		for i, e := range q.ends {
			if len(e.queue) > 0 && !q.now.Before(e.ready) {
				line := e.queue[0]
				e.queue, e.ready = e.queue[1:], q.now.Add(e.gap)
				if kinds([][]byte{line}) != "Data" {
					q.exchanged = q.now
				}
				other := q.ends[1-i]
				other.queue = append(other.queue, other.receive(line)...)
				if len(e.queue) == 0 && e.departs != nil {
					e.departs()
				}
			}
			for next := e.next(); !next.IsZero() && !next.After(q.now); next = e.next() {
				e.queue = append(e.queue, e.tick()...)
			}
			e.typeOut(q.now)
		}
	}
}

// TestNewKeysAndTextsInSlowQueuesLoseNothing makes new keys at any time while both ends type.
// Each end has a queue that sends one line every few seconds, as IRC clients have, and may or
// may not know when its lines leave. All texts arrive, once and in order, and in the end both
// have the same session and exchange no more keys.
func TestNewKeysAndTextsInSlowQueuesLoseNothing(t *testing.T) {
	runs := *queueRuns
	switch {
	case runs > 0:
	case testing.Short():
		runs = 1
	case slowtest.LeftOut():
		runs = 2
	default:
		runs = 8
	}
	for _, version := range []int{2, 3, 4} {
		for _, c := range []struct {
			name    string
			theirs  bool   // the other end is another program
			refresh [2]int // how often each end makes new keys
		}{
			{"one of ours makes new keys", false, [2]int{1, 0}},
			{"one of ours makes new keys again and again", false, [2]int{4, 0}},
			{"both of ours make new keys", false, [2]int{2, 2}},
			{"another program answers", true, [2]int{1, 0}},
			{"another program answers again and again", true, [2]int{4, 0}},
		} {
			if testing.Short() && *queueRuns == 0 && (version == 2 || c.refresh[0] == 4) {
				continue
			}
			runs := runs
			if version == v4.Version {
				if c.theirs {
					continue // it would drop its session at our first message
				}
				if *queueRuns == 0 {
					runs = (runs + 3) / 4 // which takes as long
				}
			}
			t.Run(fmt.Sprintf("version %d/%s", version, c.name), func(t *testing.T) {
				t.Parallel()
				for seed := range uint64(runs) {
					for _, tracked := range []bool{false, true} {
						if testing.Short() && *queueRuns == 0 && tracked == c.theirs {
							continue
						}
						playQueues(t, seed, version, c.theirs, c.refresh, tracked)
					}
				}
			})
		}
	}
}

// Two ends that send a line every five seconds repeated each message before its answer could
// come. Each repetition began another key exchange, and these followed each other without end.
func TestAKeyExchangeInSlowQueuesDoesNotBeginAnother(t *testing.T) {
	slowtest.SkipShort(t)
	playQueues(t, 96, v4.Version, false, [2]int{1, 0}, true)
}

// An Auth-R waited in its sender's queue for more than a minute. When the Auth-I came, its
// receiver had given up, and could not read the texts that followed it.
func TestTheTextsBehindAnAuthIAreReadHoweverLateTheAuthRLeft(t *testing.T) {
	slowtest.SkipShort(t)
	playQueues(t, 25, v4.Version, false, [2]int{2, 2}, false)
}

func playQueues(t *testing.T, seed uint64, version int, theirs bool, refresh [2]int, tracked bool) {
	random := rand.New(rand.NewPCG(seed, uint64(version)))
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	q := &slowQueues{t: t, now: start}
	now := func() time.Time { return q.now }
	policy := map[int]otr.Policy{2: otr.AllowV2, 3: otr.AllowV3, 4: otr.AllowV4}[version]
	keys4 := v4TestKeys()
	for i := range q.ends {
		e := &typist{gap: time.Duration(random.IntN(61)) * 100 * time.Millisecond}
		q.ends[i] = e
		if i == 1 && theirs {
			p := &theirPlayer{t: t, version: version, tag: 0x2000, literal: true}
			peer := uint32(0x1000)
			if version == 2 {
				peer, p.tag = 0, 0
			}
			p.config = v3.Config{Version: uint16(version), InstanceTag: p.tag, Identity: testKeys()[1], Rand: testRand(seed<<8 + 1)}
			p.client = v4.NewClient(v4.Config{InstanceTag: p.tag, Identity: keys4[1].private, Forging: keys4[1].forging, Rand: testRand(seed<<8 + 1), Now: now})
			p.fresh(peer)
			e.player = p
			continue
		}
		c, err := otr.New(otr.Config{
			DSA: testKeys()[i], Ed448: keys4[i].private, Forging: keys4[i].forging, InstanceTag: 0x1000 * uint32(i+1),
			Policy: policy | otr.RequireEncryption | otr.RestartAKE | otr.ErrorStartAKE, Rand: testRand(seed<<8 + uint64(i)), Now: now,
		})
		if err != nil {
			t.Fatal(err)
		}
		e.player = &ourPlayer{Conversation: c, t: t, now: now}
		if tracked {
			c.TrackDepartures()
			e.departs = c.Departed
		}
	}
	// The session begins on fast lines.
	gaps := [2]time.Duration{q.ends[0].gap, q.ends[1].gap}
	q.ends[0].gap, q.ends[1].gap = 0, 0
	q.ends[0].queue = q.ends[0].begin()
	q.play(start.Add(10*time.Second), nil)
	if _, ok := q.ends[0].session(); !ok {
		t.Fatal("there is no session")
	}
	q.ends[0].gap, q.ends[1].gap = gaps[0], gaps[1]

	const (
		course  = 3 * time.Minute  // in which everything is typed
		maxHold = 5 * time.Minute  // a queue of fifty lines
		settled = 20 * time.Minute // when the last key exchange must have ended
	)
	events := map[time.Time][]func(){}
	at := func(f func()) {
		when := start.Add(10*time.Second + time.Duration(random.Int64N(int64(course/(100*time.Millisecond))))*100*time.Millisecond)
		events[when] = append(events[when], f)
	}
	for i, e := range q.ends {
		name := []string{"a", "b"}[i]
		for range 1 + random.IntN(4) {
			burst := 1 + random.IntN(10)
			at(func() {
				for range burst {
					e.typed = append(e.typed, fmt.Sprint(name, " ", len(e.typed)))
					e.waiting = append(e.waiting, q.now)
				}
			})
		}
		for range refresh[i] {
			at(func() {
				lines, err := e.player.(*ourPlayer).Refresh()
				if err != nil {
					t.Fatal(err)
				}
				e.queue = append(e.queue, cloneLines(lines)...)
			})
		}
	}
	q.play(start.Add(25*time.Minute), events)
	a, okA := q.ends[0].session()
	b, okB := q.ends[1].session()
	if !okA || !okB || a != b {
		t.Errorf("seed %d, gaps %v, tracked %v: sessions %x (%v) and %x (%v)", seed, gaps, tracked, a, okA, b, okB)
	}
	if took := q.exchanged.Sub(start); took > settled {
		t.Errorf("seed %d, gaps %v, tracked %v: keys are still exchanged after %v", seed, gaps, tracked, took)
	}
	for i, e := range q.ends {
		if heard := q.ends[1-i].heard(); !slices.Equal(heard, e.typed) || len(e.waiting) > 0 {
			t.Errorf("seed %d, gaps %v, tracked %v: typed %q (%d wait), heard %q", seed, gaps, tracked, e.typed, len(e.waiting), heard)
		}
		if e.longest > maxHold {
			t.Errorf("seed %d, gaps %v, tracked %v: texts of end %d were held for %v", seed, gaps, tracked, i, e.longest)
		}
	}
}
