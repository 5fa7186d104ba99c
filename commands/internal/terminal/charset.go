package terminal

import (
	"io"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/transform"
)

// A Charset is the character encoding of a terminal. The zero Charset is UTF-8.
type Charset struct {
	name     string            // of the locale; "": UTF-8
	encoding encoding.Encoding // nil: UTF-8, or an unknown charset, of which only ASCII is supported
	single   bool              // each character is one byte
}

// Locale returns the terminal's charset, which the first of LC_ALL, LC_CTYPE and LANG that is
// set determines. A locale that names no charset means UTF-8, or ISO-8859-15 if it has the
// modifier euro.
func Locale() *Charset { return locale() }

var locale = sync.OnceValue(func() *Charset { return charsetOf(os.Getenv) })

func charsetOf(variable func(string) string) *Charset {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := variable(name); value != "" {
			return CharsetOf(value)
		}
	}
	return new(Charset)
}

// CharsetOf returns the charset of a locale such as de_DE.ISO-8859-15@euro.
func CharsetOf(locale string) *Charset {
	locale, modifier, _ := strings.Cut(locale, "@")
	_, name, named := strings.Cut(locale, ".")
	if !named && modifier == "euro" {
		name = "ISO-8859-15"
	}
	short := shortName(name)
	if short == "" || short == "utf8" {
		return new(Charset)
	}
	e := charsets()[short]
	_, single := e.(*charmap.Charmap)
	return &Charset{name: name, encoding: e, single: single}
}

// shortName returns a charset's name without the parts that are written differently in different
// locales.
func shortName(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// charsets maps the short names that a locale can use to charsets. All of them contain ASCII
// unchanged, in which keys and the terminal's sequences are written.
var charsets = sync.OnceValue(func() map[string]encoding.Encoding {
	all := map[string]encoding.Encoding{
		"eucjp": japanese.EUCJP, "ujis": japanese.EUCJP, "sjis": japanese.ShiftJIS, "shiftjis": japanese.ShiftJIS,
		"euckr": korean.EUCKR, "gb2312": simplifiedchinese.GBK, "euccn": simplifiedchinese.GBK,
		"gbk": simplifiedchinese.GBK, "gb18030": simplifiedchinese.GB18030, "big5": traditionalchinese.Big5,
		"tis620": charmap.Windows874,
	}
	for _, e := range charmap.All {
		page, ok := e.(*charmap.Charmap)
		if !ok || !hasASCII(page) {
			continue
		}
		name := shortName(page.String())
		all[name] = page
		if number, ok := strings.CutPrefix(name, "windows"); ok {
			all["cp"+number] = page
		} else if number, ok := strings.CutPrefix(name, "ibmcodepage"); ok {
			all["cp"+number], all["ibm"+number] = page, page
		}
	}
	return all
})

func hasASCII(page *charmap.Charmap) bool {
	for b := range byte(utf8.RuneSelf) {
		if page.DecodeByte(b) != rune(b) {
			return false
		}
	}
	return true
}

// UTF8 reports whether this is UTF-8.
func (c *Charset) UTF8() bool { return c.name == "" }

// known reports whether the charset can be read.
func (c *Charset) known() bool { return c.UTF8() || c.encoding != nil }

func (c *Charset) String() string {
	if c.UTF8() {
		return "UTF-8"
	}
	return c.name
}

// A Decoder converts a terminal's input to UTF-8, however the input is split. Bytes that are no
// character of the charset become 0xff, which never occurs in UTF-8.
type Decoder struct {
	from transform.Transformer // nil: no conversion is needed
	part []byte                // the beginning of a character whose rest has not arrived
}

// NewDecoder returns a Decoder for one terminal.
func (c *Charset) NewDecoder() *Decoder {
	if c.encoding == nil {
		return new(Decoder)
	}
	return &Decoder{from: c.encoding.NewDecoder()}
}

// Append appends the decoded src to dst. src may be part of a secret, so Append keeps nothing of
// it but the beginning of an unfinished character.
func (d *Decoder) Append(dst, src []byte) []byte {
	if d.from == nil {
		return append(dst, src...)
	}
	all := append(append([]byte(nil), d.part...), src...)
	var decoded [512]byte
	defer clear(all)
	defer clear(decoded[:])
	rest := all
	for len(rest) > 0 {
		n, read, err := d.from.Transform(decoded[:], rest, false)
		for text := decoded[:n]; len(text) > 0; {
			r, size := utf8.DecodeRune(text)
			if r == utf8.RuneError { // the decoder could not read this
				dst = append(dst, 0xff)
			} else {
				dst = append(dst, text[:size]...)
			}
			text = text[size:]
		}
		rest = rest[read:]
		if err != nil && err != transform.ErrShortDst {
			break // the last character is not complete
		}
	}
	d.part = append(d.part[:0], rest...)
	return dst
}

// Decode decodes the whole input of a terminal; see Decoder.
func (c *Charset) Decode(b []byte) []byte {
	d := c.NewDecoder()
	decoded := d.Append(nil, b)
	if len(d.part) > 0 {
		clear(d.part)
		decoded = append(decoded, 0xff)
	}
	return decoded
}

// lookalikes maps common characters that few charsets have to similar ones.
var lookalikes = map[rune]string{
	'…': "...", '‘': "'", '’': "'", '‚': ",", '“': `"`, '”': `"`, '„': `"`, '–': "-", '—': "-", '•': "*",
}

// Shown returns s as the terminal can show it. A character that its charset lacks becomes a
// similar one or a question mark.
func (c *Charset) Shown(s string) string {
	if c.UTF8() {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], string(utf8.RuneError)):
			b.WriteByte('?')
		case c.has(r):
			b.WriteRune(r)
		case lookalikes[r] != "":
			b.WriteString(lookalikes[r])
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// has reports whether the charset has a character. In single-byte charsets, the bytes 0x80 to
// 0x9f do not count, because a terminal whose charset differs from the locale's may treat them
// as control characters.
func (c *Charset) has(r rune) bool {
	if r < utf8.RuneSelf {
		return true
	}
	b := c.encoded(r)
	return len(b) > 0 && !(c.single && b[0] < 0xa0)
}

// encoded returns a character in the terminal's charset; nil if the charset lacks it.
func (c *Charset) encoded(r rune) []byte {
	if r < utf8.RuneSelf {
		return []byte{byte(r)}
	}
	if c.encoding == nil {
		return nil
	}
	b, err := c.encoding.NewEncoder().Bytes([]byte(string(r)))
	if err != nil {
		return nil
	}
	return b
}

// Encode returns s, which is UTF-8, as bytes for the terminal; see Shown.
func (c *Charset) Encode(s string) string {
	if c.UTF8() {
		return s
	}
	var b strings.Builder
	for _, r := range c.Shown(s) {
		b.Write(c.encoded(r))
	}
	return b.String()
}

// Writer returns a writer of text for the terminal w, whose charset it has.
func (c *Charset) Writer(w io.Writer) io.Writer {
	if c.UTF8() {
		return w
	}
	return &encoder{charset: c, w: w}
}

// An encoder writes text for a terminal that is not UTF-8.
type encoder struct {
	charset *Charset
	w       io.Writer
	part    []byte // the beginning of a character whose rest has not arrived
}

func (e *encoder) Write(p []byte) (int, error) {
	text := append(e.part, p...)
	whole := len(text)
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if last := text[len(text)-n:]; utf8.RuneStart(last[0]) {
			if !utf8.FullRune(last) {
				whole = len(text) - n
			}
			break
		}
	}
	e.part = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(e.w, e.charset.Encode(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}
