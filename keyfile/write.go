package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a file for another program, such as one of libotr's, completely or not at
// all, with mode 0600. If the file exists, it is replaced only if force is set; otherwise the
// error is ErrExists. Anything but a regular file, such as a pipe or a terminal, is written
// to directly, and then the error may be a *PartError.
func WriteFile(path string, data []byte, force bool) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%w: %s is a folder", ErrExists, path)
	case err == nil && !info.Mode().IsRegular():
		return writeInto(path, data)
	case err == nil && !force:
		return fmt.Errorf("%w: %s", ErrExists, path)
	case err == nil:
		// Replace the target of a link, not the link itself.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return pathError(err)
		}
		return replaceFile(path, data)
	case !errors.Is(err, fs.ErrNotExist):
		return pathError(err)
	}
	return createFile(path, data)
}

func writeInto(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return pathError(err)
	}
	n, err := f.Write(data)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return &PartError{n, pathError(err)}
	}
	return nil
}

// A PartError means that a file which is not regular, such as a pipe, has taken only a part of the
// data.
type PartError struct {
	Written int // how many bytes it has taken
	Err     error
}

func (e *PartError) Error() string { return e.Err.Error() }

func (e *PartError) Unwrap() error { return e.Err }

// replaceFile sets the content of path to data, in one step that survives a power failure.
func replaceFile(path string, data []byte) error { return replaceFiles(fileText{path, data}) }

// A fileText is a file and its new content.
type fileText struct {
	path string
	text []byte
}

// replaceFiles is replaceFile for several files: each is replaced in one step, in the given
// order. All new contents are on disk before the first file is replaced, so that a full disk
// leaves all files unchanged.
func replaceFiles(files ...fileText) error {
	var all []*pendingFile
	defer func() {
		for _, pending := range all {
			pending.Cleanup()
		}
	}()
	for _, file := range files {
		pending, err := writePending(file.path, file.text)
		if err != nil {
			return err
		}
		all = append(all, pending)
		if len(all) == 1 {
			continue // it is flushed when it replaces its destination
		}
		if err := pending.Sync(); err != nil {
			return errorAt(file.path, err)
		}
	}
	for i, pending := range all {
		if err := pending.CloseAtomicallyReplace(); err != nil {
			return errorAt(files[i].path, err)
		}
		if err := syncFolder(filepath.Dir(files[i].path)); err != nil {
			return err
		}
	}
	return nil
}

// createFile is replaceFile for a path that does not exist. If something has been created
// there in the meantime, that stays and the error is ErrExists.
func createFile(path string, data []byte) error {
	pending, err := writePending(path, data)
	if err != nil {
		return err
	}
	defer pending.Cleanup()
	if err := pending.Sync(); err != nil {
		return errorAt(path, err)
	}
	// Unlike a rename, a link never replaces an existing file. On a file system without
	// links, checking the path before a rename has to be enough.
	err = os.Link(pending.Name(), path)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		if _, statErr := os.Lstat(path); errors.Is(statErr, fs.ErrNotExist) {
			err = pending.CloseAtomicallyReplace()
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, path)
	} else if err != nil {
		return pathError(err)
	}
	return syncFolder(filepath.Dir(path))
}

// writeNew writes a file in a folder that nobody else can see yet. The caller words the
// error.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Exists reports whether there is something at path that WriteFile would not overwrite
// without force.
func Exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (info.Mode().IsRegular() || info.IsDir())
}
