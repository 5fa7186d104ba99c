//go:build unix

package peers

import (
	"testing"

	"otrpipe/testscripts/slowtest"
)

// The peers talk to each other before they talk to us: what fails here is a
// fault of a peer and not of ours.
func TestPeersTalkToEachOther(t *testing.T) {
	slowtest.Skip(t)
	long(t)
	t.Parallel()
	for _, pair := range []struct {
		a, b    *kind
		version string
	}{
		{libotr, libotr, "3"},
		{libotr, libotr, "2"},
		{libotr, potr, "2"},
		{libotr, xcrypto, "2"},
		{potr, xcrypto, "2"},
	} {
		t.Run(pair.a.name+" "+pair.b.name+" "+pair.version, func(t *testing.T) {
			t.Parallel()
			for _, fragment := range []string{"0", "200"} {
				k := newTalk(t,
					start(t, pair.a, "--versions", pair.version, "--fragment", fragment),
					start(t, pair.b, "--versions", pair.version, "--fragment", fragment))
				for i := range k.ends {
					k.send(i, k.ends[i].Query())
					k.settle()
					k.mustBeSecure(pair.version)
					k.exchange()
					k.send(i, k.ends[i].End())
					k.settle()
					k.take(0)
					if _, ended := k.find(1-i, "ended"); !ended && i == 0 {
						t.Fatalf("%s did not notice the end", k.ends[1-i].Name())
					}
					k.send(1-i, k.ends[1-i].End())
					k.settle()
				}
			}
		})
	}
}

// The peers' SMP works among themselves.
func TestPeersAuthenticateEachOther(t *testing.T) {
	long(t)
	t.Parallel()
	for _, pair := range [][2]*kind{{libotr, libotr}, {libotr, potr}, {potr, libotr}, {libotr, xcrypto}, {xcrypto, libotr}} {
		t.Run(pair[0].name+" asks "+pair[1].name, func(t *testing.T) {
			slowtest.SkipUnless(t, pair == [2]*kind{libotr, libotr})
			t.Parallel()
			k := newTalk(t, start(t, pair[0], "--versions", "2"), start(t, pair[1], "--versions", "2"))
			k.send(0, k.ends[0].Query())
			k.settle()
			k.mustBeSecure("2")
			k.send(0, k.ends[0].SMP("secret", "who?"))
			k.settle()
			if asked, ok := k.find(1, "smp_asked"); !ok || asked.Question != "who?" {
				t.Fatalf("asked: %v %+v", ok, asked)
			}
			k.send(1, k.ends[1].Answer("secret"))
			k.settle()
			for i := range k.ends {
				if _, ok := k.find(i, "smp_succeeded"); !ok {
					t.Errorf("%s did not succeed", k.ends[i].Name())
				}
			}
		})
	}
}

// Every peer reads the same key file.
func TestPeersReadKeyFiles(t *testing.T) {
	long(t)
	t.Parallel()
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			key := keyFile(t)
			if p := start(t, k, "--key", key.path); p.Fingerprint != key.fingerprint {
				t.Errorf("%s has the key %s, want %s", k.name, p.Fingerprint, key.fingerprint)
			}
		})
	}
}
