package toolkit

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"otrpipe/otr/wire"
)

func TestALoggedKeyIsFoundForItsMessage(t *testing.T) {
	m, key := madeMessage(t, wire.Plaintext{Text: []byte("attack at dawn")})
	log := KeyLogHeader + "\n\n"
	for _, k := range []LoggedKey{
		{Version: 3, Sender: 0x100, Receiver: 0x101, First: 3, Second: 4, Key: make([]byte, AESKeyLen)},
		{Version: 3, Sender: 0x100, Receiver: 0x101, First: 3, Second: 4, Key: key},
		{Version: 4, Sender: 0x100, Receiver: 0x101, First: 3, Second: 4, Key: make([]byte, Key4Len)},
	} {
		if s := fmt.Sprintf("%v %+v", k, k); strings.Contains(s, "0") {
			t.Errorf("the key is printed: %s", s)
		}
		log += string(k.Append(nil))
	}
	l, err := ReadKeyLog(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	found, ok := l.Find(m)
	if !ok || string(found) != string(key) {
		t.Errorf("found %x, %v", found, ok)
	}
	other, _ := madeMessage(t, wire.Plaintext{Text: []byte("x")})
	other.Raw[len(other.Raw)-60] ^= 1
	if _, ok := l.Find(other); ok {
		t.Error("a key was found for a damaged message")
	}
	if _, ok := l.Find(reparse(t, []byte("?OTRv34?"))); ok {
		t.Error("a key was found for a query")
	}
	if s := fmt.Sprintf("%v %+v", l, *l); strings.Count(s, "(…)") != 2 {
		t.Errorf("the log is printed: %s", s)
	}
}

func TestAKeyLogIsReadWholeOrRefusedWithItsLine(t *testing.T) {
	good := string(LoggedKey{Version: 3, Sender: 0x100, Receiver: 0x101, First: 1, Second: 1, Key: make([]byte, AESKeyLen)}.Append(nil))
	for log, want := range map[string]string{
		"":                                   "no key",
		"hello":                              "line 1",
		good + "\n" + good[:30]:              "line 3",
		strings.Replace(good, "aes", "x", 1): "aes 2",
		strings.Replace(good, "aes 3", "aes 4", 1): "aes 2",
		strings.Replace(good, " 1 1 ", " 1 x ", 1): "word 6",
		good[:len(good)-3]:                         "15 bytes",
		good[:len(good)-2]:                         "hexadecimal",
		strings.Repeat("x", 2000):                  "too long",
	} {
		if _, err := ReadKeyLog(strings.NewReader(log)); !errors.Is(err, ErrKeyLog) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v", log, err)
		}
	}
}

func FuzzKeyLog(f *testing.F) {
	f.Add(string(LoggedKey{Version: 4, Sender: 0x100, Receiver: 0x101, First: 1, Second: 1, Key: make([]byte, Key4Len)}.Append(nil)))
	f.Fuzz(func(t *testing.T, log string) {
		if l, err := ReadKeyLog(strings.NewReader(log)); (l == nil) == (err == nil) {
			t.Fatal("neither a log nor an error")
		}
	})
}
