//go:build unix

package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A watchedFile reports when it is closed.
type watchedFile struct {
	partFile
	closing func()
}

func (f *watchedFile) Close() error {
	f.closing()
	return f.partFile.Close()
}

// Between the end of the lock and the removal, another receiver could take the part.
func TestAnEmptyPartIsRemovedBeforeItIsUnlocked(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("x", 1000), 0o644)
	part := filepath.Join(to, partName("file"))
	closed := 0
	o := trial{items: []*Item{item(t, "", file)}, dir: to, cutSent: 100, cutBack: -1, configure: func(r *receiver) {
		r.create = func(dir *os.Root, name string, mode fs.FileMode) (partFile, error) {
			f, err := createPart(dir, name, mode)
			return &watchedFile{f, func() {
				closed++
				if _, err := os.Lstat(part); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("the part is there when it is unlocked: %v", err)
				}
			}}, err
		}
	}}.run(t)
	if o.receiveErr == nil || closed != 1 {
		t.Errorf("%v; closed %d times", o.receiveErr, closed)
	}
}

// isLocked reports whether another receiver could not take the file or folder at path.
func isLocked(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return errors.Is(lock(f), errInUse)
}

func TestAPartIsKeptAsideBeforeItIsUnlocked(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "file"), "the new text", 0o644)
	write(t, filepath.Join(from, "folder/a"), "the new text", 0o644)
	for name, old := range map[string]string{"file": partName("file"), "folder": partName("folder") + "/" + treeFolder + "/a"} {
		to := t.TempDir()
		write(t, filepath.Join(to, old), "the old text", 0o644)
		aside := 0
		o := trial{items: []*Item{item(t, "", filepath.Join(from, name))}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.KeptAside = func(_, path string) {
				aside++
				if !isLocked(t, filepath.Join(to, path)) {
					t.Errorf("%s is not locked any more", path)
				}
			}
		}}.run(t)
		if o.sendErr != nil || o.receiveErr != nil || aside != 1 {
			t.Errorf("%s: %v, %v, kept aside %d times", name, o.sendErr, o.receiveErr, aside)
		}
	}
}

// What another receiver is writing is not renamed either if it is part of something else.
func TestAPartThatAnotherReceiverWritesIsNotKeptAside(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "files/name"), "text", 0o644)
	write(t, filepath.Join(from, "folders/name/a"), "text", 0o644)
	for _, kind := range []string{"files", "folders"} {
		to := t.TempDir()
		part := write(t, filepath.Join(to, partName("name")), "another one's, which is longer", 0o644)
		f, err := os.Open(part)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := lock(f); err != nil {
			t.Fatal(err)
		}
		o := uncut(to, item(t, "", filepath.Join(from, kind, "name"))).run(t)
		if o.sendErr == nil || !errors.Is(o.receiveErr, errInUse) || len(o.aside) > 0 || len(tree(t, to)) != 1 {
			t.Errorf("%s: %v, %v, aside %v", kind, o.sendErr, o.receiveErr, o.aside)
		}
	}
}

// A receiver that opened a part just before it was renamed has another folder than the one of
// that name.
func TestAFolderThatIsNoLongerThePartIsNotTakenForIt(t *testing.T) {
	to := t.TempDir()
	dir, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	part := partName("folder")
	p, err := createFolderPart(dir, part)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(to, part, treeFolder, "a"), "ours", 0o644)
	if err := dir.Rename(part, "aside"); err != nil {
		t.Fatal(err)
	}
	others := write(t, filepath.Join(to, part, treeFolder, "b"), "another receiver's", 0o644)
	if p.isAt(dir, part) || !p.isAt(dir, "aside") {
		t.Error("it is taken for the other one")
	}
	if err := p.placeAll(dir, part, "folder"); err != nil {
		t.Fatal(err)
	}
	if p.close(dir, part); !taken2(filepath.Dir(others), "b") || !taken2(to, "folder/a") {
		t.Errorf("there is %v", tree(t, to))
	}
}
