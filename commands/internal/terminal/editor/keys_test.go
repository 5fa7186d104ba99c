package editor

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"otrpipe/commands/internal/terminal"
)

// pressed names the keys that a decoder makes of b; in the end nothing else
// comes for a while.
func pressed(d *decoder, b string) string {
	d.feed([]byte(b))
	var all []string
	for _, wait := range []bool{false, true} {
		for k, ok := d.next(wait); ok; k, ok = d.next(wait) {
			switch k.code {
			case keyRune:
				all = append(all, string(k.r))
			case keyPaste:
				all = append(all, fmt.Sprintf("paste %q", k.text))
			default:
				all = append(all, fmt.Sprint(int(k.code)))
			}
		}
	}
	return strings.Join(all, " ")
}

// TestAPastedTextWhoseMarkIsLateIsStillPasted splits the mark at each byte. On a slow line, the
// rest of it may come after the time that a key's sequence may take.
func TestAPastedTextWhoseMarkIsLateIsStillPasted(t *testing.T) {
	for n := len("\x1b[") + 1; n < len(pasteBegin); n++ {
		var d decoder
		if got := pressed(&d, pasteBegin[:n]); got != "" {
			t.Errorf("%q alone is the key %s", pasteBegin[:n], got)
		}
		if got, want := pressed(&d, pasteBegin[n:]+"one\rtwo\x1b[201~"), `paste "one\ntwo"`; got != want {
			t.Errorf("%q and later %q: %s, want %s", pasteBegin[:n], pasteBegin[n:], got, want)
		}
	}
}

func TestWhatTerminalsSendBecomesKeys(t *testing.T) {
	is := func(codes ...code) string { return strings.Trim(fmt.Sprint(codes), "[]") }
	for sent, want := range map[string]string{
		"aé你🧅":                       "a é 你 🧅",
		"\r\n":                       is(keyEnter, keyEnter),
		"\x1b[A\x1b[B\x1bOC":         is(keyUp, keyDown, keyRight),
		"\x1b[1~\x1b[4~":             is(keyHome, keyEnd),
		"\x1b[H\x1bOF":               is(keyHome, keyEnd),
		"\x1b[3~\x7f\x08":            is(keyDelete, keyBackspace, keyBackspace),
		"\x1bb\x1bf":                 is(keyWordLeft, keyWordRight),
		"\x1b[1;5D\x1b[1;3C":         is(keyWordLeft, keyWordRight),
		"\x03\x04\x15\x0b":           is(keyInterrupt, keyEOF, keyKillStart, keyKillEnd),
		"\x1b\rx":                    is(keyNewline) + " x",
		"\x1b":                       is(keyNone),
		"\x1b[12;34;56zx":            is(keyNone) + " x",
		"\x1b]x":                     is(keyNone) + " x",
		"\x1b\x1b[A":                 is(keyNone, keyUp),
		"\x1b\x1b[200~a\rb\x1b[201~": is(keyNone) + ` paste "a\nb"`,
		"\x1b[\x1b[200~a\x1b[201~":   is(keyNone) + ` paste "a"`,
		"\x1bO\x1b[200~a\x1b[201~":   is(keyNone) + ` paste "a"`,
		"\x1b[2;\x1b[A":              is(keyNone, keyUp),
		"\x1a":                       is(keySuspend),
		"\x1d\x00\x1c":               is(keyNone, keyNone, keyNone),
		"\xff\xfex":                  is(keyUnreadable, keyUnreadable) + " x",
		"\x1b[":                      is(keyNone),
		"\x1b[200~\x1b[201~x":        `paste "" x`,
		"\x1b[200~a\xffb\x1b[201~x":  is(keyUnreadablePaste) + " x",
		"\x1b[200~a\ufffdb\x1b[201~": "paste \"a\ufffdb\"",
		"\x1b[200~one\r\ntwo\rthree\n\n\x1b[201~": `paste "one\ntwo\nthree"`,
		"\u009bA":                                 is(keyNone) + " A",
		"\x1b[200~a\u009b31mb\x1b[201~":           `paste "a31mb"`,
		"\x1b[200~a\tb\x1b[31m\x03\x00c\x1b[201~": `paste "a\tb[31mc"`,
	} {
		if got := pressed(new(decoder), sent); got != want {
			t.Errorf("%q: %s, want %s", sent, got, want)
		}
		// However it comes: byte by byte nothing but the end is different.
		d := new(decoder)
		var got []string
		for i := range len(sent) {
			d.feed([]byte{sent[i]})
			for k, ok := d.next(false); ok; k, ok = d.next(false) {
				got = append(got, fmt.Sprint(k.code))
			}
		}
		if len(d.unread) > 0 && sent != "\x1b" && sent != "\x1b[" {
			t.Errorf("%q byte by byte: %v, and %q is left", sent, got, d.unread)
		}
	}
}

