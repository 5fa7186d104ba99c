package terminal

import (
	"strings"
	"testing"
	"time"
)

func TestHTMLBecomesText(t *testing.T) {
	for _, test := range []struct{ html, text string }{
		{"plain", "plain"},
		{"", ""},
		{"<b>bold</b> and <i class='x>y'>odd</i>", "bold and odd"},
		{"one<br>two<BR/>three", "one two three"},
		{"<p>one</p><p>two</p>", "one two"},
		{"<body><font face=\"A > B\">hi</font></body>", "hi"},
		{"a &lt;b&gt; &amp;amp; &#39;c&#x27; &eacute;", "a <b> &amp; 'c' é"},
		{"1 < 2 and 3 > 2", "1 < 2 and 3 > 2"},
		{"a <- b", "a <- b"},
		{"<!-- no > text -->seen", "<!-- no > text -->seen"},
		{"use #include <stdio.h> and a<b && c>d &amp; <Enter>", "use #include <stdio.h> and a<b && c>d & <Enter>"},
		{"vector<int> v; if (a<b>c) <no-reply@example.com> <script>x</script>", "vector<int> v; if (a<b>c) <no-reply@example.com> <script>x</script>"},
		{"cp <a> <b>, vector<i> and </u>", "cp <a> <b>, vector<i> and </u>"},
		{"<b>x <i> y</b>", "x <i> y"},
		{"<b only> <i disabled> </ b> < b> <b", "<b only> <i disabled> </ b> < b> <b"},
		{"<STRONG>so</Strong><hr />it is", "so it is"},
		{"?a=1&copy=2&amp=3 AT&T &nosuch; &ampere; &#x26; &semi;", "?a=1&copy=2&amp=3 AT&T &nosuch; &ampere; & ;"},
		{"<unfinished tag", "<unfinished tag"},
		{"<", "<"},
		{"hi&#10;otrpipe&#13;&NewLine;&#27;[2J&Tab;&#x2028;", "hi&#10;otrpipe&#13;&NewLine;&#27;[2J&Tab;&#x2028;"},
		// No address and no text of an image is lost.
		{"see <a href=\"https://example.com/?a=1&amp;b=2\">here</a>, now", "see here (https://example.com/?a=1&b=2), now"},
		{"<a href=http://example.com/ title = 'x'>y</a >", "y (http://example.com/)"},
		{"<A HREF='https://example.com'>https://example.com</A>", "https://example.com"},
		{"<a href='mailto:a@example.com'>a@example.com</a>", "a@example.com"},
		{"<a href='https://evil.example'>https://good.example</a>", "https://good.example (https://evil.example)"},
		{"<a href='https://example.com/x'><b></b></a>!", "https://example.com/x!"},
		{"<a name='x'>y</a>", "y"},
		{"<a href='a'>1<a href='b'>2</a></a>", "12 (b) (a)"},
		{"<a href='x\ny\x1b'>z</a>", "z (x\\ny\\x1b)"},
		{"hi <img src='s.png' alt=':)'/> <img src='p.png'> <img src=x alt=''>", "hi :) [image] [image]"},
	} {
		var h HTML
		h.seen.Store(true)
		if got := h.Text(test.html); got != test.text {
			t.Errorf("%q: %q, want %q", test.html, got, test.text)
		}
	}
}

func TestTextStaysUntilThePeerHasSentHTML(t *testing.T) {
	var h HTML
	for _, text := range []string{
		"cp <a> <b>", "vector<i> v", "a &lt; b", "one<br>two", "<img src='x' alt='y'>", "</b>", "if a<b>c", "<script>x</script>", "trailing ",
	} {
		if got := h.Text(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
		if got := h.Escape(text); got != text {
			t.Errorf("%q is sent as %q", text, got)
		}
	}
	if got := h.Text("<FONT COLOR='red'>now</FONT> &lt;b&gt;"); got != "now <b>" {
		t.Errorf("the first HTML is %q", got)
	}
	if got := h.Text("a &lt; b<br>c"); got != "a < b c" {
		t.Errorf("after it %q", got)
	}
	if got := h.Escape("a < b && \"c\" <b>&amp;</b>"); got != "a &lt; b &amp;&amp; \"c\" &lt;b&gt;&amp;amp;&lt;/b&gt;" {
		t.Errorf("it is sent %q", got)
	}
	h.Forget()
	if got := h.Text("a &lt; b"); got != "a &lt; b" {
		t.Errorf("of another peer %q", got)
	}
}

func TestAMessageOfUnfinishedTagsIsReadInLinearTime(t *testing.T) {
	var h HTML
	h.seen.Store(true)
	short, long := strings.Repeat("<a b=\"", 2000), strings.Repeat("<a b=\"", 20000)
	begun := time.Now()
	h.Text(short)
	took := time.Since(begun)
	begun = time.Now()
	if h.Text(long) != long {
		t.Error("it was changed")
	}
	if again := time.Since(begun); again > 50*took+time.Second {
		t.Errorf("%d bytes took %v, %d bytes %v", len(short), took, len(long), again)
	}
}

func FuzzHTML(f *testing.F) {
	f.Add("<b>x</b>&amp;<br>")
	f.Add("<a href='&lt;'>x</a><img alt=y>")
	f.Fuzz(func(t *testing.T, s string) {
		var h HTML
		h.seen.Store(true)
		text := h.Text(s)
		// An entity is never shorter than what it stands for by more than a few
		// bytes; an invisible character of an address becomes an escape.
		if len(text) > 12*len(s)+8 {
			t.Errorf("%q became %q", s, text)
		}
		if strings.Count(text, "\n") > strings.Count(s, "\n") {
			t.Errorf("%q has more lines in %q", s, text)
		}
		if back := h.Text(h.Escape(s)); back != strings.TrimRight(s, " ") {
			t.Errorf("%q was typed, and is shown as %q", s, back)
		}
	})
}
