//go:build unix

package keyfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// A pendingFile is a temporary file that takes its place when it is complete.
type pendingFile = renameio.PendingFile

// writePending writes data to a temporary file beside path. The file's mode is
// given when it is made, not afterwards, which a file system without modes
// would refuse.
func writePending(path string, data []byte) (*pendingFile, error) {
	pending, err := renameio.NewPendingFile(path,
		renameio.WithTempDir(filepath.Dir(path)), renameio.WithPermissions(fileMode))
	if err != nil {
		return nil, errorAt(path, err)
	}
	if _, err := pending.Write(data); err != nil {
		pending.Cleanup()
		return nil, errorAt(path, err)
	}
	return pending, nil
}

// syncFolder flushes the names in a folder to the disk. Some file systems
// cannot, and say so with EINVAL or ENOTSUP; there is nothing more to do then.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return pathError(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return pathError(err)
	}
	return nil
}
