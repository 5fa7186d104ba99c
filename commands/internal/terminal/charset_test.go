package terminal

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/creack/pty"
)

func TestTheLocaleNamesTheCharsetOfTheTerminal(t *testing.T) {
	for _, test := range []struct{ all, ctype, lang, want string }{
		{"", "", "", "UTF-8"},
		{"", "", "C", "UTF-8"},
		{"", "", "de_DE", "UTF-8"},
		{"", "", "de_DE.UTF-8", "UTF-8"},
		{"", "", "de_DE.utf8@euro", "UTF-8"},
		{"", "", "de_DE@euro", "ISO-8859-15"},
		{"", "", "de_DE.ISO-8859-15@euro", "ISO-8859-15"},
		{"", "de_DE.iso885915", "de_DE.UTF-8", "iso885915"},
		{"C.UTF-8", "de_DE.ISO-8859-15", "ru_RU.KOI8-R", "UTF-8"},
		{"ru_RU.KOI8-R", "", "", "KOI8-R"},
		{"", "", "hy_AM.ARMSCII-8", "ARMSCII-8"},
	} {
		variables := map[string]string{"LC_ALL": test.all, "LC_CTYPE": test.ctype, "LANG": test.lang}
		c := charsetOf(func(name string) string { return variables[name] })
		if c.String() != test.want || c.UTF8() != (test.want == "UTF-8") {
			t.Errorf("%+v: %v, want %s", test, c, test.want)
		}
	}
}

