//go:build unix

package files

import "otrpipe/keyfile"

// StandardInput is a path that opens standard input.
const StandardInput = "/dev/stdin"

// readStandardInput is Read for standard input.
func readStandardInput(limit int) (b []byte, public bool, err error) {
	return keyfile.ReadOutside(StandardInput, limit)
}
