package complete

import (
	"strings"
	"testing"
)

func TestALineIsTakenApartAsBashDoes(t *testing.T) {
	for _, test := range []struct {
		line, words string
		last        lastWord
	}{
		{"otrpipe ", "otrpipe", lastWord{}},
		{"otrpipe con", "otrpipe", lastWord{"con", "con", 0}},
		{"otrpipe --contact my\\ na", "otrpipe,--contact", lastWord{"my\\ na", "my na", 0}},
		{"otrpipe 'a b' \"c \\\" \\d", "otrpipe,a b", lastWord{"\"c \\\" \\d", "c \" \\d", '"'}},
		{"otrpipe 'a\\", "otrpipe", lastWord{"'a\\", "a\\", '\''}},
		{"otrpipe 'a'b\"c\"", "otrpipe", lastWord{"'a'b\"c\"", "abc", 0}},
		{"otrpipe <file --q", "otrpipe", lastWord{"--q", "--q", 0}},
		{"otrpipe a 2> file >> other b ", "otrpipe,a,b", lastWord{}},
		{"otrpipe 2 >x '' y", "otrpipe,2,", lastWord{"y", "y", 0}},
		{"A=1 b_2='x y' otrpipe c=d e", "otrpipe,c=d", lastWord{"e", "e", 0}},
		{"otrpipe a\\", "otrpipe", lastWord{"a\\", "a", 0}},
	} {
		words, last := splitCommand(test.line)
		if got := strings.Join(texts(words), ","); got != test.words || last != test.last {
			t.Errorf("%s: words %q, last %q; want %q, %q", test.line, got, last, test.words, test.last)
		}
	}
}

func TestWhatIsQuotedIsReadAsItWas(t *testing.T) {
	for _, name := range []string{"bob", "bob@example.org", "my friend", "a'b", `a"b`, `$(touch x)`, "`id`", "a;b|c&d", "#x", "~x", "a!b", `a\b`, "é*"} {
		for _, quote := range []byte{0, '\'', '"'} {
			quoted, ok := quotedAs(quote, name)
			if !ok {
				continue
			}
			line := "otrpipe " + quoted
			if quote != 0 {
				line = "otrpipe " + string(quote) + quoted
			}
			if words, last := splitLine(line); len(words) != 1 || last.text != name || last.quote != quote {
				t.Errorf("%q in quotes %q is %s, which is read as %q", name, quote, quoted, last.text)
			}
		}
		if _, ok := quotedAs(0, name); !ok {
			t.Errorf("%q cannot be written without quotes", name)
		}
	}
}

func FuzzSplitLine(f *testing.F) {
	f.Add("otrpipe --contact my\\ na", "a b")
	f.Add("otrpipe 'a\\ <", "$`\"")
	f.Fuzz(func(t *testing.T, line, name string) {
		if _, last := splitLine(line); !strings.HasSuffix(line, last.raw) {
			t.Fatalf("%q is no end of %q", last.raw, line)
		}
		quoted, _ := quotedAs(0, name)
		if _, last := splitLine("x " + quoted); last.text != name {
			t.Fatalf("%q is read as %q", quoted, last.text)
		}
	})
}