func TestAPasteTooLongForALineIsNoneAtAll(t *testing.T) {
	d := new(decoder)
	pressed(d, pasteBegin)
	for range 40 {
		if got := pressed(d, strings.Repeat("x", 4096)); got != "" {
			t.Fatalf("keys in the middle of a paste: %.50s", got)
		}
	}
	if len(d.pasted) > maxLine {
		t.Errorf("%d bytes are kept", len(d.pasted))
	}
	if got := pressed(d, pasteEnd+"y"); got != fmt.Sprint(int(keyTooLong))+" y" {
		t.Errorf("%.50s", got)
	}
}

// TestNoCopyOfAPastedSecretIsLeft looks at the memory of a decoder that has moved to larger
// buffers, while a long secret was pasted.
func TestNoCopyOfAPastedSecretIsLeft(t *testing.T) {
	latin := &decoder{charset: terminal.CharsetOf("en_US.ISO-8859-1").NewDecoder()}
	for _, d := range []*decoder{new(decoder), latin} {
		var buffers [][]byte
		note := func() {
			for _, b := range [][]byte{d.unread, d.pasted} {
				if cap(b) > 0 {
					buffers = append(buffers, b[:cap(b)])
				}
			}
		}
		const secret = "sesame "
		d.feed([]byte(secret)) // typed before the program has read it
		note()
		d.feed([]byte(pasteBegin))
		note()
		for range len(secret) {
			if _, ok := d.next(false); !ok {
				t.Fatal("a key is missing")
			}
		}
		var got key
		for range 100 {
			d.feed([]byte(strings.Repeat(secret, 10)))
			note()
			got, _ = d.next(false)
			note()
		}
		d.feed([]byte("\r\n" + secret + pasteEnd))
		note()
		got, _ = d.next(false)
		if want := strings.Repeat(secret, 1000) + "\n" + secret; string(got.text) != want {
			t.Fatalf("pasted %q", got.text)
		}
		for _, b := range buffers {
			if i := bytes.IndexAny(b, secret); i >= 0 {
				t.Fatalf("%q is left", b[i:])
			}
		}
		d.feed([]byte(secret + pasteBegin + secret))
		d.wipe()
		note()
		for _, b := range buffers {
			if i := bytes.IndexAny(b, secret); i >= 0 {
				t.Fatalf("%q is left after all", b[i:])
			}
		}
	}
}

func FuzzKeysAreCharacters(f *testing.F) {
	f.Add([]byte("\x1b[200~a\x1b[201~\x1b[1;5Dé"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		cut = min(max(cut, 0), len(b))
		d := new(decoder)
		for _, part := range [][]byte{b[:cut], b[cut:]} {
			d.feed(part)
			for _, wait := range []bool{false, true} {
				for k, ok := d.next(wait); ok; k, ok = d.next(wait) {
					if k.code == keyRune && (k.r < ' ' || !utf8.ValidRune(k.r)) || !utf8.Valid(k.text) {
						t.Fatalf("%q gave %q and %q", b, k.r, k.text)
					}
				}
			}
		}
		if late := len(d.unread) > 2 && strings.HasPrefix(pasteBegin, string(d.unread)); !d.pasting && !late && len(d.unread) > 0 {
			t.Fatalf("%q is left of %q", d.unread, b)
		}
	})
}
