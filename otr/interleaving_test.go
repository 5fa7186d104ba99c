package otr_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// A network transports lines between two ends in two queues, each in order, with delays that
// depend on a seed.
type network struct {
	ends   [2]*end
	queues [2][][]byte // lines on their way to ends[i]
	rand   *rand.Rand
	spoken [2][]string // what ends[i] has said
	began  time.Time   // when something other than waiting last happened
}

func newNetwork(t testing.TB, seed uint64, version otr.Policy) *network {
	t.Helper()
	clock := newClock()
	return &network{
		ends: [2]*end{
			newEnd(t, "alice", 0, seed*2, clock, policy(version)),
			newEnd(t, "bob", 1, seed*2+1, clock, policy(version)),
		},
		rand: rand.New(testRand(seed)),
	}
}

// send puts lines of an end on their way. They are copied: an answer is valid
// only until the next call.
func (n *network) send(from int, lines [][]byte) {
	for _, line := range lines {
		n.queues[1-from] = append(n.queues[1-from], bytes.Clone(line))
	}
}

// deliver delivers the first line on its way to an end.
func (n *network) deliver(to int) {
	line := n.queues[to][0]
	n.queues[to] = n.queues[to][1:]
	n.send(to, n.ends[to].receive(line).Send)
}

// wait lets time pass until an end has something to do, but no longer than any network delays
// a key exchange; false: no end has.
func (n *network) wait() bool {
	clock := n.ends[0].clock
	var next time.Time
	for _, e := range n.ends {
		if t := e.NextTick(); !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	if next.IsZero() || next.Sub(n.began) > 20*time.Second {
		return false
	}
	clock.now = later(clock.now, next)
	for i, e := range n.ends {
		got, err := e.Tick()
		if err != nil {
			e.t.Fatal(err)
		}
		e.note(got)
		n.send(i, got.Send)
	}
	return true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// maxDeliveries is far more than any honest course of events needs.
const maxDeliveries = 500

// settle mixes the actions, each end's in order, with deliveries until all are
// done and nothing is on its way.
func (n *network) settle(actions [2][]func()) {
	n.ends[0].t.Helper()
	n.began = n.ends[0].clock.now
	for range maxDeliveries {
		var choices []func()
		for i := range 2 {
			if len(actions[i]) > 0 {
				choices = append(choices, func() {
					act := actions[i][0]
					actions[i] = actions[i][1:]
					act()
				})
			}
			if len(n.queues[i]) > 0 {
				choices = append(choices, func() { n.deliver(i) })
			}
		}
		if len(choices) == 0 {
			if !n.wait() {
				return
			}
			continue
		}
		choices[n.rand.IntN(len(choices))]()
	}
	n.ends[0].t.Fatal("the two never stop")
}

func (n *network) query(i int)   { n.send(i, n.ends[i].Query()) }
func (n *network) refresh(i int) { n.send(i, n.ends[i].refresh()) }

// speak sends a text if it cannot get lost.
func (n *network) speak(i int, text string) {
	if n.ends[i].State() == otr.StateEncrypted && !n.ends[i].Exchanging() {
		n.send(i, n.ends[i].say(text))
		n.spoken[i] = append(n.spoken[i], text)
	}
}

// do returns an end's actions as functions.
func (n *network) do(i int, actions string) (list []func()) {
	for k, a := range actions {
		switch a {
		case 'q':
			list = append(list, func() { n.query(i) })
		case 'r':
			list = append(list, func() { n.refresh(i) })
		case 's':
			list = append(list, func() { n.speak(i, fmt.Sprint("text ", k)) })
		}
	}
	return list
}

// A course lists the actions of the two ends before a session and during it: q sends a query,
// r begins a key exchange, s sends a text unless Exchanging reports that it could get lost.
type course struct {
	name          string
	before, after [2]string
}

var courses = []course{
	{"both query", [2]string{"q", "q"}, [2]string{}},
	{"both refresh", [2]string{"r", "r"}, [2]string{}},
	{"a query crosses a refresh", [2]string{"q", "r"}, [2]string{}},
	{"one queries again and again", [2]string{"qqq", ""}, [2]string{}},
	{"one refreshes again and again", [2]string{"rrr", ""}, [2]string{}},
	{"both query again and again", [2]string{"qq", "qqq"}, [2]string{}},
	{"both refresh again and again", [2]string{"rrr", "rr"}, [2]string{}},
	{"everything before a session", [2]string{"qrq", "rqr"}, [2]string{}},
	{"one refreshes in a session", [2]string{"q", ""}, [2]string{"r", ""}},
	{"both refresh in a session", [2]string{"q", ""}, [2]string{"r", "r"}},
	{"both refresh in a session again and again", [2]string{"r", ""}, [2]string{"rrr", "rrr"}},
	{"both query in a session", [2]string{"r", ""}, [2]string{"q", "q"}},
	{"a query crosses a refresh in a session", [2]string{"r", ""}, [2]string{"q", "rr"}},
	{"texts while one refreshes", [2]string{"q", ""}, [2]string{"srssrs", "ssssss"}},
	{"texts while both refresh", [2]string{"r", "q"}, [2]string{"srsssrs", "ssrssrss"}},
	{"everything in a session", [2]string{"qr", "rq"}, [2]string{"rsqsrs", "qsrsq"}},
}

// TestInterleavings lets both ends ask for sessions in every way, at every moment, with every
// delay: in the end they have the same session.
func TestInterleavings(t *testing.T) {
	seeds := uint64(32)
	if slowtest.LeftOut() {
		seeds = 4
	}
	if testing.Short() {
		seeds = 1
	}
	for _, version := range []struct {
		name   string
		policy otr.Policy
	}{{"version 2", otr.AllowV2}, {"version 3", otr.AllowV3}} {
		for _, c := range courses {
			if testing.Short() && version.policy == otr.AllowV2 {
				continue
			}
			t.Run(version.name+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				for seed := range seeds {
					t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
						c.run(t, seed, version.policy)
					})
				}
			})
		}
	}
}

