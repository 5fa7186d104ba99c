package transfer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

const (
	// maxEntries bounds the number of entries in a folder, so that their list fits in memory.
	maxEntries = 1 << 20
	// maxPath bounds a path inside a folder and the target of a link, in bytes, as systems do.
	maxPath = 4096
	// maxDepth bounds the depth of nested folders.
	maxDepth = 128
	// blockLen is the length of an archive's blocks in bytes. Two empty blocks end an archive.
	blockLen   = 512
	trailerLen = 2 * blockLen
)

// ErrFolder says that a folder contains something that cannot be sent, or an archive something
// that cannot be accepted.
var ErrFolder = errors.New("transfer: the folder has something that cannot be sent")

func badEntry(name, format string, a ...any) error {
	return &folderError{fmt.Errorf("transfer: %q %s", name, fmt.Sprintf(format, a...))}
}

// A folderError is an ErrFolder. Its text is that of err, the reason.
type folderError struct{ err error }

func (e *folderError) Error() string { return e.err.Error() }

func (e *folderError) Unwrap() []error { return []error{ErrFolder, e.err} }

// An entry is a file, a folder or a link inside a folder.
type entry struct {
	path       string // relative to the folder, with slashes
	mode       fs.FileMode
	size       int64     // of a file
	modified   time.Time // of a file, to the second
	executable bool      // of a file
	target     string    // of a link
}

// header returns the entry's archive header. It contains only what any receiver can restore.
func (e *entry) header() *tar.Header {
	h := &tar.Header{Format: tar.FormatPAX, Name: e.path, Typeflag: tar.TypeReg, Mode: 0o644, Size: e.size, ModTime: e.modified}
	switch {
	case e.mode.IsDir():
		h.Name, h.Typeflag, h.Mode, h.ModTime = e.path+"/", tar.TypeDir, 0o755, time.Unix(0, 0)
	case e.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Mode, h.Linkname, h.ModTime = tar.TypeSymlink, 0o777, e.target, time.Unix(0, 0)
	case e.executable:
		h.Mode = 0o755
	}
	return h
}

// isExecutable reports whether the owner of a file may execute it.
func isExecutable(mode fs.FileMode) bool { return mode&0o100 != 0 }

// scan lists the contents of a folder, each folder before its contents, sorted by the bytes of
// the names.
func scan(root *os.Root) ([]entry, error) {
	var all []entry
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if len(all) == maxEntries {
			return badEntry(name, "is one of more than %d files", maxEntries)
		}
		if err := checkPath(name); err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{path: name, mode: info.Mode().Type()}
		switch {
		case info.IsDir():
		case info.Mode().IsRegular():
			e.size, e.executable, e.modified = info.Size(), isExecutable(info.Mode()), plainTime(info.ModTime())
		case e.mode&fs.ModeSymlink != 0:
			if e.target, err = root.Readlink(name); err != nil {
				return err
			}
			if err := checkTarget(name, e.target); err != nil {
				return err
			}
		default:
			return badEntry(name, "is neither a file nor a folder nor a link")
		}
		all = append(all, e)
		return nil
	})
	return all, err
}

// plainTime returns a time that every receiver can restore: in whole seconds, and not before
// 1970.
func plainTime(t time.Time) time.Time {
	return time.Unix(min(max(t.Unix(), 0), maxModified), 0)
}

