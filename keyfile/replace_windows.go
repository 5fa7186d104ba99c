package keyfile

import (
	"os"
	"path/filepath"
)

// A pendingFile is a temporary file that takes its place when it is complete.
type pendingFile struct {
	*os.File
	path string // its place
	done bool   // the temporary file is gone
}

// writePending writes data to a temporary file beside path. It has the access list that the
// folder gives to its files.
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

// CloseAtomicallyReplace flushes the file to the disk and gives it its place, whatever file
// is there. Windows moves no file that is open.
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

// Cleanup removes the temporary file, unless it has its place already.
func (f *pendingFile) Cleanup() error {
	if f.done {
		return nil
	}
	f.done = true
	f.Close() // which fails if it is closed already
	return os.Remove(f.Name())
}

// syncFolder does nothing: Windows flushes no folders, and NTFS keeps a journal of names.
func syncFolder(string) error { return nil }
