package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes a file for others to read, such as one of libotr's, whole or
// not at all, with mode 0600. A file that is there already is left alone unless
// force is set: ErrExists. What is no regular file, such as a pipe or a
// terminal, is written to as it is.
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
		// The file that a link leads to is replaced, not the link.
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
	if _, err := f.Write(data); err != nil {
		f.Close()
		return pathError(err)
	}
	if err := f.Close(); err != nil {
		return pathError(err)
	}
	return nil
}

// replaceFile makes data the content of path, in one step that survives a loss
// of power.
func replaceFile(path string, data []byte) error { return replaceFiles(fileText{path, data}) }

// A fileText is a file and what is to be its content.
type fileText struct {
	path string
	text []byte
}

// replaceFiles is replaceFile for several: each in one step, in their order. All
// of them are on the disk before the first takes its place, so that a full disk
// leaves them all as they were.
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
			continue // it is flushed when it takes its place
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

// createFile is replaceFile for a path where nothing is yet; what has come
// there meanwhile stays: ErrExists.
func createFile(path string, data []byte) error {
	pending, err := writePending(path, data)
	if err != nil {
		return err
	}
	defer pending.Cleanup()
	if err := pending.Sync(); err != nil {
		return errorAt(path, err)
	}
	// A second name for the file is given only where nothing is, which a rename
	// does not promise. Where files have one name only, the look must do.
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

// writeNew writes a file of a folder that nobody else sees yet. The caller words the error.
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

// Exists says whether something is at path that WriteFile would not write over without
// force.
func Exists(path string) bool {
	info, err := os.Stat(path)
	return err == nil && (info.Mode().IsRegular() || info.IsDir())
}
