package terminal

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
		{"<!-- no > text -->seen", "<!-- no > text -->seen"},
		{"use #include <stdio.h> and a<b && c>d &amp; <Enter>", "use #include <stdio.h> and a<b && c>d & <Enter>"},
		{"vector<int> v; if (a<b>c) <no-reply@example.com> <script>x</script>", "vector<int> v; if (ac) <no-reply@example.com> <script>x</script>"},
		{"<a href=http://example.com/ title = 'x'>y</a >", "y"},
		{"<b only> <i disabled> </ b> < b> <b", "<b only> <i disabled> </ b> < b> <b"},
		{"<STRONG>so</Strong><hr /><img src=\"x\"/>it is", "so it is"},
		{"?a=1&copy=2&amp=3 AT&T &nosuch; &ampere; &#x26; &semi;", "?a=1&copy=2&amp=3 AT&T &nosuch; &ampere; & ;"},
		{"<unfinished tag", "<unfinished tag"},
		{"<a href=\"http://example.com\">link</a>", "link"},
		{"<", "<"},
		{"hi&#10;otrpipe&#13;&NewLine;&#27;[2J&Tab;&#x2028;", "hi&#10;otrpipe&#13;&NewLine;&#27;[2J&Tab;&#x2028;"},
	} {
		if got := HTMLText(test.html); got != test.text {
			t.Errorf("%q: %q, want %q", test.html, got, test.text)
		}
	}
}

func FuzzHTMLNeverGrowsOrPanics(f *testing.F) {
	f.Add("<b>x</b>&amp;<br")
	f.Fuzz(func(t *testing.T, s string) {
		// An entity is never shorter than what it stands for by more than a
		// few bytes; the blank of an element is shorter than its tag.
		if got := HTMLText(s); len(got) > 2*len(s)+8 {
			t.Errorf("%q became %q", s, got)
		}
	})
}
