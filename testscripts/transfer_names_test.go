package testscripts

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
)

// hides reports whether a character shows nothing, or shows as a space and is another, by
// Unicode's classes. Beside it stand only letters of ASCII, which no joiner and no
// variation selector belongs to.
func hides(r rune) bool {
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) || r == ' ' {
		return false // those of class Cf that can be seen
	}
	return r == '\u2800' || unicode.In(r, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// The receiver of a file looks at its name by the same rule as the sender, whoever that is: a
// name with a character that hides is refused, and one that can be read is taken.
func TestTheReceiverRefusesNamesThatHide(t *testing.T) {
	bash, err := findProgram("bash")
	if err != nil {
		t.Skip("bash is not installed: apt-get install bash")
	}
	var names []string
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if hides(r) && (r < 0xe0100 || r%16 == 0) { // of the tags some
			names = append(names, "bo"+string(r)+"b")
		}
	}
	names = append(names, "bob ", " bob", "\u200dbob", "\u0645\u200c", "\u0645\u200d\u200c\u0645", "\ufe0fbob")
	hidden := len(names)
	if hidden < 200 {
		t.Fatalf("only %d names hide", hidden)
	}
	names = append(names, "bob.txt", "my file.txt", "é.txt", "e\u0301.txt", "名前", "한글", "বাংলা", "☎", "\u0645\u06cc\u200c\u0631\u0648\u0645", "❤\ufe0f.txt", "\u0600.txt")

	script, err := filepath.Abs("../scripts/otr-receive")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bash, "-c", `. "${0%/*}/transfer.sh"; while IFS= read -r -d '' name; do objection "$name"; echo "="; done`, script)
	cmd.Stdin = strings.NewReader(strings.Join(names, "\x00") + "\x00")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	answers := strings.SplitAfter(string(out), "=\n")
	if len(answers) != len(names)+1 {
		t.Fatalf("%d answers to %d names", len(answers)-1, len(names))
	}
	wrong := 0
	for i, name := range names {
		if refused := strings.Contains(answers[i], "invisible characters"); refused != (i < hidden) {
			if wrong++; wrong < 20 {
				t.Errorf("%s: refused %v: %s", fmt.Sprintf("%+q", name), refused, answers[i])
			}
		}
	}
}
