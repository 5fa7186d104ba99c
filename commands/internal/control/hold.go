package control

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"strings"
)

const holdSuffix = ".hold"

// Hold reserves a thing that only one live session of the user may use, called
// by what, until release is called or the process ends. It reports false
// where another process, or another part of this one, holds it.
func Hold(dir string, what ...string) (release func(), ok bool) {
	sum := sha256.Sum256([]byte(strings.Join(what, "\x00")))
	lock, err := takeLock(filepath.Join(dir, hex.EncodeToString(sum[:12])+holdSuffix))
	if err != nil {
		return func() {}, false
	}
	return func() { dropLock(lock) }, true
}
