//go:build unix

package keyfile

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// processorTime returns the processor time that this process has used.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// A list from somebody else takes a time that grows with its length, not with its square.
func TestAHostileListOfFingerprintsTakesLittleTime(t *testing.T) {
	slowtest.SkipShort(t)
	const lines = 60_000
	for what, test := range map[string]struct {
		limit time.Duration // many times what it takes, and less than the square took
		line  func(i int) string
	}{
		"many contacts": {3 * time.Second, func(i int) string { return fmt.Sprintf("u%05d\tme\tx", i*7919%lines) }},
		"many keys":     {10 * time.Second, func(int) string { return "u\tme\tx" }},
		"many accounts": {3 * time.Second, func(i int) string { return fmt.Sprintf("u\tm%d\tx", i) }},
		"bad lines":     {3 * time.Second, func(int) string { return "u" }},
	} {
		var text strings.Builder
		for i := 0; i < lines && text.Len() < MaxLibotrList; i++ {
			fmt.Fprintf(&text, "%s\t%040x\n", test.line(i), i+1)
		}
		h := newHome(t)
		before := processorTime(t)
		list, _ := ParseLibotrFingerprints([]byte(text.String()))
		contacts, err := ContactsFromLibotr(list, "file", Account{}, someday)
		if err == nil {
			err = h.Remember(contacts)
		}
		if err == nil {
			_, err = h.Contacts()
		}
		if took := processorTime(t) - before; took > test.limit {
			t.Errorf("%s: %v", what, took)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%s: an error of %d bytes", what, len(err.Error()))
		}
	}
}
