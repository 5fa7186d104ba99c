package control

import (
	"errors"
	"os"
)

// Windows hands no files over by sockets, and no process hosts a session that another could
// reach; see Reachable.
const rightsSize = 0

func rightsOf([]*os.File) []byte { return nil }

func isCut(int) bool { return false }

func filesOf([]byte) ([]*os.File, error) {
	return nil, errors.New("control: files cannot be handed over on Windows")
}
