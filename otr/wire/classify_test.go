package wire

import (
	"bytes"
	"strings"
	"testing"
)

const libotrQuery = "?OTRv23?\n<b>alice@example.com</b> has requested an <a href=\"https://otr.cypherpunks.ca/\">Off-the-Record private conversation</a>.  However, you do not have a plugin to support that.\nSee <a href=\"https://otr.cypherpunks.ca/\">https://otr.cypherpunks.ca/</a> for more information."

func TestLinesAreToldApartByTheirFirstMarker(t *testing.T) {
	tag := string(AppendTag(nil, MakeVersions(3)))
	for line, want := range map[string]Kind{
		"":                       KindPlain,
		"hello":                  KindPlain,
		"?OTR":                   KindPlain,
		"?OT":                    KindPlain,
		"?otrv3?":                KindPlain,
		"what is ?OTR, please":   KindPlain,
		"what is ?OTR| or ?OTR!": KindPlain,
		"?OTRx ?OTR Errors":      KindPlain,
		"?OTRvery nice":          KindPlain,
		"?OTRv":                  KindPlain,
		"hi" + tag:               KindTagged,
		tag + "?OTR":             KindTagged,
		"?OTRv3?":                KindQuery,
		"?OTR?":                  KindQuery,
		"hello ?OTRv3? you":      KindQuery,
		libotrQuery:              KindQuery,
		tag + "?OTRv3?":          KindQuery,
		"?OTR Error: no":         KindError,
		"?OTR Error:":            KindError,
		"oh: ?OTR Error: no":     KindError,
		"?OTR Error: you said ?OTR:AAMD. and ?OTRv3? and ?OTR,1,2,a,": KindError,
		"?OTR:AAMD.":              KindEncoded,
		"?OTR:":                   KindEncoded,
		"take ?OTR:AAMD. this":    KindEncoded,
		"?OTR,1,2,?OTR:AAMD,":     KindFragment,
		"?OTR|100|0,1,2,?OTR:AA,": KindFragment,
		"?OTR|zzz ?OTR:AAMD.":     KindEncoded,
		"?OTR?OTR:AAMD.":          KindQuery,
		"?OTR?OTR":                KindQuery,
		"?OTR ?OTR:AAMD.":         KindEncoded,
		"?OTR\x00?OTRv3?":         KindQuery,
	} {
		if got := Classify([]byte(line)); got != want {
			t.Errorf("%q is %v, want %v", line, got, want)
		}
	}
}

func TestKindsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for k := KindPlain; k <= KindFragment+1; k++ {
		seen[k.String()] = true
	}
	if len(seen) != int(KindFragment)+2 || seen[""] {
		t.Errorf("%v", seen)
	}
}

func TestQueriesInEverySpelling(t *testing.T) {
	for line, want := range map[string]Versions{
		"?OTR?":                 MakeVersions(1),
		"?OTRv2?":               MakeVersions(2),
		"?OTRv23?":              MakeVersions(2, 3),
		"?OTRv32?":              MakeVersions(2, 3),
		"?OTRv4?":               MakeVersions(4),
		"?OTRv43?":              MakeVersions(3, 4),
		"?OTR?v2?":              MakeVersions(1, 2),
		"?OTR?v23?":             MakeVersions(1, 2, 3),
		"?OTRv24x?":             MakeVersions(2, 4),
		"?OTR?v24x?":            MakeVersions(1, 2, 4),
		"?OTR?v?":               MakeVersions(1),
		"?OTRv?":                MakeVersions(),
		"?OTRvx?":               MakeVersions(),
		"?OTRv33?":              MakeVersions(3),
		"?OTRv3":                MakeVersions(3),
		"?OTRv23 shall we":      MakeVersions(2, 3),
		"?OTR?v3":               MakeVersions(1, 3),
		"?OTR?very nice":        MakeVersions(1),
		"?OTR? v3?":             MakeVersions(1),
		"?OTRv3?\r":             MakeVersions(3),
		"hello ?OTRv3? there":   MakeVersions(3),
		"<b>?OTRv3?</b>":        MakeVersions(3),
		"?OTR or ?OTRv34? now?": MakeVersions(3, 4),
		"?OTR?OTRv3?":           MakeVersions(1),
		libotrQuery:             MakeVersions(2, 3),
	} {
		got, ok := ParseQuery([]byte(line))
		if !ok || got != want {
			t.Errorf("%q: %b, %v, want %b", line, got, ok, want)
		}
	}
}

