//go:build scannable

package process

import (
	"crypto/rand"
	"encoding/binary"
	"io"
	"os"
)

// ScannedRandom is the environment variable that names a file in which a program built with the
// tag scannable records all its randomness: each draw, preceded by its length in four bytes. The
// test that searches such a program's memory for secrets learns from it which private keys the
// program has made.
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

// A recorder writes everything it reads to a file. It keeps no copy in memory.
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
