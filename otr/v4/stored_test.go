package v4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// A stored session may come from a damaged file: it is either read completely or refused.
func TestAStoredSessionIsReadWholeOrRefused(t *testing.T) {
	alice, bob := newSession(t)
	alice.say("lost")
	bob.read(alice.say("read"))
	alice.read(bob.say("answer"))
	stored, err := bob.AppendSession(nil, 0)
	if err != nil {
		t.Fatal(err)
	}

	// Where the fields begin.
	r := wire.NewReader(stored)
	r.Take(2 + 4)
	r.Take(len(bob.session.ssid))
	ours := r.Pos() + 4
	r.Data()
	theirs := r.Pos() + 4
	r.Data()
	life := r.Pos()
	flags := life + 8 + len(bob.session.ratchet.root) + len(bob.session.ratchet.brace) + len(bob.session.ratchet.sendChain) + len(bob.session.ratchet.receiveChain)
	r.Long()
	var ratchet ratchet
	if !ratchet.read(&r) || r.Err() != nil {
		t.Fatal(r.Err())
	}
	point := r.Pos() - 4 - len(ratchet.theirDH) - group.PointLen
	skipped := r.Pos()
	if n := r.Int(); n != 1 {
		t.Fatalf("%d messages are skipped", n)
	}
	reveal := len(stored) - 4 - len(bob.session.reveal)

	put := func(at int, b ...byte) func([]byte) []byte {
		return func(s []byte) []byte { copy(s[at:], b); return s }
	}
	longer := func(at int) func([]byte) []byte { // the last field is a byte longer
		return func(s []byte) []byte {
			binary.BigEndian.PutUint32(s[at:], binary.BigEndian.Uint32(s[at:])+1)
			return append(s, 0)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"another form":             put(0, sessionFormat+1),
		"no role":                  put(1, byte(roleAlice)+1),
		"another peer":             put(2, 0xff),
		"our profile":              put(ours, 0xff),
		"the peer's profile":       put(theirs, 0xff),
		"the profile's signature":  func(s []byte) []byte { s[life-50] ^= 1; return s },
		"a life of centuries":      put(life, 0xff),
		"the first flag":           put(flags, 2),
		"the last flag":            put(flags+2, 0xff),
		"no point":                 put(point, bytes.Repeat([]byte{0xff}, group.PointLen)...),
		"too many skipped":         put(skipped, 0xff),
		"more skipped":             put(skipped+3, 2),
		"a part of a revealed key": longer(reveal),
	} {
		b := change(bytes.Clone(stored))
		r := wire.NewReader(b)
		if e, err := bob.client.ReadSession(&r); !errors.Is(err, ErrState) || e != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range stored {
		r := wire.NewReader(stored[:n])
		if _, err := bob.client.ReadSession(&r); !errors.Is(err, ErrState) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	r = wire.NewReader(stored)
	again, err := bob.client.ReadSession(&r)
	if err != nil || r.End() != nil {
		t.Fatal(err, r.End())
	}
	bob.Engine = again
	if got := bob.read(alice.say("more")); got != "more" {
		t.Errorf("read %q", got)
	}
}

func TestAStoredPublicationIsReadWholeOrRefused(t *testing.T) {
	e := newOfflineEnds(t)
	stored := e.publication.AppendSecret(nil)
	for n := range stored {
		r := wire.NewReader(stored[:n])
		if p, err := ReadPublication(&r); !errors.Is(err, ErrState) || p != nil {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
	for name, at := range map[string]int{"another secret": 0, "a profile": 57 + 4} {
		b := bytes.Clone(stored)
		b[at] ^= 0xff
		r := wire.NewReader(b)
		if p, err := ReadPublication(&r); !errors.Is(err, ErrState) || p != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutASessionThereIsNothingToSealStoreOrPrepare(t *testing.T) {
	alice, _ := newEnds(t)
	p := wire.Plaintext{Text: []byte("text")}
	var many Sealings
	for name, do := range map[string]func() ([]byte, error){
		"seal":                   func() ([]byte, error) { return alice.Seal(nil, 0, p) },
		"seal the last":          func() ([]byte, error) { return alice.SealLast(nil, 0, p) },
		"seal and reveal":        func() ([]byte, error) { return alice.SealRevealing(nil, 0, p) },
		"seal together":          func() ([]byte, error) { n, err := alice.Settle(&many, 0, p); return make([]byte, n), err },
		"store":                  func() ([]byte, error) { return alice.AppendSession(nil, 0) },
		"store with a few ahead": func() ([]byte, error) { return alice.AppendSession(nil, 5) },
	} {
		if b, err := do(); !errors.Is(err, ErrNoSession) || len(b) > 0 {
			t.Errorf("%s: %x, %v", name, b, err)
		}
	}
	if n := alice.Skipped() + alice.SkippedIn(nil, 0, 9); n != 0 {
		t.Errorf("%d messages have not come", n)
	}
	if p, err := alice.Prepare(); p != nil || err != nil {
		t.Errorf("something to prepare: %v", err)
	}
	if got := alice.Fit(alice.Peer(), &Data{}); got != FitNone {
		t.Errorf("a message fits: %v", got)
	}
}

func TestWithoutRandomnessNothingIsPreparedOrStoredAhead(t *testing.T) {
	slowtest.SkipShort(t)
	alice, bob := newSession(t)
	bob.read(alice.say("text"))
	before, err := bob.AppendSession(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	rand := bob.client.Rand
	bob.client.Rand = iotest.ErrReader(errNoRandomness)
	if p, err := bob.Prepare(); p != nil || !errors.Is(err, errNoRandomness) {
		t.Errorf("prepared: %v", err)
	}
	if b, err := bob.AppendSession(nil, 1); len(b) > 0 || !errors.Is(err, errNoRandomness) {
		t.Errorf("stored with a message ahead: %d bytes, %v", len(b), err)
	}
	bob.client.Rand = rand
	if after, err := bob.AppendSession(nil, 0); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the session has changed: %v", err)
	}
	if got := alice.read(bob.say("answer")); got != "answer" {
		t.Errorf("read %q", got)
	}
}

func TestWhatIsKeptForLaterMessagesPrintsAsAPlaceholder(t *testing.T) {
	for _, v := range []any{Sealings{}, Foresight{}, Ahead{}, &Preparation{}, &preparedKeys{}, identitySigner{}, Publication{}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
			if got := sprint(verb, v); !strings.HasPrefix(got, "v4.") || !strings.HasSuffix(got, "(…)") {
				t.Errorf("%T prints as %s with %s", v, got, verb)
			}
		}
	}
}

func TestATrimmedSessionKeepsTheKeysOfTheNewestMissingMessages(t *testing.T) {
	alice, bob := newSession(t)
	lost := [][]byte{alice.say("first"), alice.say("second"), alice.say("third")}
	for range 3 {
		bob.read(alice.say("read"))
	}
	size := func() int {
		t.Helper()
		stored, err := bob.AppendSession(nil, 0)
		if err != nil || len(stored) != bob.StoredLen() {
			t.Fatalf("%d bytes, said to be %d, %v", len(stored), bob.StoredLen(), err)
		}
		return len(stored)
	}
	whole := size()
	if bob.Trim(whole); size() != whole {
		t.Error("what fits is trimmed")
	}
	if bob.Trim(whole - 1); size() != whole-macLen || bob.Skipped() != 3 {
		t.Errorf("%d bytes less, and %d keys of missing messages", whole-size(), bob.Skipped())
	}
	if bob.Trim(whole - 3*macLen - 1); size() != whole-3*macLen-storedSkippedLen || bob.Skipped() != 2 {
		t.Errorf("%d bytes less, and %d keys of missing messages", whole-size(), bob.Skipped())
	}
	for i, want := range []string{"", "second", "third"} {
		if _, got, _ := bob.take(lost[i]); string(got.Text) != want {
			t.Errorf("%q instead of %q", got.Text, want)
		}
	}
	bob.Trim(0)
	if bob.Skipped() != 0 || bob.read(alice.say("more")) != "more" {
		t.Error("nothing can be read any more")
	}
	if n := alice.client.NewEngine(1).StoredLen(); n != 0 {
		t.Errorf("without a session there are %d bytes", n)
	}
}
