package control

import (
	"errors"
	"os"
)

// Windows cannot pass files over sockets, and no other process can reach a session; see
// Reachable.
const rightsSize = 0

func rightsOf([]*os.File) []byte { return nil }

func isCut(int) bool { return false }

func filesOf([]byte) ([]*os.File, error) {
	return nil, errors.New("control: files cannot be handed over on Windows")
}
