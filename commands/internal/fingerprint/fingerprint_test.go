package fingerprint

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"rsc.io/qr"

	"otrpipe/otr/keys"
)

func TestTheQRCodeSaysTheFingerprint(t *testing.T) {
	for _, digits := range []int{2 * keys.FingerprintLen3, 2 * keys.FingerprintLen4} {
		fp, err := keys.ParseFingerprint(strings.Repeat("0123456789abcdef", 7)[:digits])
		if err != nil {
			t.Fatal(err)
		}
		text := qrText(fp)
		if want := map[int]string{3: "otr-fingerprint:3:", 4: "otr-fingerprint:4:"}[fp.OTR()] + fp.Hex(); text != want {
			t.Errorf("the text is %q", text)
		}
		code, err := qr.Encode(text, qr.M)
		if err != nil {
			t.Fatal(err)
		}
		for _, colour := range []bool{false, true} {
			drawn := QR(fp, colour, true)
			if colour != bytes.Contains(drawn, []byte("\x1b[")) {
				t.Errorf("colour %v: %q", colour, drawn)
			}
			sameDots(t, drawn, code)
			// A terminal without blocks gets two columns for each dot.
			sameDots(t, withBlocks(t, QR(fp, colour, false)), code)
		}
	}
}

// withBlocks draws with half blocks what was drawn without.
func withBlocks(t *testing.T, drawn []byte) []byte {
	t.Helper()
	plain := strings.NewReplacer("\x1b[47m  \x1b[0m", "#", "\x1b[40m  \x1b[0m", " ", "##", "#", "  ", " ").Replace(string(drawn))
	rows := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
	rows = append(rows, rows[len(rows)-1])
	var b strings.Builder
	for y := 0; y+1 < len(rows); y += 2 {
		for x := range rows[y] {
			b.WriteString(map[string]string{"##": "█", "# ": "▀", " #": "▄", "  ": " "}[rows[y][x:x+1]+rows[y+1][x:x+1]])
		}
		b.WriteByte('\n')
	}
	return []byte(b.String())
}

// sameDots compares a drawing with the code that it is to show, in a quiet zone
// four dots wide.
func sameDots(t *testing.T, drawn []byte, code *qr.Code) {
	t.Helper()
	const quiet = 4
	var rows [][]bool // dark or not
	for line := range strings.Lines(string(drawn)) {
		var upper, lower []bool
		for _, r := range strings.NewReplacer("\x1b[97;40m", "", "\x1b[0m", "", "\n", "").Replace(line) {
			halves, ok := map[rune][2]bool{'█': {false, false}, '▀': {false, true}, '▄': {true, false}, ' ': {true, true}}[r]
			if !ok {
				t.Fatalf("%q in the drawing", r)
			}
			upper, lower = append(upper, halves[0]), append(lower, halves[1])
		}
		rows = append(rows, upper, lower)
	}
	if len(rows) < code.Size+2*quiet {
		t.Fatalf("%d rows of dots for a code of %d", len(rows), code.Size)
	}
	for y := range code.Size + 2*quiet - 1 {
		if len(rows[y]) != code.Size+2*quiet {
			t.Fatalf("row %d has %d dots", y, len(rows[y]))
		}
		for x, dark := range rows[y] {
			if want := code.Black(x-quiet, y-quiet); dark != want {
				t.Fatalf("dot %d, %d is dark: %v", x, y, dark)
			}
		}
	}
}

