package otrv4

import (
	"crypto/rand"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/testscripts/slowtest"
)

// Whatever versions we speak and whoever begins: version 4 where we speak it, or nothing.
func TestTheBestCommonVersion(t *testing.T) {
	long(t)
	dsa, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	starts := []struct {
		name  string
		flags []string
		begin func(u *us)
	}{
		{"our query", nil, func(u *us) { u.send(u.Query()) }},
		{"its query", []string{"--query"}, func(u *us) {}},
		{"its whitespace tag", []string{"--whitespace", "hello"}, func(u *us) {}},
		{"our whitespace tag", nil, func(u *us) { u.say("hello") }},
		{"two queries", []string{"--query"}, func(u *us) { u.send(u.Query()) }},
		{"its Identity message and our query", []string{"--identity"}, func(u *us) { u.send(u.Query()) }},
	}
	for _, c := range []struct {
		versions string
		policy   otr.Policy
	}{
		{"2", otr.AllowV2}, {"3", otr.AllowV3}, {"4", otr.AllowV4},
		{"34", otr.AllowV3 | otr.AllowV4}, {"234", otr.AllowV2 | otr.AllowV3 | otr.AllowV4},
	} {
		for i, start4 := range starts {
			if c.versions != "34" && i > 1 {
				continue // what begins it matters where there is a choice
			}
			t.Run("we speak "+c.versions+", "+start4.name, func(t *testing.T) {
				slowtest.SkipUnless(t, c.versions == "34" && i < 2)
				t.Parallel()
				p := start(t, append([]string{"--echo"}, start4.flags...)...)
				u := newUs(t, p, func(cfg *otr.Config) {
					cfg.DSA, cfg.Policy = dsa, c.policy|otr.WhitespaceStartAKE|otr.SendWhitespaceTag
				})
				start4.begin(u)
				if !c.policy.Has(otr.AllowV4) {
					p.in.Close()
					u.rest()
					if u.secure() || len(p.of("secure")) > 0 {
						t.Errorf("a session of version %d", u.secured[0].Version)
					}
					return
				}
				u.until("there was a session", u.secure)
				u.say("are you there?")
				u.until("it answered", func() bool { return len(u.texts) == 1 })
				u.do(u.End())
				u.rest()
				u.wantSameSession()
			})
		}
	}
}
