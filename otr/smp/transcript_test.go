package smp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math/rand/v2"
	"os"
	"testing"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// recorded is a run with libotr 4.1.1, whose functions of its sm.h were called
// on the values of each message. Our side drew its exponents from a ChaCha8
// stream of the given seed, so that it can be replayed.
type recorded struct {
	Name             string
	Initiator        bool   // we began
	OurFingerprint   string `json:"our_fingerprint"`
	TheirFingerprint string `json:"their_fingerprint"`
	SSID             string
	Seed             string
	OurSecret        string `json:"our_secret"`
	Equal            bool   // what libotr said of the secrets
	Messages         []string
}

func TestRunsRecordedWithLibotrReplay(t *testing.T) {
	file, err := os.ReadFile("testdata/libotr-4.1.1.json")
	if err != nil {
		t.Fatal(err)
	}
	var runs []recorded
	if err := json.Unmarshal(file, &runs); err != nil {
		t.Fatal(err)
	}
	if len(runs) == 0 {
		t.Fatal("nothing is recorded")
	}
	for _, r := range runs {
		t.Run(r.Name, func(t *testing.T) { r.replay(t) })
	}
}

func (r recorded) replay(t *testing.T) {
	m := New(V3(parseFingerprint(t, r.OurFingerprint), parseFingerprint(t, r.TheirFingerprint),
		[8]byte(unhex(t, r.SSID))), rand.NewChaCha8([32]byte(unhex(t, r.Seed))))
	var messages transcript
	for i, text := range r.Messages {
		messages[i] = wire.TLV{Type: uint16(wire.TLVSMP1 + i), Value: unhex(t, text)}
	}
	sent := func(number int, send []wire.TLV) {
		t.Helper()
		if got := one(t, send); got.Type != messages[number-1].Type || !bytes.Equal(got.Value, messages[number-1].Value) {
			t.Fatalf("message %d differs from the recorded one", number)
		}
	}
	result := Failed
	if r.Equal {
		result = Succeeded
	}
	if r.Initiator {
		sent(1, mustStart(t, m, r.OurSecret, ""))
		sent(3, mustReceive(t, m, messages[1:2], None))
		mustReceive(t, m, messages[3:4], result)
		return
	}
	mustReceive(t, m, messages[0:1], Asked)
	sent(2, mustAnswer(t, m, r.OurSecret))
	sent(4, mustReceive(t, m, messages[2:3], result))
}

func parseFingerprint(t *testing.T, s string) keys.Fingerprint {
	t.Helper()
	f, err := keys.ParseFingerprint(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
