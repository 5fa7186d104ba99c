package transfer

import (
	"errors"
	"strings"
	"testing"
	"unicode"
)

// hiding reports whether a character shows nothing, or shows as a space and is another, by
// Unicode's classes. Beside it stand only letters of ASCII, which no joiner and no
// variation selector belongs to.
func hiding(r rune) bool {
	if unicode.Is(unicode.Prepended_Concatenation_Mark, r) || r == ' ' {
		return false // those of class Cf that can be seen
	}
	return r == '\u2800' || unicode.In(r, unicode.Cf, unicode.Zs, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func TestNamesThatHideAreRefused(t *testing.T) {
	var names []string
	for r := rune(0x80); r <= unicode.MaxRune; r++ {
		if hiding(r) && (r < 0xe0100 || r%16 == 0) { // of the tags some
			names = append(names, "bo"+string(r)+"b")
		}
	}
	if len(names) < 200 {
		t.Fatalf("only %d names hide", len(names))
	}
	names = append(names, "bob ", " bob", "\u200dbob", "\u0645\u200c", "\u0645\u200d\u200c\u0645", "\ufe0fbob", "\u0301bob", "photo\u202egpj.sh")
	for _, name := range names {
		if err := checkName(name); !errors.Is(err, ErrName) {
			t.Errorf("%+q: %v", name, err)
		}
	}
}

func TestNamesThatCanBeReadAreTaken(t *testing.T) {
	for _, name := range []string{
		"bob.txt", "my file.txt", "é.txt", "e\u0301.txt", "名前", "한글", "বাংলা", "☎", "\u0645\u06cc\u200c\u0631\u0648\u0645", "❤\ufe0f.txt",
		"\u0600.txt", ".bashrc", "...", "a-b", "👩\u200d💻", strings.Repeat("n", 255),
	} {
		if err := checkName(name); err != nil {
			t.Errorf("%+q: %v", name, err)
		}
	}
}

func TestNamesThatLeadElsewhereAreRefused(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "/etc/passwd", "../up", "a/b", "-rf", "esc\x1b[2J", "new\nline", "c1\u009b", "not\xffutf8", "nul\x00", "tab\t",
		".a" + partSuffix, ".a" + strings.ToUpper(partSuffix), strings.Repeat("n", 256),
	} {
		if err := checkName(name); !errors.Is(err, ErrName) {
			t.Errorf("%+q: %v", name, err)
		}
	}
}

func TestEveryNameLeavesRoomForItsHiddenOne(t *testing.T) {
	for _, n := range []int{1, 240, 241, 242, 255} {
		name := strings.Repeat("n", n)
		for _, other := range []string{partName(name), asideName(name, 1), asideName(name, 1000)} {
			if len(other) > maxName || checkPart(other) != nil || other == name {
				t.Errorf("%d bytes: %q", n, other)
			}
		}
	}
	if partName(strings.Repeat("n", 250)) == partName(strings.Repeat("n", 251)) {
		t.Error("two long names share their hidden one")
	}
}
