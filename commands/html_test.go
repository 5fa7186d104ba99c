package commands

import "testing"

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
		{"<!-- no > text -->seen", "seen"},
		{"<unfinished tag", "<unfinished tag"},
		{"<a href=\"http://example.com\">link</a>", "link"},
		{"<", "<"},
	} {
		if got := plainText(test.html); got != test.text {
			t.Errorf("%q: %q, want %q", test.html, got, test.text)
		}
	}
}

func FuzzHTMLNeverGrowsOrPanics(f *testing.F) {
	f.Add("<b>x</b>&amp;<br")
	f.Fuzz(func(t *testing.T, s string) {
		// An entity is never shorter than what it stands for by more than a
		// few bytes; the blank of an element is shorter than its tag.
		if got := plainText(s); len(got) > 2*len(s)+8 {
			t.Errorf("%q became %q", s, got)
		}
	})
}
