package keyfile

import (
	"encoding/binary"
	"fmt"
	"testing"

	"otrpipe/otr/keys"
)

// BenchmarkContacts looks one contact up among many. Its file is read whole each time, so
// that the time is proportional to their number, and no worse.
func BenchmarkContacts(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHome(b)
			list := make([]Contact, n)
			for i := range list {
				fp := make([]byte, keys.FingerprintLen3)
				binary.BigEndian.PutUint64(fp, uint64(i+1))
				key, err := keys.FingerprintFromBytes(fp)
				must(b, err)
				list[i] = Contact{Name: fmt.Sprintf("contact%d", i), Keys: []ContactKey{metKey(key, Verified, someday, someday)}}
			}
			must(b, h.Remember(list))
			last := list[n-1].Name
			for b.Loop() {
				if _, ok, err := h.Contact(last); err != nil || !ok {
					b.Fatal(ok, err)
				}
			}
		})
	}
}

// BenchmarkIdentities lists all identities.
func BenchmarkIdentities(b *testing.B) {
	for _, n := range []int{10, 100, 1_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			h := newHome(b)
			for i := range n {
				must(b, h.Create(testIdentity(fmt.Sprintf("identity%d", i)), nil))
			}
			for b.Loop() {
				if list, err := h.Publics(); err != nil || len(list) != n {
					b.Fatal(len(list), err)
				}
			}
		})
	}
}