func TestWhatATerminalSendsAndShowsIsOfItsCharset(t *testing.T) {
	for _, test := range []struct{ locale, text, bytes string }{
		{"de_DE.UTF-8", "Köln €", "Köln €"},
		{"de_DE.ISO-8859-1", "Köln", "K\xf6ln"},
		{"de_DE.ISO8859-15", "Köln € ÿ", "K\xf6ln \xa4 \xff"},
		{"pl_PL.ISO-8859-2", "Łódź", "\xa3\xf3d\xbc"},
		{"ru_RU.KOI8-R", "Привет", "\xf0\xd2\xc9\xd7\xc5\xd4"},
		{"bg_BG.CP1251", "Привет", "\xcf\xf0\xe8\xe2\xe5\xf2"},
		{"ja_JP.eucJP", "日本", "\xc6\xfc\xcb\xdc"},
		{"ja_JP.SJIS", "表", "\x95\x5c"},
		{"zh_CN.GB18030", "你好😀", "\xc4\xe3\xba\xc3\x94\x39\xfc\x36"},
		{"zh_TW.Big5", "你", "\xa7\x41"},
		{"ko_KR.eucKR", "한", "\xc7\xd1"},
	} {
		c := CharsetOf(test.locale)
		if got := c.Encode(test.text); got != test.bytes {
			t.Errorf("%s: %q is shown as %q", test.locale, test.text, got)
		}
		if got := c.Decode([]byte(test.bytes)); string(got) != test.text {
			t.Errorf("%s: %q is read as %q", test.locale, test.bytes, got)
		}
		// However it is cut.
		d, cut := c.NewDecoder(), []byte(nil)
		for _, b := range []byte(test.bytes) {
			cut = d.Append(cut, []byte{b})
		}
		if string(cut) != test.text {
			t.Errorf("%s byte by byte: %q is read as %q", test.locale, test.bytes, cut)
		}
		var written bytes.Buffer
		w := c.Writer(&written)
		for _, b := range []byte(test.text) {
			if n, err := w.Write([]byte{b}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if written.String() != test.bytes {
			t.Errorf("%s byte by byte: %q is written as %q", test.locale, test.text, written.String())
		}
	}
}

// What a charset does not have is shown as something like it or as a question mark, and
// nothing that anyone writes becomes a control character of a terminal with another charset.
func TestWhatATerminalCannotShowIsMarked(t *testing.T) {
	for _, test := range []struct{ locale, text, want string }{
		{"de_DE.ISO-8859-15", "你 “so” – it is…", `? "so" - it is...`},
		{"de_DE.ISO-8859-1", "5 €", "5 ?"},
		{"ru_RU.KOI8-R", "б⌡31m", "\xc2?31m"}, // UTF-8 terminals take c2 9b for CSI
		{"en_US.CP1252", "\u2039", "?"},
		{"hy_AM.ARMSCII-8", "aö", "a?"},
		{"de_DE.ISO-8859-15", "\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"},
		{"de_DE.ISO-8859-15", "\xff", "?"},
	} {
		if got := CharsetOf(test.locale).Encode(test.text); got != test.want {
			t.Errorf("%s: %q is shown as %q, want %q", test.locale, test.text, got, test.want)
		}
	}
	for name, e := range charsets() {
		if testing.Short() && name != "koi8r" && name != "sjis" {
			continue
		}
		c := &Charset{name: name, encoding: e}
		c.single = CharsetOf("x." + name).single
		for r := rune(0x80); r < 0x3000; r++ {
			shown := c.Encode(string(r))
			if c.single && (len(shown) != 1 || shown[0] >= 0x80 && shown[0] < 0xa0) && lookalikes[r] == "" {
				t.Fatalf("%s shows %U as %q", name, r, shown)
			}
			if strings.IndexFunc(shown, func(r rune) bool { return r < ' ' }) >= 0 {
				t.Fatalf("%s shows %U as %q", name, r, shown)
			}
		}
	}
}

func TestWhatIsNoCharacterIsNotTakenForOne(t *testing.T) {
	for locale, sent := range map[string]string{
		"ja_JP.eucJP": "a\xffb", "zh_TW.Big5": "a\xff\xffb", "ko_KR.eucKR": "a\x80b", "ja_JP.SJIS": "a\xfdb",
	} {
		got := CharsetOf(locale).Decode([]byte(sent))
		if bytes.IndexByte(got, 0xff) < 0 || bytes.ContainsRune(got, utf8.RuneError) && !bytes.Contains(got, []byte{0xff}) || got[0] != 'a' {
			t.Errorf("%s: %q is read as %q", locale, sent, got)
		}
	}
	if got := CharsetOf("ja_JP.eucJP").Decode([]byte("\xc6")); string(got) != "\xff" {
		t.Errorf("half a character is read as %q", got)
	}
}

// The streams of a terminal are UTF-8 for the program, those of a file are as they are.
func TestStreamsOfATerminalAreOfItsCharset(t *testing.T) {
	before := locale
	t.Cleanup(func() { locale = before })
	locale = func() *Charset { return CharsetOf("de_DE.ISO-8859-15") }
	control, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	defer tty.Close()
	if _, err := control.WriteString("K\xf6ln\n"); err != nil {
		t.Fatal(err)
	}
	var typed [64]byte
	if n, err := io.ReadAtLeast(NewReader(tty), typed[:], 6); err != nil || string(typed[:n]) != "Köln\n" {
		t.Errorf("read %q, %v", typed[:n], err)
	}
	var shown [64]byte
	n, err := io.ReadAtLeast(control, shown[:], 6) // the echo
	if err != nil {
		t.Fatal(n, err)
	}
	for _, w := range []io.Writer{Output(tty), Text(tty)} {
		if _, err := io.WriteString(w, "Köln\n"); err != nil {
			t.Fatal(err)
		}
		if n, err := io.ReadAtLeast(control, shown[:], 6); err != nil || string(shown[:n]) != "K\xf6ln\r\n" {
			t.Errorf("shown %q, %v", shown[:n], err)
		}
	}
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, w := range []io.Writer{Output(f), Text(f)} {
		if _, err := io.WriteString(w, "Köln"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(NewReader(f)); err != nil || string(text) != "KölnKöln" {
		t.Errorf("the file has %q, %v", text, err)
	}
}
