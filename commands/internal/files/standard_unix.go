//go:build unix

package files

import "otrpipe/keyfile"

// readStandardInput is Read for standard input.
func readStandardInput(limit int) (b []byte, public bool, err error) {
	return keyfile.ReadOutside("/dev/stdin", limit)
}
