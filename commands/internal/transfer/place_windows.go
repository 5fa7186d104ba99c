package transfer

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/windows"
)

// placeAll gives a complete folder its name, if there is nothing by that name. Windows moves
// no folder that is open, so it is let go first.
func (p *folderPart) placeAll(dir *os.Root, part, name string) error {
	if taken(dir, name) {
		return &fs.PathError{Op: "rename", Path: name, Err: fs.ErrExist}
	}
	p.tree.Close()
	p.tree = nil
	if err := dir.Rename(part+"/"+treeFolder, name); err != nil {
		p.tree, _ = p.dir.OpenRoot(treeFolder)
		return err
	}
	p.placed = true
	p.held.Close()
	p.held = nil
	p.dir.Close()
	return dir.RemoveAll(part)
}

// leave stops using the part, and then calls last, which may rename or remove it. Windows neither
// renames nor removes a folder that is open, and has no locks for folders.
func (p *folderPart) leave(last func()) {
	p.release()
	last()
}

// hasOtherName reports whether a file has more than one name. A receiver that is killed while it
// gives a complete file its name leaves the hidden name too.
func hasOtherName(f *os.File) bool {
	var info windows.ByHandleFileInformation
	return windows.GetFileInformationByHandle(windows.Handle(f.Fd()), &info) == nil && info.NumberOfLinks > 1
}

// isForeign reports whether a name means something else than a file on this system: a
// device, a stream of another file, a path, or a name that Windows would shorten.
func isForeign(name string) bool {
	return strings.ContainsAny(name, `\:<>"|?*`) || strings.HasSuffix(name, ".") || !filepath.IsLocal(name)
}

// syncAccess is the access to a file that flushing it to disk needs.
const syncAccess = os.O_RDWR

// syncFolder does nothing: Windows cannot flush folders, and NTFS has a journal for names.
func (r *receiver) syncFolder(*os.Root, string) error { return nil }
