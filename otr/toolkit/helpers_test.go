package toolkit

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
)

// steady is a source of bytes that is the same in every run.
func steady(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// parseAll returns copies of all messages of a text.
func parseAll(t testing.TB, r io.Reader, accounts ...string) []Message {
	t.Helper()
	p := NewParser(r)
	if len(accounts) == 2 {
		p.TryAccounts(accounts[0], accounts[1])
	}
	var all []Message
	for {
		m, err := p.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		c := *m
		c.Raw = append([]byte(nil), m.Raw...)
		c.Body = c.Raw[len(c.Raw)-len(m.Body):]
		all = append(all, c)
	}
}

func parseText(t testing.TB, text string) []Message {
	t.Helper()
	return parseAll(t, strings.NewReader(text))
}

var testTime = time.Unix(1700000000, 0)

// party is a person with version 4 keys.
type party struct {
	identity *keys.Ed448PrivateKey
	client   *v4.Client
	profile  *v4.Profile
}

func newParty(t testing.TB, seed byte) *party {
	t.Helper()
	identity, err := keys.GenerateEd448(steady(seed))
	if err != nil {
		t.Fatal(err)
	}
	forging, err := keys.GenerateForgingKey(steady(seed + 50))
	if err != nil {
		t.Fatal(err)
	}
	p := &party{identity: identity}
	p.client = v4.NewClient(v4.Config{
		InstanceTag: 0x1000 + uint32(seed),
		Identity:    identity, Forging: forging,
		Rand: steady(seed + 100),
		Now:  func() time.Time { return testTime },
	})
	if p.profile, err = p.client.Profile(); err != nil {
		t.Fatal(err)
	}
	return p
}

const testScript = `# who says what
alice: Shall we meet at the bridge?
bob: At nine.
bob: Bring the papers.

alice: I have never seen any papers: believe me.
bob: Of course.
`

// forge4 forges the conversation of testScript; alice is the forger.
func forge4(t testing.TB, begin bool) (alice, bob *party, sent []SentMessage) {
	t.Helper()
	alice, bob = newParty(t, 1), newParty(t, 2)
	script, err := ParseScript(testScript, "alice")
	if err != nil {
		t.Fatal(err)
	}
	f := &Forger{InstanceTag: alice.client.InstanceTag, Identity: alice.identity, Forging: alice.client.Forging, Rand: steady(9), Now: func() time.Time { return testTime }, Begin: begin}
	if sent, err = f.Forge4(script, bob.profile); err != nil {
		t.Fatal(err)
	}
	return alice, bob, sent
}

// logs4 has what log4 returns.
var logs4 = make(map[bool]string)

// log4 returns the transcript of forge4, which is made once.
func log4(t testing.TB, begin bool) string {
	t.Helper()
	if logs4[begin] == "" {
		_, _, sent := forge4(t, begin)
		logs4[begin] = transcript(sent)
	}
	return logs4[begin]
}

// transcript formats sent messages as a log.
func transcript(sent []SentMessage) string {
	var b strings.Builder
	for _, m := range sent {
		name := "bob"
		if m.Ours {
			name = "alice"
		}
		b.WriteString("[12:30] <" + name + "> " + string(m.Line) + "\n")
	}
	return b.String()
}
