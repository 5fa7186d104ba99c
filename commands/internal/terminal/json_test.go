package terminal

import (
	"bytes"
	"encoding/json"
	"testing"
)

// What a peer wrote reaches a terminal in JSON too. There it must neither give commands nor turn
// the direction of text, and programs must read what they read before.
func TestJSONIsHarmlessToATerminalAndMeansTheSame(t *testing.T) {
	for text, want := range map[string]string{
		"red\u009b31m":         `"red\u009b31m"`,
		"\x7f\x1b[31m\r\n":     `"\u007f\u001b[31m\r\n"`,
		"\u202etext\u2066":     `"\u202etext\u2066"`,
		"tag \U000e0041":       `"tag \udb40\udc41"`,
		"grüße, 日本 \U0001f600": "\"grüße, 日本 \U0001f600\"",
	} {
		plain, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		got := SafeJSON(append(plain, '\n'))
		if string(got) != want+"\n" {
			t.Errorf("%q is written as %s", text, got)
		}
		var read string
		if err := json.Unmarshal(got, &read); err != nil || read != text {
			t.Errorf("%q is read as %q, %v", text, read, err)
		}
	}
	if b := []byte("{\"a\":[1,\n2]}\n"); !bytes.Equal(SafeJSON(b), b) {
		t.Error("a harmless document is changed")
	}
}
