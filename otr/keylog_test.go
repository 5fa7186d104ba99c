package otr_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/toolkit"
	"otrpipe/testscripts/slowtest"
)

// withVersion4 gives an end the keys of version 4 and allows that version alone.
func withVersion4(c *otr.Config) {
	c.Policy = otr.AllowV4
	var err error
	if c.Ed448, err = keys.GenerateEd448(c.Rand); err == nil {
		c.Forging, err = keys.GenerateForgingKey(c.Rand)
	}
	if err != nil {
		panic(err)
	}
}

// With the keys that one end has logged, every message of both ends can be read.
func TestTheLoggedKeysReadEveryMessageOfBothEnds(t *testing.T) {
	slowtest.SkipShort(t)
	for version, configure := range map[int]func(*otr.Config){2: policy(otr.AllowV2), 3: policy(otr.AllowV3), 4: withVersion4} {
		t.Run(fmt.Sprint(version), func(t *testing.T) {
			alice, bob := newSession(t, configure, func(c *otr.Config) { c.LogKeys = true })
			var wire, log strings.Builder
			log.WriteString(toolkit.KeyLogHeader + "\n")
			takeKeys := func() {
				for _, k := range alice.TakeKeys() {
					log.Write(toolkit.LoggedKey{
						Version: uint16(k.Version), Sender: k.Sender, Receiver: k.Receiver,
						First: k.First, Second: k.Second, Key: k.Key,
					}.Append(nil))
				}
			}
			var want []string
			for i := range 12 {
				from, to := alice, bob
				if i%3 == 2 {
					from, to = bob, alice
				}
				text := fmt.Sprintf("message %d of %s", i, from.name)
				want = append(want, text)
				for _, line := range from.say(text) {
					wire.Write(append(line, '\n'))
					to.receive(line)
				}
				takeKeys()
			}
			keyLog, err := toolkit.ReadKeyLog(strings.NewReader(log.String()))
			if err != nil {
				t.Fatal(err)
			}
			var read []string
			for p := toolkit.NewParser(strings.NewReader(wire.String())); ; {
				m, err := p.Next()
				if err == io.EOF {
					break
				}
				key, ok := keyLog.Find(m)
				if !ok {
					t.Fatalf("no key for message %d", m.Number)
				}
				plaintext, err := toolkit.Read(m, key)
				if err != nil {
					t.Fatal(err)
				}
				read = append(read, string(plaintext.Text))
			}
			if got := strings.Join(read, "; "); got != strings.Join(want, "; ") {
				t.Errorf("read %s", got)
			}
			if bob.Wipe(); len(bob.TakeKeys()) != 0 {
				t.Error("keys are left after Wipe")
			}
		})
	}
}

func TestNoKeyIsLoggedUnlessAskedFor(t *testing.T) {
	alice, bob := newSession(t)
	wantTalk(t, alice, bob)
	if keys := alice.TakeKeys(); len(keys) > 0 {
		t.Errorf("%d keys", len(keys))
	}
}
