package wire

import "testing"

func TestVersionsAreWrittenAsDigitsAndReadBack(t *testing.T) {
	for digits, want := range map[string]Versions{
		"34": MakeVersions(3, 4), "4": MakeVersions(4), "2": MakeVersions(2), "0123456789": 1<<10 - 1,
	} {
		v, ok := ParseVersions(digits)
		if !ok || v != want || v.Digits() != digits {
			t.Errorf("%s: %v, %v, written %s", digits, v, ok, v.Digits())
		}
	}
	if v, ok := ParseVersions("433"); !ok || v.Digits() != "34" {
		t.Errorf("in another order: %v, %v", v, ok)
	}
	for _, bad := range []string{"", "x", "3,4", "3 4", "\xb3"} {
		if v, ok := ParseVersions(bad); ok {
			t.Errorf("%q is %v", bad, v)
		}
	}
}
