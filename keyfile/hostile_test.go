package keyfile

import (
	"fmt"
	"strings"
	"testing"
)

// hostileLists are the lines that a list of fingerprints from somebody else may be full of.
var hostileLists = map[string]func(i, lines int) string{
	"many contacts": func(i, lines int) string { return fmt.Sprintf("u%05d\tme\tx", i*7919%lines) },
	"many keys":     func(int, int) string { return "u\tme\tx" },
	"many accounts": func(i, _ int) string { return fmt.Sprintf("u\tm%d\tx", i) },
	"bad lines":     func(int, int) string { return "u" },
}

func hostileList(line func(i, lines int) string, lines int) []byte {
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "%s\t%040x\n", line(i, lines), i+1)
	}
	return []byte(text.String())
}

// takeList does with a list what an import does, and what every later command does then.
func takeList(h *Home, text []byte) error {
	list, _ := ParseLibotrFingerprints(text)
	contacts, err := ContactsFromLibotr(list, "file", Account{}, someday)
	if err == nil {
		err = h.Remember(contacts)
	}
	if err == nil {
		_, err = h.Contacts()
	}
	return err
}

func TestTheErrorOfAHostileListIsShort(t *testing.T) {
	for what, line := range hostileLists {
		if err := takeList(newHome(t), hostileList(line, 2000)); err != nil && len(err.Error()) > 2000 {
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
	}
}

// The time grows with the length of the list, and not with its square.
func BenchmarkHostileList(b *testing.B) {
	for what, line := range hostileLists {
		for _, lines := range []int{10_000, 40_000} {
			b.Run(fmt.Sprintf("%s/%d", what, lines), func(b *testing.B) {
				text := hostileList(line, lines)
				for b.Loop() {
					_ = takeList(newHome(b), text)
				}
			})
		}
	}
}
