package keys

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
)

const (
	digits3 = "0123456789abcdef0123456789abcdef01234567"
	digits4 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0011223344556677"
)

func TestFingerprintsAsPeopleAndMachinesReadThem(t *testing.T) {
	for _, test := range []struct {
		digits, people string
		otr            int
	}{
		{digits3, "01234567 89ABCDEF 01234567 89ABCDEF 01234567", 3},
		{digits4, "00112233 44556677 8899AABB CCDDEEFF 00112233 44556677 8899AABB CCDDEEFF 00112233 44556677 8899AABB CCDDEEFF 00112233 44556677", 4},
	} {
		b, err := hex.DecodeString(test.digits)
		if err != nil {
			t.Fatal(err)
		}
		f, err := FingerprintFromBytes(b)
		if err != nil || f.String() != test.people || f.Hex() != test.digits || f.OTR() != test.otr || f.IsZero() || !bytes.Equal(f.Bytes(), b) {
			t.Errorf("%x: %v, %s, %d, %v", b, f, f.Hex(), f.OTR(), err)
		}
	}
	var none Fingerprint
	if !none.IsZero() || none.OTR() != 0 || none.String() != "" || none.Hex() != "" || len(none.Bytes()) != 0 {
		t.Errorf("the zero value is %q", none)
	}
}

func TestAFingerprintIsReadInAnyGroupingAndCase(t *testing.T) {
	for _, digits := range []string{digits3, digits4} {
		want, err := ParseFingerprint(digits)
		if err != nil || want.Hex() != digits {
			t.Fatalf("%s: %s, %v", digits, want.Hex(), err)
		}
		pairs := make([]string, 0, len(digits)/2)
		for i := 0; i < len(digits); i += 2 {
			pairs = append(pairs, digits[i:i+2])
		}
		for _, s := range []string{
			want.String(), strings.ToLower(want.String()), strings.ToUpper(digits), "  " + digits + " ",
			strings.Join(pairs, ":"), strings.Join(pairs, "-"), strings.Join(pairs, " : "), strings.Join(strings.Split(digits, ""), " "),
		} {
			if f, err := ParseFingerprint(s); err != nil || f != want {
				t.Errorf("%q: %v, %v", s, f, err)
			}
		}
	}
}

func TestWhatIsNoFingerprintIsRefusedByName(t *testing.T) {
	for s, want := range map[string]string{
		"":                                    "0 hexadecimal digits",
		"0123":                                "4 hexadecimal digits",
		digits3[1:]:                           "39 hexadecimal digits",
		digits3 + "0":                         "41 hexadecimal digits",
		digits4 + "0":                         "113 hexadecimal digits",
		strings.Repeat("0", 100000):           "100000 hexadecimal digits",
		strings.Replace(digits3, "e", "x", 1): `'x' is no hexadecimal digit`,
		digits3 + "\n":                        `'\n' is no hexadecimal digit`,
		digits3[2:] + "é":                     `'é' is no hexadecimal digit`,
		digits3[2:] + "\xff1":                 "is no hexadecimal digit",
		digits3[1:] + "\x00":                  "is no hexadecimal digit",
		digits3[1:] + "g":                     `'g' is no hexadecimal digit`,
		digits3[1:] + "@":                     `'@' is no hexadecimal digit`,
	} {
		f, err := ParseFingerprint(s)
		if !errors.Is(err, ErrFingerprint) || !strings.Contains(err.Error(), want) || !f.IsZero() {
			t.Errorf("%.50q: %v", s, err)
		}
	}
	for _, n := range []int{0, 19, 21, 55, 57} {
		if f, err := FingerprintFromBytes(make([]byte, n)); !errors.Is(err, ErrFingerprint) || !f.IsZero() {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func FuzzFingerprint(f *testing.F) {
	f.Add(digits3)
	f.Add(strings.ToUpper(digits4))
	f.Add("01:23")
	f.Fuzz(func(t *testing.T, s string) {
		fp, err := ParseFingerprint(s)
		if err != nil {
			return
		}
		for _, again := range []string{fp.String(), fp.Hex()} {
			if got, err := ParseFingerprint(again); err != nil || got != fp {
				t.Errorf("%q: %q, then %v, %v", s, again, got, err)
			}
		}
		bare := strings.ToLower(strings.NewReplacer(" ", "", ":", "", "-", "").Replace(s))
		if bare != fp.Hex() {
			t.Errorf("%q became %s", s, fp.Hex())
		}
	})
}