func (c course) run(t *testing.T, seed uint64, version otr.Policy) {
	n := newNetwork(t, seed, version)
	for _, actions := range [][2]string{c.before, c.after} {
		if actions == ([2]string{}) {
			continue
		}
		n.settle([2][]func(){n.do(0, actions[0]), n.do(1, actions[1])})
		wantSameSession(t, n.ends[0], n.ends[1])
	}
	for i := range 2 {
		if !slices.Equal(n.ends[1-i].texts, n.spoken[i]) {
			t.Fatalf("%s said %q, %s heard %q", n.ends[i].name, n.spoken[i], n.ends[1-i].name, n.ends[1-i].texts)
		}
	}
	wantTalk(t, n.ends[0], n.ends[1])
}

// TestCrossingCommitsInEveryOrder lets two D-H Commit Messages cross, either of which may
// have the higher hash, and delivers everything after them in every order that two queues
// allow.
func TestCrossingCommitsInEveryOrder(t *testing.T) {
	for which, higher := range []string{"alice", "bob"} {
		seed := seedHigher(t, which)
		t.Run(higher+" has the higher hash", func(t *testing.T) {
			t.Parallel()
			orders := 0
			for order := []int{}; order != nil; orders++ {
				n := newNetwork(t, seed, otr.AllowV3)
				n.refresh(0)
				n.refresh(1)
				order = n.inOrder(order)
			}
			t.Log(orders, "orders")
		})
	}
}

// seedHigher finds a seed with which this end's commitment has the higher hash:
// it answers the other's with its own.
func seedHigher(t *testing.T, which int) uint64 {
	for seed := uint64(1); ; seed++ {
		n := newNetwork(t, seed, otr.AllowV3)
		n.refresh(0)
		n.refresh(1)
		n.deliver(which)
		if n.ends[which].AuthState() == otr.AuthAwaitingDHKey {
			return seed
		}
	}
}

// inOrder delivers everything. When both ends have a line waiting, choices determines which
// comes first. It returns the choices of the next order, or nil after the last.
func (n *network) inOrder(choices []int) (next []int) {
	taken := []int{}
	for rounds := 0; len(n.queues[0])+len(n.queues[1]) > 0; rounds++ {
		mayGoOn(n.ends[0].t, rounds)
		to := 0
		switch {
		case len(n.queues[0]) == 0:
			to = 1
		case len(n.queues[1]) > 0:
			if len(taken) < len(choices) {
				to = choices[len(taken)]
			}
			taken = append(taken, to)
		}
		n.deliver(to)
	}
	wantSameSession(n.ends[0].t, n.ends[0], n.ends[1])
	wantTalk(n.ends[0].t, n.ends[0], n.ends[1])
	for i := len(taken) - 1; i >= 0; i-- {
		if taken[i] == 0 {
			return append(taken[:i:i], 1)
		}
	}
	return nil
}
