//go:build unix

package peers

import (
	"fmt"
	"strings"
)

// texts are twenty messages that have been trouble somewhere.
func texts(from string) []string {
	list := []string{
		"hello from " + from,
		"Grüße, 你好, 🧅 and \u202eright to left",
		"<b>bold</b> &amp; <a href=\"http://example.com/?a=1&b=2\">a link</a>",
		strings.Repeat("0123456789 ten kilobytes of text. ", 300),
		"two\nlines",
		"\r\n\tline ends and tabs\r\n\n",
		"",
		" ",
		"?OTR",
		"a comma, at a fragment's end,",
		"ends with a full stop.",
		"\"quotes\" and \\backslashes\\n",
		"%s %d %n",
		"invalid UTF-8: \xff\xfe\x80",
		"\x01\x1b[31mcontrol characters\x7f",
		strings.Repeat("x", 255),
		strings.Repeat("y", 256),
		strings.Repeat("z", 257),
		"/me waves",
	}
	return append(list, fmt.Sprintf("%s sent %d", from, len(list)+1))
}

// exchange has both ends say all the texts: one after the other, then all of
// one end's before the other has read any, then both ends' crossing.
func (k *talk) exchange() {
	k.t.Helper()
	said := [2][]string{texts(k.ends[0].Name()), texts(k.ends[1].Name())}
	for n := range said[0] {
		for i := range k.ends {
			k.send(i, k.ends[i].Say(said[i][n]))
			k.settle()
		}
	}
	k.mustHear(0, said[1])
	k.mustHear(1, said[0])

	for i := range k.ends {
		k.sayAll(i, said[i])
		k.settle()
		k.mustHear(1-i, said[i])
	}

	for range 3 {
		k.sayAll(0, said[0])
		k.sayAll(1, said[1])
		k.settle()
		k.mustHear(0, said[1])
		k.mustHear(1, said[0])
	}
}

func (k *talk) sayAll(i int, texts []string) {
	for _, text := range texts {
		k.send(i, k.ends[i].Say(text))
	}
}
