//go:build unix

package peers

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	xotr "golang.org/x/crypto/otr"
)

// A key is a private key in a file that every peer can read.
type key struct {
	path        string
	fingerprint string
}

// keyFile makes a key in libotr's form.
func keyFile(t *testing.T) key {
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
	path := filepath.Join(t.TempDir(), "otr.private_key")
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
