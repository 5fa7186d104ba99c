package terminal

import (
	"strings"
	"testing"
)

func TestALongFingerprintHasRowsOfFourGroups(t *testing.T) {
	key := strings.TrimSuffix(strings.Repeat("01234567 89ABCDEF ", 7), " ")
	rows := ":" + strings.Repeat("\n  01234567 89ABCDEF 01234567 89ABCDEF", 3) + "\n  01234567 89ABCDEF"
	old := "01234567 89ABCDEF 01234567 89ABCDEF 01234567"
	for text, want := range map[string]string{
		"secure with bob (new), OTRv4 key " + key:                               "secure with bob (new), OTRv4 key" + rows,
		"the key is not verified: " + key:                                       "the key is not verified" + rows,
		"secure with OTRv3 key " + old:                                          "secure with OTRv3 key " + old,
		"contacts add bob " + strings.ToLower(strings.ReplaceAll(key, " ", "")): "contacts add bob " + strings.ToLower(strings.ReplaceAll(key, " ", "")),
		"nothing of the kind":                                                   "nothing of the kind",
	} {
		if got := withRows(text); got != want {
			t.Errorf("%q\nnot\n%q", got, want)
		}
	}
}
