//go:build unix

package transfer

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// placeAll gives a complete folder its name unless the name exists.
func (p *folderPart) placeAll(dir *os.Root, part, name string) error {
	if err := dir.Mkdir(name, 0o700); err != nil { // the first to create the name owns it
		return err
	}
	into, err := dir.Open(".")
	if err == nil {
		defer into.Close()
		// os.Rename replaces no folder, not even the empty one that we have just created.
		err = unix.Renameat(int(p.held.Fd()), treeFolder, int(into.Fd()), name)
	}
	if err != nil {
		_ = dir.Remove(name)
		return &fs.PathError{Op: "rename", Path: name, Err: err}
	}
	p.placed = true
	if !p.isAt(dir, part) {
		return nil // it is another receiver's
	}
	return dir.RemoveAll(part)
}

// leave stops using the part. Before that it calls last, which may rename or remove the part
// while it is still locked: another receiver could take it after that.
func (p *folderPart) leave(last func()) {
	defer p.release()
	last()
}

// hasOtherName reports whether a file has more than one name. A receiver that is killed while it
// gives a complete file its name leaves the hidden name too.
func hasOtherName(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 1
}

// isForeign reports whether a name means something other than a file on this system.
func isForeign(string) bool { return false }

// syncAccess is the access to a file that flushing it to disk needs.
const syncAccess = os.O_RDONLY

// syncFolder flushes the names in a folder to disk. It ignores the errors with which some file
// systems report that they cannot do this.
func (r *receiver) syncFolder(root *os.Root, name string) error {
	err := r.syncPath(root, name, os.O_RDONLY)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}
