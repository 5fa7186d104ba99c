package otrv4

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"otrpipe/otr"
	"otrpipe/otr/toolkit"
)

// The peer takes a message for genuine that was made with a message key: one with another
// text, and one of which a word was changed under the MAC key that follows from it.
func TestThePeerAcceptsForgedMessages(t *testing.T) {
	long(t)
	t.Parallel()
	p := start(t, "--query", "--echo")
	u := newUs(t, p, func(c *otr.Config) { c.LogKeys = true })
	u.until("there was a session", u.secure)
	forgeries := []func(m *toolkit.Message, key []byte) ([]byte, error){
		func(m *toolkit.Message, key []byte) ([]byte, error) {
			return toolkit.Forge(m, key, []byte("forged text"))
		},
		func(m *toolkit.Message, key []byte) ([]byte, error) {
			macKey, err := toolkit.MACKey(key)
			if err != nil {
				return nil, err
			}
			return toolkit.Modify(m, macKey, []byte("genuine"), []byte("altered"), 0)
		},
		func(m *toolkit.Message, key []byte) ([]byte, error) {
			macKey, err := toolkit.MACKey(key)
			if err != nil {
				return nil, err
			}
			other, err := toolkit.Remac(m, make([]byte, toolkit.Key4Len)) // no longer authentic
			if err != nil {
				return nil, err
			}
			return toolkit.Remac(parse(t, other), macKey)
		},
	}
	for i, forge := range forgeries {
		u.TakeKeys()
		m := parse(t, u.seal("genuine text"))
		logged := u.TakeKeys()
		if len(logged) != 1 {
			t.Fatalf("%d keys were logged", len(logged))
		}
		line, err := forge(m, logged[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		u.send([][]byte{line})
		u.until("it answered", func() bool { return len(u.texts) == i+1 })
	}
	want := []string{"echo: forged text", "echo: altered text", "echo: genuine text"}
	if got := fmt.Sprint(u.texts); got != fmt.Sprint(want) {
		t.Errorf("the peer answered %s", got)
	}
	u.do(u.End())
	u.rest()
	if len(p.of("error")) > 0 {
		t.Errorf("the peer complained: %+v", p.of("error"))
	}
}

func parse(t *testing.T, line []byte) *toolkit.Message {
	t.Helper()
	m, err := toolkit.NewParser(bytes.NewReader(line)).Next()
	if err != nil || m.Err != nil {
		t.Fatal(err, m.Err)
	}
	return m
}

// Every field of a conversation with the peer is shown, and every check passes, its MAC
// keys' included.
func TestAConversationWithThePeerIsTakenApart(t *testing.T) {
	long(t)
	t.Parallel()
	p := start(t, "--identity", "--echo")
	var log strings.Builder
	u := newUs(t, p)
	u.send = func(lines [][]byte) {
		for _, line := range lines {
			fmt.Fprintf(&log, "us: %s\n", line)
		}
		u.write(lines)
	}
	take := func() {
		line, ok := <-p.lines
		if !ok {
			t.Fatalf("the peer left: %+v", p.of("error"))
		}
		fmt.Fprintf(&log, "peer: %s\n", line)
		u.take(line)
	}
	for !u.secure() {
		take()
	}
	for i := range 4 {
		u.say(fmt.Sprintf("message %d", i))
		for len(u.texts) <= i {
			take()
		}
	}
	u.do(u.End())
	u.rest()
	parser := toolkit.NewParser(strings.NewReader(log.String()))
	parser.TryAccounts("alice@localhost", "bob@localhost")
	signatures, authenticated := 0, map[uint64]bool{}
	for {
		m, err := parser.Next()
		if err != nil {
			break
		}
		if m.Err != nil {
			t.Errorf("%v: %v", m.Position, m.Err)
		}
		if check := m.Fields.Get("sigma_check"); check != nil {
			if signatures++; check != "valid" {
				t.Errorf("%s: sigma is %v", m.Name, check)
			}
		}
		revealed, _ := m.Fields.Get("revealed_mac_keys").([]toolkit.Fields)
		for _, k := range revealed {
			numbers, _ := k.Get("authenticates").([]uint64)
			if len(numbers) == 0 {
				t.Errorf("message %d reveals a key that authenticates nothing", m.Number)
			}
			for _, n := range numbers {
				authenticated[n] = true
			}
		}
	}
	if signatures != 2 || len(authenticated) < 6 {
		t.Errorf("%d ring signatures and %d revealed MAC keys were checked", signatures, len(authenticated))
	}
}
