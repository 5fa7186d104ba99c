//go:build unix

package peers

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	xotr "golang.org/x/crypto/otr"
)

// A key is a private key in a file that every peer can read.
type key struct {
	path        string
	fingerprint string
}

// sharedKeys are the files of keys that tests share: the nth peer of each test has the nth.
var sharedKeys struct {
	sync.Mutex
	paths []string
	used  map[*testing.T]int
}

// sharedKey returns the file of a key that no other peer of this test has.
func sharedKey(t *testing.T) string {
	t.Helper()
	all := &sharedKeys
	all.Lock()
	defer all.Unlock()
	if all.used == nil {
		all.used = make(map[*testing.T]int)
	}
	n := all.used[t]
	all.used[t]++
	if n == len(all.paths) {
		all.paths = append(all.paths, writeKey(t, filepath.Join(buildDir, fmt.Sprintf("key%d", n))).path)
	}
	return all.paths[n]
}

// keyFile makes a key that no other test has.
func keyFile(t *testing.T) key {
	t.Helper()
	return writeKey(t, filepath.Join(t.TempDir(), "otr.private_key"))
}

// writeKey makes a key in a file of libotr's form.
func writeKey(t *testing.T, path string) key {
	t.Helper()
	var private xotr.PrivateKey
	private.Generate(rand.Reader)
	k := private.PrivateKey
	text := fmt.Sprintf(`(privkeys
 (account
(name peer)
(protocol otrpipe)
(private-key
 (dsa
  (p #%s#)
  (q #%s#)
  (g #%s#)
  (y #%s#)
  (x #%s#)
  )
 )
 )
)
`, hexNumber(k.P.Bytes()), hexNumber(k.Q.Bytes()), hexNumber(k.G.Bytes()), hexNumber(k.Y.Bytes()), hexNumber(k.X.Bytes()))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return key{path: path, fingerprint: fmt.Sprintf("%x", private.PublicKey.Fingerprint())}
}

// hexNumber is a number as libgcrypt writes it: a leading 00 where the top bit
// would make it negative.
func hexNumber(b []byte) string {
	if len(b) > 0 && b[0]&0x80 != 0 {
		return fmt.Sprintf("00%X", b)
	}
	return fmt.Sprintf("%X", b)
}
