package transfer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// A power failure takes away everything that was not flushed to disk, also names.
func TestWhatTheSenderIsToldIsStoredIsOnDisk(t *testing.T) {
	from := t.TempDir()
	folder := photos(t, filepath.Join(from, "photos"))
	file := write(t, filepath.Join(from, "file"), "text", 0o644)
	to := t.TempDir()
	var mu sync.Mutex
	var flushed []fs.FileInfo
	targets := 0 // how often the target folder was flushed: once for each name in it
	o := trial{items: []*Item{item(t, "", folder), item(t, "", file)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
		r.sync = func(f *os.File) error {
			mu.Lock()
			defer mu.Unlock()
			info, err := f.Stat()
			if err != nil {
				return err
			}
			flushed = append(flushed, info)
			if target, err := os.Stat(to); err == nil && os.SameFile(info, target) {
				targets++
				if names, _ := os.ReadDir(to); len(names) != targets {
					t.Errorf("flush %d of the target folder has %d names", targets, len(names))
				}
			}
			return f.Sync()
		}
	}}.run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Fatalf("%v, %v", o.sendErr, o.receiveErr)
	}
	missing := func(name string, info fs.FileInfo) {
		for _, one := range flushed {
			if os.SameFile(one, info) {
				return
			}
		}
		t.Errorf("%s was not flushed", name)
	}
	err := filepath.WalkDir(to, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		switch {
		case name == filepath.Join(to, "file"): // it is flushed as an open part
		case info.IsDir() && runtime.GOOS != "windows", info.Mode().IsRegular():
			missing(name, info)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWhatCannotBeFlushedIsNotStored(t *testing.T) {
	from := t.TempDir()
	file := write(t, filepath.Join(from, "file"), "text", 0o644)
	folder := filepath.Join(from, "folder")
	write(t, filepath.Join(folder, "inside/a"), "a", 0o644)
	for _, test := range []struct{ path, fails string }{
		{file, "."}, {folder, "a"}, {folder, "inside"}, {folder, "."},
	} {
		if test.fails != "a" && runtime.GOOS == "windows" {
			continue // it cannot flush folders
		}
		to := t.TempDir()
		o := trial{items: []*Item{item(t, "", test.path)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.sync = func(f *os.File) error {
				info, err := f.Stat()
				if err != nil {
					return err
				}
				target, err := os.Stat(to)
				if err != nil {
					return err
				}
				if os.SameFile(info, target) && test.fails == "." || filepath.Base(f.Name()) == test.fails && test.fails != "." {
					return &fs.PathError{Op: "sync", Path: f.Name(), Err: syscall.EIO}
				}
				return f.Sync()
			}
		}}.run(t)
		if !errors.Is(o.receiveErr, syscall.EIO) || o.sendErr == nil || len(o.sent) > 0 {
			t.Errorf("%s of %s: %v, %v; sent %v", test.fails, filepath.Base(test.path), o.sendErr, o.receiveErr, o.sent)
		}
	}
}
