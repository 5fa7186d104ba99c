package otrv4

import (
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// A peer that answers every Identity message with new keys, as others do, and whose query
// comes several times: one session, and every text arrives.
func TestAPeerThatTakesTheTextLiterally(t *testing.T) {
	long(t)
	for _, role := range []struct {
		name string
		flag string
		ours int // queries
	}{
		{"its query crosses three of ours", "--query", 3},
		{"its query comes alone", "--query", 0},
		{"its Identity message crosses three queries", "--identity", 3},
		{"only we ask, three times", "", 3},
	} {
		t.Run(role.name, func(t *testing.T) {
			slowtest.SkipUnless(t, role.flag == "")
			t.Parallel()
			flags := []string{"--literal", "--say", "from the peer", "--end-after", "1"}
			if role.flag != "" {
				flags = append(flags, role.flag)
			}
			p := start(t, flags...)
			u := newUs(t, p)
			for range role.ours {
				u.send(u.Query())
			}
			for deadline := time.Now().Add(3 * time.Minute); !u.secure() || u.Exchanging(); {
				if time.Now().After(deadline) {
					t.Fatalf("no session: we are in %v; refused %v", u.AuthState(), u.refused)
				}
				select {
				case line, ok := <-p.lines:
					if !ok {
						t.Fatalf("the peer left: %+v", p.of("error"))
					}
					u.take(line)
				case <-time.After(50 * time.Millisecond):
					got, err := u.Tick()
					u.do(got.Send, err)
				}
			}
			u.say("from us")
			u.rest()
			// For each of our queries it makes a new offer, and refuses the answer to the last.
			if texts := p.texts(); len(texts) != 1 || len(u.texts) != 1 {
				t.Errorf("the peer read %q, we %q; errors %+v", texts, u.texts, p.of("error"))
			}
			u.wantSameSession()
		})
	}
}
