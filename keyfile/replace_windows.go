package keyfile

import (
	"os"
	"path/filepath"
)

// A pendingFile is a temporary file that replaces its destination when it is complete.
type pendingFile struct {
	*os.File
	path string // its destination
	done bool   // the temporary file is gone
}

// writePending writes data to a temporary file beside path. It inherits the access list of
// the folder.
func writePending(path string, data []byte) (*pendingFile, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path))
	if err != nil {
		return nil, errorAt(path, err)
	}
	pending := &pendingFile{File: f, path: path}
	if _, err := f.Write(data); err != nil {
		pending.Cleanup()
		return nil, errorAt(path, err)
	}
	return pending, nil
}

// CloseAtomicallyReplace flushes the file to disk and moves it to its destination, replacing
// any file there. It closes the file first, because Windows cannot move an open file.
func (f *pendingFile) CloseAtomicallyReplace() error {
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), f.path); err != nil {
		return err
	}
	f.done = true
	return nil
}

// Cleanup removes the temporary file, unless it has been moved to its destination.
func (f *pendingFile) Cleanup() error {
	if f.done {
		return nil
	}
	f.done = true
	f.Close() // fails if it is closed already
	return os.Remove(f.Name())
}

// syncFolder does nothing: Windows cannot flush folders, and NTFS has a journal for names.
func syncFolder(string) error { return nil }
