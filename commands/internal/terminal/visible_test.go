package terminal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestWhatATerminalMustNotSeeIsMadeVisible(t *testing.T) {
	for _, test := range []struct{ text, visible string }{
		{"hello, wörld ✓", "hello, wörld ✓"},
		{"", ""},
		{"two\nlines\r\n", `two\nlines\r\n`},
		{"\x1b[31mred\x1b]0;title\a", `\x1b[31mred\x1b]0;title\a`},
		{"tab\tback\bdel\x7fnul\x00", `tab\tback\bdel\x7fnul\x00`},
		{"C1 \u009b31m", `C1 \u009b31m`},
		{"not UTF-8 \xff\xfe\x9b", `not UTF-8 \xff\xfe\x9b`},
		{"\u202egnp.exe\u2066", `\u202egnp.exe\u2066`},
		{"\u2028", `\u2028`},
		{"zero\u200bwidth\ufeff soft\u00adhyphen a\u2060b\u034f\u3164", `zero\u200bwidth\ufeff soft\u00adhyphen a\u2060b\u034f\u3164`},
		{"pay\u200dpal a\ufe0f b\u200c \U000e0041", `pay\u200dpal a\ufe0f b\u200c \U000e0041`},
		{"👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🏴\U000e0067\U000e0062\U000e007f 葛\U000e0100", "👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3 🏴\U000e0067\U000e0062\U000e007f 葛\U000e0100"},
		{"می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"},
		{"👩\u200d\u200d ❤\ufe0f\ufe0f می\u200c\u200c", "👩\u200d" + `\u200d` + " ❤\ufe0f" + `\ufe0f` + " می\u200c" + `\u200c`},
	} {
		if got := Visible(test.text); got != test.visible {
			t.Errorf("%q: %s, want %s", test.text, got, test.visible)
		}
	}
}

func TestAFilterKeepsLinesAndTabs(t *testing.T) {
	var out bytes.Buffer
	f := NewFilter(&out)
	if n, err := f.Write([]byte("a\tb\n\x1b[2J\r\n")); n != 10 || err != nil {
		t.Fatal(n, err)
	}
	if got := out.String(); got != "a\tb\n\\x1b[2J\\r\n" {
		t.Errorf("written %q", got)
	}
}

func TestAFilterSeesTheCharacterBefore(t *testing.T) {
	var out bytes.Buffer
	f := NewFilter(&out)
	for _, part := range []string{"👩", "\u200d", "🚀 a", "\u200d", "\u200b", "b"} {
		if _, err := f.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := out.String(), "👩\u200d🚀 a"+`\u200d\u200b`+"b"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

func TestACharacterCutInTwoIsStillOne(t *testing.T) {
	var out bytes.Buffer
	f := NewFilter(&out)
	for _, b := range []byte("ß→𝄞\xc3x") {
		if _, err := f.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); got != `ß→𝄞\xc3x` {
		t.Errorf("written %q", got)
	}
}

func TestIntoAFileAPeersBytesGoUnchanged(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text := "\x1b[31m\xff\n"
	if _, err := Output(f).Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(f.Name()); string(got) != text {
		t.Errorf("written %q", got)
	}
}

func FuzzNothingHiddenComesThrough(f *testing.F) {
	f.Add("\x1b[0m\u202e\xff", 1)
	f.Fuzz(func(t *testing.T, s string, cut int) {
		var out bytes.Buffer
		filter := NewFilter(&out)
		cut = min(max(cut, 0), len(s))
		for _, part := range []string{s[:cut], s[cut:]} {
			if _, err := filter.Write([]byte(part)); err != nil {
				t.Fatal(err)
			}
		}
		for _, got := range []string{Visible(s), out.String()} {
			if !utf8.ValidString(got) {
				t.Fatalf("%q is not UTF-8", got)
			}
			for _, r := range got {
				if unicode.IsControl(r) && (r != '\n' && r != '\t' || got != out.String()) || unicode.Is(unicode.Bidi_Control, r) {
					t.Fatalf("%q lets %q through", got, r)
				}
			}
		}
	})
}