func TestLinesWithoutAQueryOfferNothing(t *testing.T) {
	for _, line := range []string{"", "?OTR", "?OTRv", "?OTRvx", "?OTRvery nice", "?OTRv 3?", "?otrv3?", "?OTR v3?", "?OTR:AAMD.", "?OTR Error: ?OTRv3?", "?OTR|100|0,1,1,?OTRv3?,"} {
		if v, ok := ParseQuery([]byte(line)); ok || v != 0 {
			t.Errorf("%q: %b", line, v)
		}
	}
}

func TestQueriesAreWrittenAndReadBack(t *testing.T) {
	for want, v := range map[string]Versions{
		"?OTRv?": 0, "?OTR?": MakeVersions(1), "?OTRv3?": MakeVersions(3), "?OTRv34?": MakeVersions(4, 3), "?OTR?v23?": MakeVersions(1, 2, 3),
	} {
		if got := AppendQuery(nil, v); string(got) != want {
			t.Errorf("%b: %s, want %s", v, got, want)
		}
	}
	for v := range Versions(1) << maxVersions {
		line := AppendQuery(nil, v)
		if got, ok := ParseQuery(line); !ok || got != v {
			t.Errorf("%b: %s, %b, %v", v, line, got, ok)
		}
	}
}

func TestAVersionSetKnowsItsVersions(t *testing.T) {
	set := MakeVersions(2, 4)
	for v := -1; v < 70; v++ {
		if set.Has(v) != (v == 2 || v == 4) {
			t.Errorf("version %d: %v", v, set.Has(v))
		}
	}
}

