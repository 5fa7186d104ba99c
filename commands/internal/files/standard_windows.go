package files

import (
	"fmt"
	"io"
	"os"

	"otrpipe/keyfile"
)

// readStandardInput is Read for standard input. It does not tell whether others can read it.
func readStandardInput(limit int) (b []byte, public bool, err error) {
	b = make([]byte, limit+1)
	n, err := io.ReadFull(os.Stdin, b)
	switch {
	case err == nil:
		clear(b)
		return nil, false, fmt.Errorf("%w: standard input has more than %d bytes", keyfile.ErrFormat, limit)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		clear(b)
		return nil, false, err
	}
	return b[:n], false, nil
}
