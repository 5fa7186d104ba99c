//go:build unix

package peers

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"otrpipe/otr/toolkit"
	"otrpipe/testscripts/slowtest"
)

// libotrTool is one of libotr's own tools.
func libotrTool(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		missing(t, name, "apt install libotr5-bin", err)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	return string(out), err
}

// ourTool is otrpipe toolkit.
func ourTool(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	program, err := otrpipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append([]string{"--quiet", "toolkit"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	return string(out), err
}

// A logged conversation is the lines that two ends sent each other, and the AES keys that
// our end has used.
type logged struct {
	lines []string
	keys  []otrKey
}

type otrKey struct {
	sender        uint32
	first, second uint32
	aes           string
}

// recordTalk has our library talk with a peer of some kind, and records it.
func recordTalk(t *testing.T, kind *kind, version string) (l logged) {
	o := newOurs(t, version, 0, 0)
	o.cfg.LogKeys = true
	o.Forget()
	k := newTalk(t, o, start(t, kind, "--versions", version))
	deliver := func() {
		for len(k.coming[0])+len(k.coming[1]) > 0 {
			for i := range k.ends {
				if len(k.coming[i]) > 0 {
					l.lines = append(l.lines, k.coming[i][0])
				}
				k.step(i)
				for _, key := range o.c.TakeKeys() {
					l.keys = append(l.keys, otrKey{key.Sender, key.First, key.Second, hex.EncodeToString(key.Key)})
				}
			}
		}
	}
	k.send(0, o.Query())
	deliver()
	k.mustBeSecure(version)
	for i := range 8 {
		end := i * 3 % 2
		k.send(end, k.ends[end].Say(fmt.Sprintf("text %d of %s", i, k.ends[end].Name())))
		deliver()
	}
	k.send(0, o.End())
	deliver()
	return l
}

// theirFields are the names of otr_parse for fields of ours.
var theirFields = map[string]string{
	"Version": "version", "Sender instance": "sender_instance", "Receiver instance": "receiver_instance",
	"Flags": "flags", "Sender keyid": "sender_key_id", "Rcpt keyid": "recipient_key_id", "DH y": "next_dh",
	"Counter": "counter", "Encrypted message": "encrypted_message", "MAC": "mac",
	"Encrypted Key": "encrypted_gx", "Hashed Key": "hashed_gx", "D-H Key": "gy",
	"Key": "revealed_key", "Encrypted Signature": "encrypted_signature",
}

// What otr_parse and toolkit parse show of every message of a talk with each kind of peer
// is the same, field by field.
func TestTheToolkitAgreesWithLibotrsFieldByField(t *testing.T) {
	long(t)
	t.Parallel()
	for _, kind := range kinds {
		for _, version := range kind.versions {
			t.Run(kind.name+" "+version, func(t *testing.T) {
				slowtest.SkipUnless(t, kind == libotr && version == kind.versions[0])
				compared := 0
				for _, line := range recordTalk(t, kind, version).lines {
					if !strings.HasPrefix(line, "?OTR:") {
						continue
					}
					theirs, err := libotrTool(t, line, "otr_parse")
					if err != nil {
						t.Fatal(err)
					}
					compared += compareFields(t, line, theirs)
				}
				if compared < 80 {
					t.Errorf("only %d fields were compared", compared)
				}
			})
		}
	}
}

func compareFields(t *testing.T, line, theirs string) (compared int) {
	t.Helper()
	out, err := ourTool(t, line, "parse", "--json")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var all []map[string]any
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	ours := all[0]
	for row := range strings.Lines(theirs) {
		name, value, ok := strings.Cut(strings.TrimSpace(row), ": ")
		if key, found := strings.CutPrefix(name, "Key "); found { // of "Revealed MAC keys:"
			revealed, _ := ours["revealed_mac_keys"].([]any)
			n, err := strconv.Atoi(key)
			if err != nil || n > len(revealed) || revealed[n-1].(map[string]any)["key"] != value {
				t.Errorf("%s: ours %v, theirs %s", name, revealed, value)
			}
			compared++
			continue
		}
		field := theirFields[name]
		if !ok || strings.HasSuffix(name, "Message:") {
			continue
		}
		if field == "" {
			t.Errorf("otr_parse shows %q, which this test does not know", name)
			continue
		}
		if field == "mac" && ours["message"] == "data" {
			field = "authenticator"
		}
		var got string
		switch v := ours[field].(type) {
		case float64:
			got = strconv.Itoa(int(v))
			if field == "version" {
				got = "0" + got
			}
		case string:
			got = v
			if strings.HasSuffix(field, "_instance") {
				n, err := strconv.ParseUint(v, 16, 32)
				if err != nil {
					t.Fatal(err)
				}
				got = strconv.FormatUint(n, 10)
			}
		default:
			t.Errorf("%s: ours has no %s", name, field)
		}
		if got != value {
			t.Errorf("%s: ours %s, theirs %s", name, got, value)
		}
		compared++
	}
	return compared
}

// What ours decrypts and forges, theirs decrypts, and the other way round; so it is with
// guessed texts that are replaced, and with messages made of their parts.
func TestForgeriesAreAcceptedBothWays(t *testing.T) {
	long(t)
	t.Parallel()
	for _, version := range []string{"3", "2"} {
		t.Run(version, func(t *testing.T) {
			slowtest.SkipUnless(t, version == "3")
			l := recordTalk(t, libotr, version)
			done, enough := 0, math.MaxInt
			if slowtest.LeftOut() {
				enough = 3
			}
			for _, line := range l.lines {
				m, ok := dataWithText(t, line)
				if !ok {
					continue
				}
				key := l.keyOf(m)
				if key == "" {
					continue
				}
				bothWays(t, line, key)
				if done++; done == enough {
					break
				}
			}
			if done < min(6, enough) {
				t.Errorf("%d messages were forged", done)
			}
		})
	}
}

func dataWithText(t *testing.T, line string) (*toolkit.Message, bool) {
	t.Helper()
	if !strings.HasPrefix(line, "?OTR:") {
		return nil, false
	}
	m, err := toolkit.NewParser(strings.NewReader(line)).Next()
	if err != nil || m.Err != nil {
		t.Fatal(err, m.Err)
	}
	return m, m.Name == "data"
}

func (l logged) keyOf(m *toolkit.Message) string {
	for _, k := range l.keys {
		aes, _ := hex.DecodeString(k.aes)
		if p, err := toolkit.Read(m, aes); err == nil && len(p.Text) > 0 {
			return k.aes
		}
	}
	return ""
}

// plaintextOf is what otr_readforge prints of a message.
func plaintextOf(t *testing.T, line, key string) string {
	t.Helper()
	out, err := libotrTool(t, line, "otr_readforge", key)
	if err != nil {
		t.Fatalf("otr_readforge: %v", err)
	}
	_, text, _ := strings.Cut(out, "``")
	text, _, ok := strings.Cut(text, "''")
	if !ok {
		t.Fatalf("otr_readforge: %q", out)
	}
	return text
}

func bothWays(t *testing.T, line, key string) {
	t.Helper()
	run := func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return strings.TrimSpace(out)
	}
	ours := run(ourTool(t, line, "readforge", key))
	theirs := plaintextOf(t, line, key)
	if ours != theirs || !strings.HasPrefix(ours, "text ") {
		t.Errorf("ours reads %q, theirs %q", ours, theirs)
	}
	forged := run(ourTool(t, line, "readforge", key, "--text", "forged by ours"))
	if got := plaintextOf(t, forged, key); got != "forged by ours" {
		t.Errorf("theirs reads %q", got)
	}
	out := run(libotrTool(t, line, "otr_readforge", key, "forged by theirs"))
	theirForged := out[strings.Index(out, "?OTR:"):]
	if got := run(ourTool(t, theirForged, "readforge", key)); got != "forged by theirs" {
		t.Errorf("ours reads %q", got)
	}
	mac := run(ourTool(t, "", "mackey", key))
	if out := run(libotrTool(t, "", "otr_mackey", key)); !strings.Contains(out, mac) {
		t.Errorf("MAC key: ours %s, theirs %s", mac, out)
	}
	modified := run(ourTool(t, line, "modify", mac, "text", "TEXT", "0"))
	if got := plaintextOf(t, modified, key); !strings.HasPrefix(got, "TEXT ") {
		t.Errorf("theirs reads %q", got)
	}
	out = run(libotrTool(t, line, "otr_modify", mac, "text", "Text", "0"))
	if got := run(ourTool(t, out[strings.Index(out, "?OTR:"):], "readforge", key)); !strings.HasPrefix(got, "Text ") {
		t.Errorf("ours reads %q", got)
	}
}

// Data messages that both tools make of the same parts are the same bytes.
func TestRemacMakesTheSameMessage(t *testing.T) {
	long(t)
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	digits := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		b[0] |= 1
		return hex.EncodeToString(b)
	}
	for range 10 {
		parts := []string{
			digits(20), strconv.Itoa(0x100 + r.IntN(1<<30)), strconv.Itoa(0x100 + r.IntN(1<<30)), strconv.Itoa(r.IntN(2)),
			strconv.Itoa(1 + r.IntN(1000)), strconv.Itoa(1 + r.IntN(1000)),
			digits(192), digits(8), digits(1 + r.IntN(300)), digits(20 * (1 + r.IntN(3))),
		}
		ours, err := ourTool(t, "", slices.Concat([]string{"remac"}, parts)...)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := libotrTool(t, "", "otr_remac", parts...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimSpace(ours) != strings.TrimSpace(theirs) {
			t.Errorf("ours   %s\ntheirs %s", ours, theirs)
		}
	}
}

// Both tools derive the same keys; the session id of ours is the one that clients of
// version 3 show, of which theirs knows only version 1's.
func TestSessionKeysAreTheSame(t *testing.T) {
	long(t)
	t.Parallel()
	const private = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, public := range []string{"02", "3039", strings.Repeat("7f", 190)} {
		theirs, err := libotrTool(t, "", "otr_sesskeys", private, public)
		if err != nil {
			t.Fatal(err)
		}
		ours, err := ourTool(t, "", "sesskeys", "--json", private, public)
		if err != nil {
			t.Fatal(err)
		}
		var k map[string]string
		if err := json.Unmarshal([]byte(ours), &k); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{
			"We are the " + k["end"] + " end", "Our public key: " + k["our_public_key"],
			"Sending   AES key: " + k["sending_aes_key"], "Sending   MAC key: " + k["sending_mac_key"],
			"Receiving AES key: " + k["receiving_aes_key"], "Receiving MAC key: " + k["receiving_mac_key"],
		} {
			if !strings.Contains(theirs, want) {
				t.Errorf("theirs does not say %q:\n%s", want, theirs)
			}
		}
	}
}
