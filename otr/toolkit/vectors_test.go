package toolkit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"otrpipe/otr/wire"
)

// recording is a file of recorded sessions of version 4; see the README of package v4's
// testdata.
type recording struct {
	Sessions []struct {
		Name       string
		Ours       *account
		Alice, Bob *account
		Steps      []step
	}
}

type account struct{ Account, Contact string }

type step struct {
	Op     string
	Args   struct{ Line string }
	Kind   string
	Values [][2]any
	Sent   []string
}

func (s step) value(name string) []byte {
	for _, v := range s.Values {
		if v[0] == name {
			b, _ := hex.DecodeString(v[1].(string))
			return b
		}
	}
	return nil
}

func loadRecording(t *testing.T, name string) (r recording) {
	t.Helper()
	b, err := os.ReadFile("../v4/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// Sessions with two other implementations, and of one with itself: every message is
// shown, every ring signature holds, and every message that a recorded side sent can be
// read with its message key, and with the chain key before it.
func TestRecordedSessionsOfVersion4(t *testing.T) {
	for _, file := range []string{"session-otr4j.json", "session-otrr.json", "session-self.json"} {
		for _, session := range loadRecording(t, file).Sessions {
			t.Run(file+"/"+session.Name, func(t *testing.T) {
				who := session.Ours
				if who == nil {
					who = session.Alice
				}
				checkRecording(t, session.Steps, who)
			})
		}
	}
}

func checkRecording(t *testing.T, steps []step, who *account) {
	var log strings.Builder
	read := 0
	for _, s := range steps {
		// A received line has been sent before where both sides are recorded.
		if s.Op == "receive" && !strings.Contains(log.String(), s.Args.Line) {
			log.WriteString("peer: " + s.Args.Line + "\n")
		}
		for _, line := range s.Sent {
			log.WriteString("us: " + line + "\n")
		}
		key := s.value("MKenc")
		if key == nil || s.Op == "receive" || len(s.Sent) == 0 {
			continue
		}
		all := parseText(t, strings.Join(s.Sent, "\n"))
		m := &all[len(all)-1]
		if m.Name != "data" {
			continue
		}
		if got := m.Fields.Get("authenticator"); !bytes.Equal(got.(Hex), s.value("authenticator")) {
			t.Errorf("authenticator %v", got)
		}
		for field, value := range map[string]string{"ecdh": "ecdh.public", "dh": "dh.public"} {
			if want := s.value(value); want != nil && !bytes.Equal(m.Fields.Get(field).(Hex), want) {
				t.Errorf("%s is %v", field, m.Fields.Get(field))
			}
		}
		if revealed := s.value("mac_keys_revealed"); revealed != nil {
			var got []byte
			for _, k := range m.Fields.Get("revealed_mac_keys").([]Fields) {
				got = append(got, k.Get("key").(Hex)...)
			}
			if !bytes.Equal(got, revealed) {
				t.Errorf("revealed MAC keys %x", got)
			}
		}
		if mac, err := MACKey(key); err != nil || !bytes.Equal(mac, s.value("MKmac")) {
			t.Errorf("MAC key %x: %v", mac, err)
		}
		for _, k := range [][]byte{key, s.value("chain_key_s")} {
			p, err := Read(m, k)
			if err != nil {
				t.Errorf("message %v of ratchet %v: %v", m.Fields.Get("message_id"), m.Fields.Get("ratchet_id"), err)
				continue
			}
			if want := s.value("plaintext"); !bytes.Equal(wire.AppendPlaintext(nil, p), want) {
				t.Errorf("read %q", p.Text)
			}
			read++
		}
	}
	if read < 4 {
		t.Errorf("only %d messages were read", read)
	}
	checked := 0
	for _, m := range parseAll(t, strings.NewReader(log.String()), who.Account, who.Contact) {
		if m.Err != nil {
			t.Errorf("%s at %v: %v", m.Name, m.Position, m.Err)
		}
		switch check := m.Fields.Get("sigma_check"); check {
		case nil:
		case "valid":
			checked++
		default:
			t.Errorf("%s: sigma is %v", m.Name, check)
		}
		if p, ok := m.Fields.Get("client_profile").(Fields); ok && p.Get("valid") != true {
			t.Errorf("%s: %v", m.Name, p.Get("fault"))
		}
	}
	if checked < 2 {
		t.Errorf("%d ring signatures were checked", checked)
	}
}
