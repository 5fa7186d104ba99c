package transfer

import (
	"errors"
	"hash"
	"io"
	"io/fs"
	"os"
	"syscall"

	"otrpipe/commands/internal/descriptor"
)

// The contents of an incomplete folder's hidden folder: the complete files, the one being
// written, and the attributes of files that the file system cannot hold.
const (
	treeFolder     = "complete"
	currentFile    = "current"
	attributesFile = "attributes"
)

// errInUse says that another receiver is writing the same item.
var errInUse = errors.New("another receiver is writing it")

// errTakenAway says that the part of an item is not the file that was written.
var errTakenAway = errors.New("its incomplete file was removed or replaced meanwhile")

// taken reports whether dir contains something called name.
func taken(dir *os.Root, name string) bool {
	_, err := dir.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// used returns the size in bytes of the file called name in dir; 0 if there is none.
func used(dir *os.Root, name string) int64 {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() {
		return 0
	}
	return info.Size()
}

// here returns the number of bytes of an item that are here from an earlier attempt, unless
// they turn out to differ.
func here(dir *os.Root, item *described) (bytes int64) {
	part := partName(item.name)
	if item.kind != kindFolder {
		return used(dir, part)
	}
	tree, err := dir.OpenRoot(part + "/" + treeFolder)
	if err != nil {
		return 0
	}
	defer tree.Close()
	entries, err := scan(tree)
	if err != nil {
		return 0
	}
	for _, e := range entries {
		bytes += e.size
	}
	return bytes
}

// lock locks f against other receivers for as long as it is open.
func lock(f *os.File) error {
	if errors.Is(descriptor.Lock(f), descriptor.ErrLocked) {
		return errInUse
	}
	return nil // some file systems have no locks
}

// createPart creates a file that does not exist yet and that only this user can access.
func createPart(dir *os.Root, name string, mode fs.FileMode) (partFile, error) {
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A filePart is an incomplete file.
type filePart struct {
	file partFile // nil: there is none that can be continued
	have int64    // bytes that are here from an earlier attempt
}

// openFilePart opens and hashes the existing part of a file. It does not open anything that
// cannot be a part of the item.
func openFilePart(dir *os.Root, name string, item *described, digest hash.Hash) (*filePart, error) {
	p := new(filePart)
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	if item.kind != kindFile || !info.Mode().IsRegular() || info.Size() > item.size {
		return p, nil
	}
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	err = lock(f)
	var opened fs.FileInfo
	if err == nil {
		opened, err = f.Stat()
	}
	if p.file = f; err == nil && (!os.SameFile(info, opened) || !p.isAt(dir, name)) {
		err = errInUse // or was, until it got its name
	}
	if p.file = nil; err == nil && hasOtherName(f) {
		f.Close()
		return p, nil
	}
	if err == nil {
		p.have, err = io.CopyN(digest, f, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	p.file = f
	return p, nil
}

// isAt reports whether the part is the file called name in dir.
func (p *filePart) isAt(dir *os.Root, name string) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	ours, err := p.file.Stat()
	return err == nil && os.SameFile(there, ours)
}

// setExecutable makes a continued part executable, or not, as the item is. An earlier item may have
// differed in that. Some file systems cannot hold it.
func (p *filePart) setExecutable(dir *os.Root, name string, executable bool) {
	info, err := p.file.Stat()
	if err != nil || p.have == 0 || isExecutable(info.Mode()) == executable {
		return
	}
	mode := info.Mode().Perm() &^ 0o111
	if executable {
		mode |= mode & 0o444 >> 2 // whoever can read it
	}
	_ = dir.Chmod(name, mode)
}

// replace begins the part again in a new file. The old one has been renamed.
func (p *filePart) replace(f partFile) {
	if p.file != nil {
		p.file.Close()
	}
	p.file, p.have = f, 0
}

// close closes the part and returns the number of bytes kept for the next attempt. It removes an
// empty part, while that is still locked: another receiver could take it after that.
func (p *filePart) close(dir *os.Root, name string) (kept int64) {
	if p.file == nil {
		return 0
	}
	if p.isAt(dir, name) {
		if kept = used(dir, name); kept == 0 {
			_ = dir.Remove(name) // or it is found the next time
		}
	}
	p.file.Close()
	p.file = nil
	return kept
}

// placeFile gives a complete file its name unless the name exists.
func placeFile(dir *os.Root, part, name string) error {
	err := dir.Link(part, name)
	if err == nil {
		return dir.Remove(part)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	// The file system has no links. The first to create the name owns it.
	f, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	f.Close()
	if err := dir.Rename(part, name); err != nil {
		_ = dir.Remove(name)
		return err
	}
	return nil
}

// A folderPart is an incomplete folder.
type folderPart struct {
	dir     *os.Root // the hidden folder
	tree    *os.Root // the folder with the complete files, inside dir
	held    *os.File // locked against other receivers
	entries []entry  // the entries of tree when it was opened
	placed  bool     // tree has been given its name
}

// openFolderPart opens the existing part of a folder; nil: there is nothing that can be
// continued.
func openFolderPart(dir *os.Root, name string) (*folderPart, error) {
	info, err := dir.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := enter(dir, name)
	if errors.Is(err, errInUse) {
		return nil, err
	}
	if err != nil {
		return nil, nil // we did not make this folder
	}
	if p.entries, err = scan(p.tree); err != nil {
		p.release()
		return nil, nil // it cannot be archived
	}
	p.restore()
	return p, nil
}

// createFolderPart creates the hidden folder for a new folder.
func createFolderPart(dir *os.Root, name string) (*folderPart, error) {
	if err := dir.Mkdir(name, 0o700); err != nil {
		return nil, err
	}
	if err := dir.Mkdir(name+"/"+treeFolder, 0o777); err != nil {
		return nil, err
	}
	return enter(dir, name)
}

// enter opens and locks the hidden folder.
func enter(dir *os.Root, name string) (*folderPart, error) {
	p := new(folderPart)
	var err error
	if p.dir, err = dir.OpenRoot(name); err != nil {
		return nil, err
	}
	if p.held, err = p.dir.Open("."); err == nil {
		err = lock(p.held)
	}
	if err == nil {
		p.tree, err = p.dir.OpenRoot(treeFolder)
	}
	if err == nil && !p.isAt(dir, name) {
		err = errInUse // or was, until it was renamed
	}
	if err != nil {
		p.release()
		return nil, err
	}
	return p, nil
}

// isAt reports whether the part is the folder called name in dir.
func (p *folderPart) isAt(dir *os.Root, name string) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	ours, err := p.held.Stat()
	return err == nil && os.SameFile(there, ours)
}

func (p *folderPart) release() {
	if p.tree != nil {
		p.tree.Close()
	}
	if p.held != nil {
		p.held.Close()
	}
	p.dir.Close()
}

// place moves the file that was written last to the path of its entry.
func (p *folderPart) place(e *entry) error {
	if err := p.dir.Chtimes(currentFile, e.modified, e.modified); err != nil {
		return err
	}
	info, err := p.dir.Lstat(currentFile)
	if err != nil {
		return err
	}
	if isExecutable(info.Mode()) != e.executable || !info.ModTime().Equal(e.modified) {
		if err := p.note(e); err != nil {
			return err
		}
	}
	return p.dir.Rename(currentFile, treeFolder+"/"+e.path)
}

// close closes the part and returns how many bytes of it are kept for the next attempt. It
// removes a part with nothing complete in it.
func (p *folderPart) close(dir *os.Root, name string) (kept int64) {
	if p == nil {
		return 0
	}
	kept, empty := p.kept()
	remove := empty && p.isAt(dir, name)
	p.leave(func() {
		if remove {
			_ = dir.RemoveAll(name) // or it is found the next time
		}
	})
	return kept
}

// kept returns the number of bytes in the part's complete files, and whether there is nothing
// complete in it. A part that cannot be listed may hold files all the same.
func (p *folderPart) kept() (bytes int64, empty bool) {
	if p.placed {
		return 0, false
	}
	entries, err := scan(p.tree)
	for _, e := range entries {
		bytes += e.size
	}
	return bytes, err == nil && bytes == 0
}

// lockOther locks the part called name, which no part of ours has open, so that it can be
// renamed. The caller closes it.
func lockOther(dir *os.Root, name string) (io.Closer, error) {
	info, err := dir.Lstat(name)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return io.NopCloser(nil), nil // no receiver is writing it
	}
	f, err := dir.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // in case it is a FIFO by now
	if err != nil {
		return io.NopCloser(nil), nil // it is not ours
	}
	if err := lock(f); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
