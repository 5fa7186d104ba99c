package trust

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/keyfile"
	"otrpipe/otr"
)

func TestASessionBeginsWithTheClientThatWasMetLast(t *testing.T) {
	dsa, ed448 := mustParse(t, someKey), mustParse(t, strings.Repeat("ab", 56))
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, test := range []struct {
		name    string
		met     []otr.Session // an hour between each and the next
		allowed []int
		want    otr.Peer
	}{
		{"nobody was met", nil, []int{3, 4}, otr.Peer{}},
		{"version 3", []otr.Session{{Version: 3, Fingerprint: dsa, PeerInstance: 0x1234}}, []int{3}, otr.Peer{Version: 3, Instance: 0x1234}},
		{"the newer of two", []otr.Session{
			{Version: 4, Fingerprint: ed448, PeerInstance: 0x1234}, {Version: 4, Fingerprint: ed448, PeerInstance: 0x5678},
		}, []int{3, 4}, otr.Peer{Version: 4, Instance: 0x5678}},
		{"an older version than there is a key for", []otr.Session{
			{Version: 4, Fingerprint: ed448, PeerInstance: 0x1234}, {Version: 3, Fingerprint: dsa, PeerInstance: 0x5678},
		}, []int{3, 4}, otr.Peer{}},
		{"the same where the better one is not allowed", []otr.Session{
			{Version: 4, Fingerprint: ed448, PeerInstance: 0x1234}, {Version: 3, Fingerprint: dsa, PeerInstance: 0x5678},
		}, []int{3}, otr.Peer{Version: 3, Instance: 0x5678}},
		{"a version that is not allowed", []otr.Session{{Version: 3, Fingerprint: dsa, PeerInstance: 0x1234}}, []int{4}, otr.Peer{}},
		{"version 2 where more is allowed", []otr.Session{{Version: 2, Fingerprint: dsa}}, []int{2, 3}, otr.Peer{}},
		{"version 2 where only version 4 is allowed, too", []otr.Session{{Version: 2, Fingerprint: dsa}}, []int{2, 4}, otr.Peer{}},
		{"version 2 alone", []otr.Session{{Version: 2, Fingerprint: dsa}}, []int{2}, otr.Peer{Version: 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
			for i, s := range test.met {
				at := now.Add(time.Duration(i) * time.Hour)
				if err := home.RememberKey("bob", s.Fingerprint, keyfile.Seen, at); err != nil {
					t.Fatal(err)
				}
				k := NewKeeper(Config{Home: home, Contact: "bob"})
				k.Meet(s, at)
				if _, err := k.Trusted(s, at); err != nil {
					t.Fatal(err)
				}
			}
			contact, _, err := home.Contact("bob")
			if err != nil {
				t.Fatal(err)
			}
			allowed := func(version int) bool { return slices.Contains(test.allowed, version) }
			if got := LastClient(contact, allowed); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