func TestAKeyIsLaidOutToBeReadAndReadBack(t *testing.T) {
	for digits, want := range map[int]string{
		2 * keys.FingerprintLen3: "  OTRv3 01234567 89ABCDEF 01234567 89ABCDEF 01234567 (weaker, known)\n",
		2 * keys.FingerprintLen4: "  OTRv4 01234567 89ABCDEF 01234567 89ABCDEF (known)\n" +
			"        01234567 89ABCDEF 01234567 89ABCDEF\n" +
			"        01234567 89ABCDEF 01234567 89ABCDEF\n" +
			"        01234567 89ABCDEF\n",
	} {
		fp, err := keys.ParseFingerprint(strings.Repeat("0123456789abcdef", 7)[:digits])
		if err != nil {
			t.Fatal(err)
		}
		if got := Block(fp, "  ", "known"); got != want {
			t.Errorf("laid out it is\n%swant\n%s", got, want)
		}
		for _, note := range []string{"", "known"} {
			if got, err := Parse([]string{Block(fp, "", note)}); err != nil || got != fp {
				t.Errorf("with the note %q it is read as %v, %v", note, got, err)
			}
		}
		both := Block(fp, "", "") + Block(fp, "", "known")
		if got, err := ParseAll([]string{both}); err != nil || len(got) != 2 || got[0] != fp || got[1] != fp {
			t.Errorf("two of them are read as %v, %v", got, err)
		}
	}
	for _, text := range []string{"(weaker)", "OTRv4 (weaker)", "OTRv3 01234567 (0123)", "0123\n(4567)"} {
		if got, err := Parse([]string{text}); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

func TestAFingerprintIsTakenFromAQRCodesText(t *testing.T) {
	for version, digits := range map[int]int{3: 2 * keys.FingerprintLen3, 4: 2 * keys.FingerprintLen4} {
		fp, err := keys.ParseFingerprint(strings.Repeat("0123456789abcdef", 7)[:digits])
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{fp.Hex()}, strings.Fields(fp.String()), {qrText(fp)}} {
			if got, err := Parse(args); err != nil || got != fp {
				t.Errorf("%q is %v, %v", args, got, err)
			}
		}
		for _, text := range []string{
			fmt.Sprintf("otr-fingerprint:%d:%s", 7-version, fp.Hex()), "otr-fingerprint:" + fp.Hex(),
			fmt.Sprintf("otr-fingerprint:%d%s", version, fp.Hex()), "otr-fingerprint:", fmt.Sprintf("otr-fingerprint:%d:", version),
		} {
			if got, err := Parse([]string{text}); err == nil {
				t.Errorf("%q is %v", text, got)
			}
		}
	}
}

// FuzzRead reads any text as fingerprints, as a person may paste it: what is accepted has the
// digits of the text, and each form of it is read as the same key.
func FuzzRead(f *testing.F) {
	for _, digits := range []int{2 * keys.FingerprintLen3, 2 * keys.FingerprintLen4} {
		fp, err := keys.ParseFingerprint(strings.Repeat("0123456789abcdef", 7)[:digits])
		if err != nil {
			f.Fatal(err)
		}
		for _, text := range []string{Line(fp), Block(fp, "", "known"), Block(fp, "", "") + Block(fp, "", "new"), qrText(fp)} {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseAll([]string{text})
		if err != nil {
			if len(all) > 0 {
				t.Fatalf("%v, and yet %d keys", err, len(all))
			}
			return
		}
		if lines := Lines(text); len(lines) != len(all) {
			t.Fatalf("%d keys in %d lines", len(all), len(lines))
		}
		blocks := ""
		for _, fp := range all {
			for _, form := range []string{Line(fp), Block(fp, "", "known"), qrText(fp), fp.Hex()} {
				if again, err := Parse([]string{form}); err != nil || again != fp {
					t.Fatalf("%q became %v, then %v, %v", form, fp, again, err)
				}
			}
			blocks += Block(fp, "", "")
		}
		if again, err := ParseAll([]string{blocks}); err != nil || !slices.Equal(again, all) {
			t.Fatalf("%q became %v, then %v, %v", text, all, again, err)
		}
		digits := 0
		for _, fp := range all {
			digits += len(fp.Hex())
		}
		if digits > len(text) {
			t.Fatalf("%d digits from %d bytes", digits, len(text))
		}
	})
}
