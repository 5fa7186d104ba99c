//go:build unix

package keyfile

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

// A pendingFile is a temporary file that replaces its destination when it is complete.
type pendingFile = renameio.PendingFile

// writePending writes data to a temporary file beside path. The file's mode is set when it is
// created, because setting it later fails on a file system without modes.
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

// syncFolder flushes the names in a folder to disk. It ignores EINVAL and ENOTSUP, with which
// some file systems report that they cannot do this.
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