func TestAVersionSetReadsLikeAList(t *testing.T) {
	for want, v := range map[string]Versions{
		"none": 0, "4": MakeVersions(4), "3 and 4": MakeVersions(4, 3), "2, 3 and 4": MakeVersions(2, 3, 4),
	} {
		if got := v.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhitespaceTagsAreTheBytesOfTheSpecifications(t *testing.T) {
	base := "\x20\x09\x20\x20\x09\x09\x09\x09" + "\x20\x09\x20\x09\x20\x09\x20\x20"
	for v, want := range map[Versions]string{
		MakeVersions(1):       "\x20\x09\x20\x09\x20\x20\x09\x20",
		MakeVersions(2):       "\x20\x20\x09\x09\x20\x20\x09\x20",
		MakeVersions(3):       "\x20\x20\x09\x09\x20\x20\x09\x09",
		MakeVersions(4):       "\x20\x20\x09\x09\x20\x09\x20\x20",
		MakeVersions(2, 1, 3): "\x20\x09\x20\x09\x20\x20\x09\x20" + "\x20\x20\x09\x09\x20\x20\x09\x20" + "\x20\x20\x09\x09\x20\x20\x09\x09",
	} {
		if got := AppendTag(nil, v); string(got) != base+want {
			t.Errorf("%b: %q, want %q", v, got, base+want)
		}
	}
}

func TestATagIsTakenOutOfATextWhereverItStands(t *testing.T) {
	for v := Versions(1); v < 1<<maxVersions; v++ {
		tag := string(AppendTag(nil, v))
		for _, text := range []string{"", "hello", "hello "} {
			for at := range len(text) + 1 {
				line := text[:at] + tag + text[at:]
				got, rest, ok := ParseTag([]byte(line))
				if !ok || got != v || string(rest) != text {
					t.Errorf("%q: %b, %q, %v", line, got, rest, ok)
				}
			}
		}
	}
}

func TestWhiteSpaceBehindATagStays(t *testing.T) {
	tag := string(AppendTag(nil, MakeVersions(2, 3)))
	for _, text := range []string{"        indented", "\t\t\t\t\t\t\t\t", "  \t\t\t\t\t\t", "  \t\t\t \t ", "  \t\t", " ", string(AppendTag(nil, MakeVersions(4)))} {
		v, rest, ok := ParseTag([]byte(tag + text))
		if !ok || v != MakeVersions(2, 3) || string(rest) != text {
			t.Errorf("%q: %b, %q, %v", text, v, rest, ok)
		}
	}
}

func TestATagWithoutAVersionIsText(t *testing.T) {
	for _, line := range []string{"", "hello", tagBase, tagBase + "hello", "a" + tagBase + "  \t\t  \t", tagBase[1:] + "  \t\t  \t\t", tagBase + "        "} {
		if v, text, ok := ParseTag([]byte(line)); ok || v != 0 || text != nil {
			t.Errorf("%q: %b, %q", line, v, text)
		}
		if kind := Classify([]byte(line)); kind != KindPlain {
			t.Errorf("%q is %v", line, kind)
		}
	}
	// One that comes later is found all the same.
	line := tagBase + "x" + tagBase[:9] + string(AppendTag(nil, MakeVersions(3))) + "y"
	if v, text, ok := ParseTag([]byte(line)); !ok || v != MakeVersions(3) || string(text) != tagBase+"x"+tagBase[:9]+"y" {
		t.Errorf("%b, %q, %v", v, text, ok)
	}
}

func TestErrorMessages(t *testing.T) {
	for line, want := range map[string]string{
		"?OTR Error: You sent encrypted data":   "You sent encrypted data",
		"?OTR Error:no blank":                   "no blank",
		"?OTR Error:":                           "",
		"?OTR Error:  two":                      " two",
		"see: ?OTR Error: ERROR_1: ?OTRv3? bad": "ERROR_1: ?OTRv3? bad",
	} {
		if text, ok := ParseError([]byte(line)); !ok || string(text) != want {
			t.Errorf("%q: %q, %v", line, text, ok)
		}
	}
	for _, line := range []string{"", "Error: x", "?OTR error: x", "?OTRError: x", "?OTR Error", "?OTR:AAMD. ?OTR Error: x"} {
		if text, ok := ParseError([]byte(line)); ok || text != nil {
			t.Errorf("%q: %q", line, text)
		}
	}
	if line := AppendError([]byte("x"), "no"); string(line) != "x?OTR Error: no" {
		t.Errorf("%q", line)
	}
}

// FuzzClassify checks that every parser of lines agrees with Classify, and that
// what is written again means the same.
func FuzzClassify(f *testing.F) {
	for _, line := range []string{"hello", "?OTRv3?", "?OTR?v2", "?OTR:AAMD.", "?OTR Error: no", "?OTR,1,2,a,", "?OTR|100|0,1,1,a,", libotrQuery} {
		f.Add([]byte(line))
	}
	f.Add(AppendTag([]byte("a"), MakeVersions(1, 3)))
	f.Fuzz(func(t *testing.T, line []byte) {
		before := bytes.Clone(line)
		kind := Classify(line)
		versions, isQuery := ParseQuery(line)
		offered, text, isTagged := ParseTag(line)
		said, isError := ParseError(line)
		_, armorErr := AppendDearmored(nil, line)
		_, fragmentErr := ParseFragment(line)
		if isQuery != (kind == KindQuery) || isError != (kind == KindError) || kind == KindTagged && !isTagged || kind == KindPlain && isTagged ||
			armorErr == nil && kind != KindEncoded || fragmentErr == nil && kind != KindFragment {
			t.Fatalf("%q is %v, but query %v, tagged %v, error %v, armor %v, fragment %v", line, kind, isQuery, isTagged, isError, armorErr, fragmentErr)
		}
		if isQuery {
			if again, ok := ParseQuery(AppendQuery(nil, versions)); !ok || again != versions {
				t.Errorf("%q: %b, then %b", line, versions, again)
			}
		}
		if isTagged {
			tag := AppendTag(nil, offered)
			if again, rest, ok := ParseTag(tag); !ok || again != offered || len(rest) != 0 {
				t.Errorf("%q: %b, then %b", line, offered, again)
			}
			if n := len(line) - len(text); n < len(tag) || (n-len(tagBase))%tagGroup != 0 {
				t.Errorf("%q lost %d bytes", line, n)
			}
		}
		if isError && !strings.HasSuffix(string(line), string(said)) {
			t.Errorf("%q said %q", line, said)
		}
		if !bytes.Equal(line, before) {
			t.Errorf("%q became %q", before, line)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for name, line := range map[string][]byte{
		"encoded": AppendArmor(nil, make([]byte, 48<<10)),
		"plain":   bytes.Repeat([]byte("a ?OTR\t "), 8<<10),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			for b.Loop() {
				Classify(line)
			}
		})
	}
}
