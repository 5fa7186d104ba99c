package keyfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// The modes of all folders and files in a home.
const (
	folderMode fs.FileMode = 0o700
	fileMode   fs.FileMode = 0o600
)

// readPrivate reads a whole private file of at most limit bytes. It returns an error if the
// file is not private. It neither follows a symbolic link in the last element of path, nor
// waits for a pipe there.
func (h *Home) readPrivate(path string, limit int) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|openItself, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, symlinkError(path)
	} else if err != nil {
		return nil, pathError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, pathError(err)
	}
	if err := h.checkPrivate(path, info, fileMode); err != nil {
		return nil, err
	}
	return readFile(f, info, path, limit)
}

// readFile reads the whole of f, whose size is in info.
func readFile(f *os.File, info fs.FileInfo, path string, limit int) ([]byte, error) {
	if info.Mode().IsRegular() && info.Size() < int64(limit) {
		limit = int(info.Size())
	}
	return readBounded(f, path, limit)
}

// readBounded reads all of r, at most limit bytes, into one buffer that never moves, so that
// wiping it leaves no copy behind.
func readBounded(r io.Reader, path string, limit int) ([]byte, error) {
	b := make([]byte, limit+1)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		clear(b)
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrFormat, path, limit)
	case err != io.EOF && err != io.ErrUnexpectedEOF:
		clear(b)
		return nil, pathError(err)
	}
	return b[:n], nil
}

// checkFolder returns an error if a folder is not private. If it does not exist the error is
// an fs.ErrNotExist.
func (h *Home) checkFolder(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return pathError(err)
	}
	return h.checkPrivate(path, info, folderMode)
}

// checkPrivate returns an error unless info describes something of the kind of mode (a folder
// or a regular file) that belongs to us and gives nobody else any right. On a file system
// without modes it only warns.
func (h *Home) checkPrivate(path string, info fs.FileInfo, mode fs.FileMode) error {
	switch folder := mode == folderMode; {
	case info.Mode()&fs.ModeSymlink != 0:
		return symlinkError(path)
	case folder && !info.IsDir():
		return &UnsafeError{Path: path, Reason: "is not a folder", Fix: "move it away, or name another folder with --home"}
	case !folder && !info.Mode().IsRegular():
		return &UnsafeError{Path: path, Reason: "is not a regular file", Fix: "put back the file that was there, from a copy"}
	}
	unsafe := ownerError(path, info)
	if unsafe == nil {
		unsafe = modeError(path, info, mode)
	}
	if unsafe == nil {
		return nil
	}
	folder := path
	if mode == fileMode {
		folder = filepath.Dir(path)
	}
	if !withoutModes(folder) {
		return unsafe
	}
	if folder == h.dir || strings.HasPrefix(folder, h.dir+string(filepath.Separator)) {
		folder = h.dir
	}
	h.warnOnModes(folder)
	return nil
}

func symlinkError(path string) error {
	return &UnsafeError{
		Path:   path,
		Reason: "is a symbolic link where a private file or folder should be",
		Fix:    "put the file or folder itself there",
	}
}

// CheckSecretFile returns an *UnsafeError if users other than its owner have access to a file
// with a secret outside the home, which info describes. Pipes and devices are not checked,
// because their mode says nothing about this.
func (h *Home) CheckSecretFile(path string, info fs.FileInfo) error {
	unsafe := modeError(path, info, fileMode)
	if unsafe == nil || !info.Mode().IsRegular() {
		return nil
	}
	folder := filepath.Dir(path)
	if !withoutModes(folder) {
		return unsafe
	}
	h.warnOnModes(folder)
	return nil
}

// warnOnModes warns once that a folder's file system cannot keep files private.
func (h *Home) warnOnModes(folder string) {
	h.warnOnce(folder + " is on a file system without permissions: " +
		"nothing there can be kept from other users of this machine")
}

// shellQuote quotes path for a shell, for commands that the user can copy.
func shellQuote(path string) string {
	for i := range len(path) {
		if c := path[i]; !isPlain(c) && c != '/' {
			return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
		}
	}
	return path
}
