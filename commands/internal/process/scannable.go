//go:build scannable

package process

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"os"
)

// ScannedRandom is the variable of the environment that names a file for all the randomness
// of a program that was built with the tag scannable: each draw with its length in front, in
// four bytes. The test that looks for secrets in the memory of such a program learns from it
// which private keys the program has made.
const ScannedRandom = "OTRPIPE_SCANNED_RANDOM"

func init() {
	path := os.Getenv(ScannedRandom)
	if path == "" {
		return
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	rand.Reader = &recorder{rand.Reader, file}
}

// A recorder writes down what it reads. It keeps no copy in memory.
type recorder struct {
	from io.Reader
	file *os.File
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if n == 0 {
		return n, err
	}
	if _, err := r.file.Write(binary.BigEndian.AppendUint32(nil, uint32(n))); err != nil {
		return 0, err
	}
	if _, err := r.file.Write(p[:n]); err != nil {
		return 0, err
	}
	return n, err
}
