//go:build unix

package peers

import (
	"testing"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// An smpStory is one thing that two ends do with SMP. End a starts.
type smpStory struct {
	name string
	tell func(k *talk, r smpRow)
}

var smpStories = []smpStory{
	{"right, twice", func(k *talk, r smpRow) {
		k.prove(r, "the secret", "the secret")
		k.prove(r, "another secret: Grüße", "another secret: Grüße")
	}},
	{"wrong, then right", func(k *talk, r smpRow) {
		k.prove(r, "the secret", "a guess")
		if r.kind.staleSMP {
			k.ask(r, "the secret")
			k.settle()
		}
		k.prove(r, "the secret", "the secret")
	}},
	{"we start over", func(k *talk, r smpRow) {
		k.ask(r, "the secret")
		k.prove(r, "the secret", "the secret")
	}},
	{"the asker aborts", func(k *talk, r smpRow) { k.abortAndProve(r, r.asker) }},
	{"the asked aborts", func(k *talk, r smpRow) { k.abortAndProve(r, 1-r.asker) }},
}

// An smpRow is one cell of SMP's matrix. Ours is end 0.
type smpRow struct {
	kind     *kind
	version  string
	asker    int
	question string
}

func (r smpRow) cells() []string {
	asker, question := "we ask", "no question"
	if r.asker == 1 {
		asker = "they ask"
	}
	if r.question != "" {
		question = "question"
	}
	return []string{r.kind.name, r.version, asker, question}
}

// SMP with every peer, from either side, with and without a question: right and
// wrong secrets, twice in a row, started over, aborted. Prints what it did as a
// table.
func TestSMPInterop(t *testing.T) {
	t.Parallel()
	results := &table{head: []string{"peer", "version", "", ""}}
	for _, s := range smpStories {
		results.head = append(results.head, s.name)
	}
	t.Run("with", func(t *testing.T) {
		for _, kind := range kinds {
			for _, version := range kind.versions {
				for asker := range 2 {
					for _, question := range []string{"", "what do you sáy?"} {
						if testing.Short() && (kind != libotr || version != kind.versions[0] || asker == 1 || question == "") {
							continue
						}
						r := smpRow{kind, version, asker, question}
						cells := r.cells()
						t.Run(cells[0]+" "+cells[1]+" "+cells[2]+" "+cells[3], func(t *testing.T) {
							slowtest.SkipUnless(t, kind != potr && version == kind.versions[0] && asker == 0 && question != "")
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

func (r smpRow) tell(t *testing.T, results *table) {
	cells := r.cells()
	defer func() { results.add(cells, true) }()
	k := newTalk(t, newOurs(t, r.version, 0, otr.ErrorStartAKE), start(t, r.kind, "--versions", r.version))
	k.send(0, k.ends[0].Query())
	k.settle()
	k.mustBeSecure(r.version)
	for _, s := range smpStories {
		if s.name == "we start over" && r.asker == 1 ||
			s.name == "the asker aborts" && r.asker == 1 && !r.kind.abortsSMP ||
			s.name == "the asked aborts" && r.asker == 0 && !r.kind.abortsSMP {
			cells = append(cells, "n/a")
			continue
		}
		cells = append(cells, "FAILED")
		s.tell(k, r)
		cells[len(cells)-1] = "ok"
	}
}

// ask has the asker start SMP and checks that the other end was asked.
func (k *talk) ask(r smpRow, secret string) {
	k.t.Helper()
	k.take(0)
	k.take(1)
	k.send(r.asker, k.ends[r.asker].SMP(secret, r.question))
	k.settle()
}

// mustBeAsked checks that the other end was asked the question.
func (k *talk) mustBeAsked(r smpRow) {
	k.t.Helper()
	news := k.take(1 - r.asker)
	for _, e := range news {
		if e.Event == "smp_asked" && e.Question == r.question {
			return
		}
	}
	k.t.Fatalf("%s was not asked %q: %s", k.ends[1-r.asker].Name(), r.question, names(news))
}

// prove runs SMP with these secrets of the asker and of the other and checks
// that both ends come to the right conclusion.
func (k *talk) prove(r smpRow, asker, other string) {
	k.t.Helper()
	k.ask(r, asker)
	k.mustBeAsked(r)
	k.send(1-r.asker, k.ends[1-r.asker].Answer(other))
	k.settle()
	for i := range k.ends {
		if got, want := k.verdict(i), asker == other; got != want {
			k.t.Fatalf("%s: success is %v, want %v", k.ends[i].Name(), got, want)
		}
	}
}

// abortAndProve has one end abort an SMP that was begun, and the next succeed.
func (k *talk) abortAndProve(r smpRow, aborts int) {
	k.t.Helper()
	k.ask(r, "the secret")
	k.mustBeAsked(r)
	k.send(aborts, k.ends[aborts].Abort())
	k.settle()
	if r.kind == xcrypto && aborts == 0 && r.asker == 0 {
		// It says nothing of it.
		k.take(1)
	} else if k.verdict(1 - aborts) {
		k.t.Fatalf("%s took an abort for a success", k.ends[1-aborts].Name())
	}
	k.prove(r, "the secret", "the secret")
}

// verdict is whether SMP succeeded at end i. Peers report a failure as a
// failure, as an abort or as cheating, or several of them; silence is a fault.
func (k *talk) verdict(i int) bool {
	k.t.Helper()
	news := k.take(i)
	var succeeded, failed bool
	for _, e := range news {
		switch e.Event {
		case "smp_succeeded":
			succeeded = true
		case "smp_failed", "smp_aborted", "smp_cheated":
			failed = true
		}
	}
	if succeeded == failed {
		k.t.Fatalf("%s cannot say how SMP went: %s", k.ends[i].Name(), names(news))
	}
	return succeeded
}