// checkPath refuses a path that leads out of its folder or has a part with a forbidden name.
func checkPath(name string) error {
	switch {
	case len(name) > maxPath:
		return badEntry(name[:64]+"...", "has a path of more than %d bytes", maxPath)
	case !fs.ValidPath(name) || name == ".":
		return badEntry(name, "is not a path inside the folder")
	case strings.Count(name, "/") >= maxDepth:
		return badEntry(name, "is deeper than %d folders", maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if err := checkPart(part); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget refuses a link that leads out of the folder. Its target may contain ".." only at
// the beginning, where it applies to a real folder; after the name of another link it could lead
// anywhere.
func checkTarget(name, target string) error {
	outside := badEntry(name, "is a link out of the folder")
	if target == "" || len(target) > maxPath || path.IsAbs(target) {
		return outside
	}
	up, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		if part != ".." {
			down = true
			if err := checkPart(part); err != nil && part != "." {
				return err
			}
			continue
		}
		if up++; down || up > strings.Count(name, "/") {
			return outside
		}
	}
	return nil
}

// archiveLen returns the length of the archive of entries, in bytes.
func archiveLen(entries []entry) (int64, error) {
	var n counter
	for i := range entries {
		if err := tar.NewWriter(&n).WriteHeader(entries[i].header()); err != nil {
			return 0, badEntry(entries[i].path, "cannot be put into an archive: %v", err)
		}
		n += counter((entries[i].size + blockLen - 1) / blockLen * blockLen)
	}
	return int64(n) + trailerLen, nil
}

// A counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// pack writes the archive of entries, which scan has found in root. It calls begin with each
// entry before reading it, and changed with each file that changed while it was read. It does not
// write the end of the archive; closing the writer does.
func pack(w *tar.Writer, root *os.Root, entries []entry, begin func(*entry), changed func(e *entry, what string)) error {
	for i := range entries {
		e := &entries[i]
		begin(e)
		if err := w.WriteHeader(e.header()); err != nil {
			return err
		}
		if e.mode.IsRegular() {
			what, err := packFile(w, root, e)
			if err != nil {
				return err
			}
			if what != "" {
				changed(e, what)
			}
		}
	}
	return w.Flush()
}

// packFile writes the content of a file, and returns what happened to it meanwhile; "": nothing.
func packFile(w io.Writer, root *os.Root, e *entry) (change string, err error) {
	f, err := openEntry(root, e)
	if err != nil {
		return "", err
	}
	defer f.Close()
	opened, err := f.Stat()
	if err != nil || !opened.Mode().IsRegular() {
		return "", errors.Join(badEntry(e.path, "is no file any more"), err)
	}
	if n, err := io.CopyN(w, f, e.size); err == io.EOF {
		return "", badEntry(e.path, "became shorter while it was read: %d bytes instead of %d", n, e.size)
	} else if err != nil {
		return "", err
	}
	if e.size == 0 && hidesContent(f) {
		return "", badEntry(e.path, "cannot be sent: %v", errHidden)
	}
	return changeOf(f, opened, e.size), nil
}

// openEntry opens a file of the folder root for reading.
func openEntry(root *os.Root, e *entry) (*os.File, error) {
	f, err := root.OpenFile(e.path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // in case it is a FIFO by now
	if err != nil {
		return nil, badEntry(e.path, "cannot be read: %v", plain(err))
	}
	return f, nil
}

// errHidden says that the size of a file is not that of its content.
var errHidden = errors.New("its size is given as 0, but it has content, as files in /proc do; send a copy of it")

// hidesContent reports whether a file, of which nothing has been read, has content although its
// size is given as 0. A file that has grown meanwhile has another size by now.
func hidesContent(f *os.File) bool {
	n, _ := f.Read(make([]byte, 1))
	if n == 0 {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Size() == 0
}

// An unpacker restores a folder from its archive.
type unpacker struct {
	tree    *os.Root
	folders map[string]bool // the existing folders
	count   int
	// create creates the file to write an entry to, and place moves it to the entry's path.
	create func(executable bool) (partFile, error)
	place  func(e *entry) error
	begin  func(path string)
}

// newUnpacker returns an unpacker for a folder that already has entries.
func newUnpacker(tree *os.Root, entries []entry) *unpacker {
	u := &unpacker{tree: tree, folders: map[string]bool{".": true}, count: len(entries), begin: func(string) {}}
	for _, e := range entries {
		if e.mode.IsDir() {
			u.folders[e.path] = true
		}
	}
	return u
}

// unpack reads an archive, or the rest of one that begins with an entry, up to its end.
func (u *unpacker) unpack(r io.Reader) error {
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return archiveError(err)
		}
		e, err := entryOf(h)
		if err != nil {
			return err
		}
		if u.count++; u.count > maxEntries {
			return badEntry(e.path, "is one of more than %d files", maxEntries)
		}
		if err := u.add(e, archive); err != nil {
			return err
		}
	}
	if n, err := io.Copy(io.Discard, r); err != nil {
		return err
	} else if n > 0 {
		return fmt.Errorf("%w: %d bytes behind the end of the archive", ErrRecord, n)
	}
	return nil
}

// archiveError returns the error of reading an archive: the stream's or the archive's.
func archiveError(err error) error {
	if errors.Is(err, tar.ErrHeader) || errors.Is(err, tar.ErrFieldTooLong) {
		return fmt.Errorf("%w: the archive: %w", ErrRecord, err)
	}
	return err
}

// entryOf reads a header. It accepts only those that entry.header makes.
func entryOf(h *tar.Header) (*entry, error) {
	e := &entry{path: strings.TrimSuffix(h.Name, "/"), size: h.Size, modified: h.ModTime, target: h.Linkname}
	if err := checkPath(e.path); err != nil {
		return nil, err
	}
	switch h.Typeflag {
	case tar.TypeReg:
		e.executable = h.Mode == 0o755
	case tar.TypeDir:
		e.mode = fs.ModeDir
	case tar.TypeSymlink:
		e.mode = fs.ModeSymlink
		if err := checkTarget(e.path, e.target); err != nil {
			return nil, err
		}
	default:
		return nil, badEntry(e.path, "is neither a file nor a folder nor a link")
	}
	for key := range h.PAXRecords { // refuse other features of archives, such as holes
		if key != "path" && key != "linkpath" && key != "size" {
			return nil, badEntry(e.path, "has the attribute %q", key)
		}
	}
	if !sameHeader(h, e.header()) || !validModified(h.ModTime) || !e.mode.IsRegular() && h.Size != 0 {
		return nil, badEntry(e.path, "has a header that otrpipe does not write")
	}
	return e, nil
}

// sameHeader reports whether h has the contents of made, a header of entry.header, and nothing
// else.
func sameHeader(h, made *tar.Header) bool {
	return h.Name == made.Name && h.Mode == made.Mode && h.Size == made.Size && h.Linkname == made.Linkname &&
		h.ModTime.Equal(made.ModTime) &&
		h.Uid == 0 && h.Gid == 0 && h.Uname == "" && h.Gname == "" && h.Devmajor == 0 && h.Devminor == 0
}

// validModified reports whether t is a whole second that an archive can hold without an
// extension.
func validModified(t time.Time) bool {
	return t.Nanosecond() == 0 && t.Unix() >= 0 && t.Unix() <= maxModified
}

// add creates an entry from the next bytes of the archive.
func (u *unpacker) add(e *entry, content io.Reader) error {
	if !u.folders[path.Dir(e.path)] {
		return badEntry(e.path, "is in a folder that is not there")
	}
	u.begin(e.path)
	switch {
	case e.mode.IsDir():
		u.folders[e.path] = true
		return existing(e.path, u.tree.Mkdir(e.path, 0o777))
	case e.mode&fs.ModeSymlink != 0:
		return existing(e.path, u.tree.Symlink(e.target, e.path))
	}
	if _, err := u.tree.Lstat(e.path); err == nil {
		return existing(e.path, fs.ErrExist)
	}
	f, err := u.create(e.executable)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	if err := errors.Join(err, f.Close()); err != nil {
		return archiveError(err)
	}
	return u.place(e)
}

// existing puts the error for something that already exists into words.
func existing(name string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return badEntry(name, "is there twice, or this file system takes it for another one")
	}
	return err
}
