//go:build unix

package peers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"otrpipe/otr/wire"
)

// maxSteps bounds the lines of one exchange: two ends that answer each other for
// ever are a failure, not a hang.
const maxSteps = 20000

// A talk is a conversation between two ends with the lines that are on their
// way. Index 0 is us where one of the two is us.
type talk struct {
	t      *testing.T
	ends   [2]end
	coming [2][]string // lines on their way to each end
	news   [2][]event  // what happened at each end
	story  []string    // what each end has sent and noticed, for who has to find a fault
}

// newTalk has a and b meet. A test that fails shows the last of what they did.
func newTalk(t *testing.T, a, b end) *talk {
	k := &talk{t: t, ends: [2]end{a, b}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last of it:\n%s", strings.Join(k.story[max(0, len(k.story)-40):], "\n"))
		}
	})
	return k
}

// send puts lines that end i sends on their way.
func (k *talk) send(i int, lines []string) {
	k.coming[1-i] = append(k.coming[1-i], lines...)
	news := k.ends[i].Happened()
	k.news[i] = append(k.news[i], news...)
	for _, line := range lines {
		k.story = append(k.story, k.ends[i].Name()+" sends "+describe(line))
	}
	if len(news) > 0 {
		k.story = append(k.story, k.ends[i].Name()+" reports "+names(news))
	}
}

// describe is what kind of line this is.
func describe(line string) string {
	if msg, err := wire.AppendDearmored(nil, []byte(line)); err == nil {
		if h, _, err := wire.ParseHeader(msg); err == nil {
			return fmt.Sprintf("%v from %08x to %08x", h.Type, h.Sender, h.Receiver)
		}
	}
	return fmt.Sprintf("%.60q", line)
}

// settle delivers lines, one to each end in turn, until none is on its way and
// no key exchange of ours waits for its moment.
func (k *talk) settle() {
	k.t.Helper()
	for range maxSteps {
		if len(k.coming[0])+len(k.coming[1]) == 0 && !k.pause() {
			return
		}
		for i := range k.ends {
			k.step(i)
		}
	}
	k.t.Fatalf("%s and %s do not stop answering each other", k.ends[0].Name(), k.ends[1].Name())
}

// pause lets the time pass that a key exchange of ours waits on purpose. It
// reports whether there was one.
func (k *talk) pause() bool {
	k.t.Helper()
	paused := false
	for i, e := range k.ends {
		if o, ok := e.(*ours); ok {
			lines, waited := o.Pause()
			k.send(i, lines)
			paused = paused || waited
		}
	}
	return paused
}

// step delivers the next line to end i.
func (k *talk) step(i int) {
	if len(k.coming[i]) == 0 {
		return
	}
	line := k.coming[i][0]
	k.coming[i] = k.coming[i][1:]
	k.story = append(k.story, k.ends[i].Name()+" receives "+describe(line))
	k.send(i, k.ends[i].Receive(line))
}

// take removes and returns what happened at end i.
func (k *talk) take(i int) []event {
	news := k.news[i]
	k.news[i] = nil
	return news
}

// texts removes and returns the authentic texts that end i received and the
// number of its messages without one; anything else that it reported is dropped.
func (k *talk) texts(i int) (texts []string, empty int) {
	for _, e := range k.take(i) {
		switch {
		case e.Event == "text" && e.Encrypted:
			texts = append(texts, e.Text)
		case e.Event == "heartbeat":
			empty++
		}
	}
	return texts, empty
}

// mustHear checks that end i received these texts in this order. An empty one
// need only have been noticed: most libraries show nothing for it, and their
// heartbeats look the same.
func (k *talk) mustHear(i int, want []string) {
	k.t.Helper()
	got, empty := k.texts(i)
	full := slices.DeleteFunc(slices.Clone(want), func(s string) bool { return s == "" })
	if !slices.Equal(got, full) {
		k.t.Fatalf("%s received %.200q, want %.200q", k.ends[i].Name(), got, full)
	}
	if n := len(want) - len(full); empty < n {
		k.t.Fatalf("%s noticed %d of %d empty messages", k.ends[i].Name(), empty, n)
	}
}

// find removes what happened at end i and returns the last event of this name.
func (k *talk) find(i int, name string) (event, bool) {
	news := k.take(i)
	for n := len(news) - 1; n >= 0; n-- {
		if news[n].Event == name {
			return news[n], true
		}
	}
	return event{}, false
}

// mustBeSecure checks that both ends reported the same session.
func (k *talk) mustBeSecure(version string) {
	k.t.Helper()
	var secure [2]event
	for i, e := range k.ends {
		seen := k.take(i)
		found := false
		for _, one := range seen {
			if one.Event == "secure" {
				secure[i], found = one, true
			}
		}
		if !found {
			k.t.Fatalf("%s is not secure; it reported %s", e.Name(), names(seen))
		}
	}
	a, b := secure[0], secure[1]
	if a.SSID != b.SSID || a.Version != b.Version || fmt.Sprint(a.Version) != version {
		k.t.Fatalf("not the same session of version %s: %+v and %+v", version, a, b)
	}
	if a.Bold != "" && b.Bold != "" && a.Bold == b.Bold {
		k.t.Fatalf("both ends show the %s half of the session id in bold", a.Bold)
	}
}

func names(events []event) string {
	var list []string
	for _, e := range events {
		s := e.Event
		if e.Reason != "" {
			s += " (" + e.Reason + ")"
		}
		list = append(list, s)
	}
	return "[" + strings.Join(list, ", ") + "]"
}
