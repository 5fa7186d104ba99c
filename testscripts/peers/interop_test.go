//go:build unix

package peers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// A starter is a way for a session to begin. Ours is end 0.
type starter struct {
	name string
	tags bool // it is the whitespace tag that starts it
	do   func(k *talk)
}

var starters = []starter{
	{"our query", false, func(k *talk) { k.send(0, k.ends[0].Query()) }},
	{"their query", false, func(k *talk) { k.send(1, k.ends[1].Query()) }},
	{"our tag", true, func(k *talk) { k.send(0, k.ends[0].Say("tagged")) }},
	{"their tag", true, func(k *talk) { k.send(1, k.ends[1].Say("tagged")) }},
	{"both commit", false, func(k *talk) {
		k.send(0, k.ends[0].Commit())
		k.send(1, k.ends[1].Commit())
	}},
	{"both query", false, func(k *talk) {
		k.send(0, k.ends[0].Query())
		k.send(1, k.ends[1].Query())
	}},
}

// A chapter is a part of the story that each row of the matrix goes through.
type chapter struct {
	name string
	tell func(k *talk, r row)
}

var chapters = []chapter{
	{"key exchange", func(k *talk, r row) { k.begin(r) }},
	{"20 texts, bursts, crossing", func(k *talk, r row) { k.exchange() }},
	{"new keys", (*talk).refresh},
	{"we end", func(k *talk, r row) { k.endAndBegin(r, 0) }},
	{"they end", func(k *talk, r row) { k.endAndBegin(r, 1) }},
	{"we crash", func(k *talk, r row) { k.crash(r, 0) }},
	{"they crash", func(k *talk, r row) { k.crash(r, 1) }},
}

// A row of the matrix.
type row struct {
	kind     *kind
	version  string
	fragment int
	start    starter
}

func (r row) String() string {
	return fmt.Sprintf("%s %s, lines of %s, %s", r.kind.name, r.version, r.size(), r.start.name)
}

func (r row) size() string {
	if r.fragment == 0 {
		return "any length"
	}
	return strconv.Itoa(r.fragment)
}

// Our library against every peer, version, line length and way to start: the key
// exchange, texts, fresh keys, an end from either side and a new start, and a
// crash of either side. Prints what it did as a table.
func TestInterop(t *testing.T) {
	t.Parallel()
	results := &table{head: []string{"peer", "version", "lines", "start"}}
	for _, c := range chapters {
		results.head = append(results.head, c.name)
	}
	t.Run("with", func(t *testing.T) {
		for _, kind := range kinds {
			for _, version := range kind.versions {
				for _, fragment := range []int{0, 200} {
					for _, start := range starters {
						r := row{kind, version, fragment, start}
						if start.tags && !kind.tags {
							continue
						}
						if testing.Short() && (kind != libotr || version != kind.versions[0] || fragment > 0 || start.name != starters[0].name) {
							continue
						}
						t.Run(r.String(), func(t *testing.T) {
							slowtest.SkipUnless(t, fragment == 0 && start.name == starters[0].name)
							t.Parallel()
							r.tell(t, results)
						})
					}
				}
			}
		}
	})
	t.Logf("\n%s", results)
}

// tell goes through the chapters and enters how far it came.
func (r row) tell(t *testing.T, results *table) {
	cells := []string{r.kind.name, r.version, r.size(), r.start.name}
	defer func() { results.add(cells, t.Failed() || t.Skipped()) }()
	policy := otr.WhitespaceStartAKE | otr.ErrorStartAKE | otr.RestartAKE
	flags := []string{"--versions", r.version, "--fragment", strconv.Itoa(r.fragment)}
	if r.start.tags {
		policy |= otr.SendWhitespaceTag
		flags = append(flags, "--tag")
	}
	k := newTalk(t, newOurs(t, r.version, r.fragment, policy), start(t, r.kind, flags...))
	for _, c := range chapters {
		cells = append(cells, "FAILED")
		c.tell(k, r)
		cells[len(cells)-1] = "ok"
	}
}

// begin makes a session and checks it.
func (k *talk) begin(r row) {
	k.t.Helper()
	r.start.do(k)
	k.settle()
	k.mustBeSecure(r.version)
	k.greet()
}

// greet has both ends say a word.
func (k *talk) greet() {
	k.t.Helper()
	k.take(0)
	k.take(1)
	for i := range k.ends {
		k.send(i, k.ends[i].Say("a word"))
		k.settle()
		k.mustHear(1-i, []string{"a word"})
	}
}

// refresh runs a key exchange within the session, from either side, and texts of
// both sides go through before and after.
func (k *talk) refresh(r row) {
	k.t.Helper()
	for i := range k.ends {
		k.send(i, k.ends[i].Commit())
		k.settle()
		k.mustBeSecure(r.version)
		k.greet()
	}
}

// endAndBegin ends the session from end i, checks that the other side noticed,
// and begins another.
func (k *talk) endAndBegin(r row, i int) {
	k.t.Helper()
	k.take(1 - i)
	k.send(i, k.ends[i].End())
	k.settle()
	if _, ended := k.find(1-i, "ended"); !ended {
		k.t.Fatalf("%s did not notice the end", k.ends[1-i].Name())
	}
	if r.start.tags {
		// Only who is back in plaintext sends a tag.
		k.send(1-i, k.ends[1-i].End())
		k.settle()
	}
	k.take(0)
	k.take(1)
	k.begin(r)
}

// crash has end i lose the session. The other one writes, which is lost; where
// the libraries do not start over by themselves, end i asks them to.
func (k *talk) crash(r row, i int) {
	k.t.Helper()
	k.ends[i].Forget()
	k.take(0)
	k.take(1)
	k.send(1-i, k.ends[1-i].Say("is anybody there?"))
	k.settle()
	if i == 1 && !r.kind.complains {
		k.send(i, k.ends[i].Query())
		k.settle()
	}
	k.mustBeSecure(r.version)
	k.greet()
}

// A table is what a test has done, for people.
type table struct {
	head []string
	mu   sync.Mutex
	rows [][]string
}

func (t *table) add(cells []string, short bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for short && len(cells) < len(t.head) {
		cells = append(cells, "-")
	}
	t.rows = append(t.rows, cells)
}

func (t *table) String() string {
	var s strings.Builder
	w := tabwriter.NewWriter(&s, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.head, "\t"))
	slices.SortFunc(t.rows, slices.Compare)
	for _, row := range t.rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	return s.String()
}
