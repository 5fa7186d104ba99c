//go:build unix

package control

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
)

// Dir returns the folder for the user's sockets and creates it if necessary: otrpipe in
// $XDG_RUNTIME_DIR, or else a folder per user in the temporary folder. It returns ErrDir for a
// folder that is a link, belongs to another user, or is open to others.
func Dir() (string, error) {
	dir := filepath.Join(os.TempDir(), "otrpipe-"+strconv.Itoa(os.Getuid()))
	if run := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(run) && ours(run) {
		dir = filepath.Join(run, "otrpipe")
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("control: %w", err)
	}
	// Another user may have created the folder first. Lstat does not follow links.
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return "", fmt.Errorf("control: %w", err)
	case !info.IsDir():
		return "", fmt.Errorf("%w: %s is not a folder", ErrDir, dir)
	case owner(info) != os.Getuid():
		return "", fmt.Errorf("%w: %s belongs to another user", ErrDir, dir)
	case info.Mode().Perm()&0o077 != 0:
		return "", fmt.Errorf("%w: %s is open to others: chmod 700 %s", ErrDir, dir, dir)
	}
	return dir, nil
}

// ours reports whether dir belongs to this user. In a root shell, the folder in the environment
// may belong to the user who started the shell.
func ours(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.IsDir() && owner(info) == os.Getuid()
}

func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}
