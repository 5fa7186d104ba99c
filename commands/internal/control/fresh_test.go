//go:build unix

package control

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestACleanerFindsNoOldFilesOfALongSession(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := Listen(dir, alice)
		if err != nil {
			t.Fatal(err)
		}
		held, ok := Hold(dir, "instance")
		if !ok {
			t.Fatal("nobody else has it")
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 3 {
			t.Fatalf("the folder has %v, %v", entries, err)
		}
		old := time.Now().AddDate(-1, 0, 0)
		for _, e := range entries {
			if err := os.Chtimes(filepath.Join(dir, e.Name()), old, old); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		for _, e := range entries {
			info, err := os.Lstat(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if age := time.Since(info.ModTime()); age > 2*freshEvery {
				t.Errorf("%s looks unused for %v", e.Name(), age)
			}
		}
		held.Release()
		l.Close()
	})
}

// remove removes the files of the sessions in dir with an ending, as a careless cleaner does.
func remove(t *testing.T, dir, ending string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*"+ending))
	if err != nil || len(paths) == 0 {
		t.Fatalf("there is no file %s: %v", ending, err)
	}
	for _, path := range paths {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALiveSessionKeepsItsNameWhenItsLockFileIsRemoved(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	remove(t, dir, lockSuffix)
	for range 2 {
		if second, err := Listen(dir, alice); !errors.Is(err, ErrTaken) {
			if err == nil {
				second.Close()
			}
			t.Errorf("a second session of the name: %v", err)
		}
	}
	c, err := Dial(dir, alice)
	if err != nil {
		t.Fatalf("the session is out of reach: %v", err)
	}
	c.Close()
	l.Close()
	next, err := Listen(dir, alice)
	if err != nil {
		t.Fatalf("after its end: %v", err)
	}
	next.Close()
}

func TestASessionWhoseFilesAreRemovedLeavesThoseOfTheNextAlone(t *testing.T) {
	dir := t.TempDir()
	first, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	firstHeld, ok := Hold(dir, "instance")
	if !ok {
		t.Fatal("nobody else has it")
	}
	for _, ending := range []string{lockSuffix, socketSuffix, holdSuffix} {
		remove(t, dir, ending)
	}
	second, err := Listen(dir, alice)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	held, ok := Hold(dir, "instance")
	if !ok || held.Left() {
		t.Fatal("the file is gone, and still counts")
	}
	first.Close()
	firstHeld.Release()
	if _, err := Listen(dir, alice); !errors.Is(err, ErrTaken) {
		t.Errorf("the second session has lost its name: %v", err)
	}
	if _, ok := Hold(dir, "instance"); ok {
		t.Error("two hold a thing")
	}
	c, err := Dial(dir, alice)
	if err != nil {
		t.Fatalf("the second session is out of reach: %v", err)
	}
	c.Close()
	held.Release()
	second.Close()
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("files are left behind: %v", left)
	}
}
