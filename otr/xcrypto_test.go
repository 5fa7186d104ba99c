package otr_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	xotr "golang.org/x/crypto/otr"

	"otrpipe/otr"
	"otrpipe/testscripts/slowtest"
)

// A foreigner is x/crypto's implementation of version 2.
type foreigner struct {
	xotr.Conversation
	t       *testing.T
	texts   []string
	changes []xotr.SecurityChange
}

func newForeigner(t *testing.T, fragmentSize int) *foreigner {
	t.Helper()
	f := &foreigner{t: t}
	f.Rand = testRand(70)
	f.PrivateKey = new(xotr.PrivateKey)
	f.PrivateKey.Generate(testRand(71))
	f.FragmentSize = fragmentSize
	return f
}

func (f *foreigner) all(lines [][]byte) (send [][]byte) {
	f.t.Helper()
	for _, line := range lines {
		text, encrypted, change, out, err := f.Receive(bytes.Clone(line))
		if err != nil {
			f.t.Fatalf("x/crypto: %v in %q", err, line)
		}
		if encrypted && len(text) > 0 {
			f.texts = append(f.texts, string(text))
		}
		if change != xotr.NoChange {
			f.changes = append(f.changes, change)
		}
		send = append(send, out...)
	}
	return send
}

func (f *foreigner) last() xotr.SecurityChange {
	if len(f.changes) == 0 {
		return xotr.NoChange
	}
	return f.changes[len(f.changes)-1]
}

// exchange delivers lines to the foreigner, its answers to us, and so on.
func (f *foreigner) exchange(with *end, lines [][]byte) {
	f.t.Helper()
	for rounds := 0; len(lines) > 0; rounds++ {
		mayGoOn(f.t, rounds)
		lines = with.all(f.all(lines))
	}
}

// TestAgainstXCrypto talks to another implementation of version 2, in both
// roles of the key exchange, with and without fragments.
func TestAgainstXCrypto(t *testing.T) {
	slowtest.SkipShort(t)
	for _, fragments := range []int{0, 200} {
		for _, weCommit := range []bool{true, false} {
			t.Run(fmt.Sprintf("lines of %d/we commit %v", fragments, weCommit), func(t *testing.T) {
				us := newEnd(t, "us", 0, 1, newClock(), policy(otr.AllowV2|otr.AllowV3), func(c *otr.Config) { c.MaxSize = fragments })
				f := newForeigner(t, fragments)
				if weCommit {
					f.exchange(us, us.all([][]byte{[]byte(xotr.QueryMessage)}))
				} else {
					f.exchange(us, us.Query())
				}
				s, ok := us.Session()
				if !ok || !f.IsEncrypted() || f.last() != xotr.NewKeys {
					t.Fatalf("no session: %v", us.take())
				}
				if s.Version != 2 || s.SSID != f.SSID || s.FirstHalfBold != weCommit {
					t.Fatalf("%+v, theirs %x", s, f.SSID)
				}
				if !bytes.Equal(s.Fingerprint.Bytes(), f.PrivateKey.Fingerprint()) {
					t.Fatal("we have another key for them")
				}
				if !bytes.Equal(f.TheirPublicKey.Fingerprint(), testKeys()[0].Public().Fingerprint().Bytes()) {
					t.Fatal("they have another key for us")
				}
				f.talk(us)
				f.compare(us, true)
				f.compare(us, false)
				f.talk(us)
				f.exchange(us, us.refresh())
				f.talk(us)
				if weCommit {
					lines, err := us.End()
					if err != nil {
						t.Fatal(err)
					}
					f.all(lines)
					if f.last() != xotr.ConversationEnded {
						t.Fatal("they do not know that it has ended")
					}
					return
				}
				us.all(f.End())
				if us.State() != otr.StateFinished {
					t.Fatal(us.State())
				}
			})
		}
	}
}

// talk sends texts both ways, in turn and several at once.
func (f *foreigner) talk(us *end) {
	f.t.Helper()
	for i := range 4 {
		long := strings.Repeat("0123456789", 1+50*i)
		f.texts, us.texts = nil, nil
		for range 2 {
			f.exchange(us, us.say(long))
		}
		for range 3 {
			lines, err := f.Send([]byte(long))
			if err != nil {
				f.t.Fatal(err)
			}
			f.exchange(us, us.all(lines))
		}
		if strings.Join(f.texts, "") != long+long || strings.Join(us.texts, "") != long+long+long {
			f.t.Fatalf("they read %q, we read %q: %v", f.texts, us.texts, us.take())
		}
	}
}

// compare runs the socialist millionaires' protocol in both directions.
func (f *foreigner) compare(us *end, same bool) {
	f.t.Helper()
	ours, theirs := []byte("secret"), []byte("secret")
	if !same {
		theirs = []byte("another")
	}
	us.take()
	lines, err := us.StartSMP(ours, "which?")
	if err != nil {
		f.t.Fatal(err)
	}
	f.exchange(us, lines)
	if f.last() != xotr.SMPSecretNeeded || f.SMPQuestion() != "which?" {
		f.t.Fatalf("they were not asked: %v %q", f.last(), f.SMPQuestion())
	}
	f.answer(us, theirs, same)
	if !same {
		return // the other's state is stale after a failure
	}
	if lines, err = f.Authenticate("and yours?", theirs); err != nil {
		f.t.Fatal(err)
	}
	us.all(lines)
	if q := find[otr.SMPAsked](f.t, us.take()).Question; q != "and yours?" {
		f.t.Fatalf("%q", q)
	}
	if lines, err = us.AnswerSMP(ours); err != nil {
		f.t.Fatal(err)
	}
	f.exchange(us, lines)
	f.wantResult(us, same)
}

func (f *foreigner) answer(us *end, secret []byte, same bool) {
	f.t.Helper()
	lines, err := f.Authenticate("", secret)
	if err != nil {
		f.t.Fatal(err)
	}
	f.exchange(us, us.all(lines))
	f.wantResult(us, same)
}

func (f *foreigner) wantResult(us *end, same bool) {
	f.t.Helper()
	events := us.take()
	theirs := map[bool]xotr.SecurityChange{true: xotr.SMPComplete, false: xotr.SMPFailed}[same]
	if f.last() != theirs || (count[otr.SMPSucceeded](events) == 1) != same || (count[otr.SMPFailed](events) == 1) == same {
		f.t.Fatalf("they say %v, we say %v", f.last(), events)
	}
}
