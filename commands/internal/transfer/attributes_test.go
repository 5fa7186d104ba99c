package transfer

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"otrpipe/testscripts/slowtest"
)

// withoutBits creates files as a file system does that has no bit for executable files.
func withoutBits(r *receiver) {
	r.create = func(dir *os.Root, name string, mode fs.FileMode) (partFile, error) {
		return createPart(dir, name, mode&^0o111)
	}
}

func TestAFileIsContinuedWhereNothingIsExecutable(t *testing.T) {
	from := t.TempDir()
	file := write(t, filepath.Join(from, "tool"), strings.Repeat("x", 400_000), 0o755)
	to := t.TempDir()
	trial{items: []*Item{item(t, "", file)}, dir: to, cutSent: 300_000, cutBack: -1, configure: withoutBits}.run(t)
	o := uncut(to, item(t, "", file)).run(t)
	if o.sendErr != nil || o.receiveErr != nil || len(o.aside) > 0 || o.toReceiver > 200_000 {
		t.Errorf("%v, %v, aside %v, %d bytes", o.sendErr, o.receiveErr, o.aside, o.toReceiver)
	}
	// This file system has the bit.
	if got, want := tree(t, to), tree(t, from); !maps.Equal(got, want) {
		t.Errorf("arrived: %.40q", got["tool"])
	}
}

func TestAFileThatIsNoLongerExecutableIsContinued(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "tool"), "not a tool any more", 0o644)
	write(t, filepath.Join(to, partName("tool")), "not a tool", 0o755)
	o := uncut(to, item(t, "", file)).run(t)
	if got := tree(t, to); o.receiveErr != nil || len(o.aside) > 0 || !maps.Equal(got, tree(t, from)) {
		t.Errorf("%v, aside %v: %v", o.receiveErr, o.aside, got)
	}
}

func TestAFolderIsContinuedWhereNothingIsExecutable(t *testing.T) {
	slowtest.SkipShort(t)
	from := t.TempDir()
	write(t, filepath.Join(from, "tools/a"), strings.Repeat("a", 400_000), 0o755)
	folder := filepath.Dir(write(t, filepath.Join(from, "tools/b"), strings.Repeat("b", 400_000), 0o755))
	start := func(to string) {
		o := trial{items: []*Item{item(t, "", folder)}, dir: to, cutSent: 700_000, cutBack: -1, configure: withoutBits}.run(t)
		if !slices.Equal(o.kept, []string{"tools 400000"}) {
			t.Fatalf("kept %v", o.kept)
		}
	}
	resume := func(to string) outcome {
		o := trial{items: []*Item{item(t, "", folder)}, dir: to, cutSent: -1, cutBack: -1, configure: withoutBits}.run(t)
		if o.sendErr != nil || o.receiveErr != nil {
			t.Fatalf("%v, %v", o.sendErr, o.receiveErr)
		}
		return o
	}
	to := t.TempDir()
	start(to)
	// Such a file system rounds times, too.
	rounded := time.Unix(1_700_000_002, 0)
	if err := os.Chtimes(filepath.Join(to, partName("tools"), treeFolder, "a"), rounded, rounded); err != nil {
		t.Fatal(err)
	}
	if o := resume(to); len(o.aside) > 0 || o.toReceiver > 500_000 {
		t.Errorf("%d bytes were sent the second time; aside %v", o.toReceiver, o.aside)
	}
	if names, err := os.ReadDir(to); err != nil || len(names) != 1 {
		t.Errorf("there is %v, %v", names, err)
	}
	// What is noted wrongly does not get into the folder.
	for _, noted := range []string{`{"path":"a","modified":1}`, `{"path":"a","executable":true,"modi`, "\x00", ""} {
		to := t.TempDir()
		start(to)
		if err := os.WriteFile(filepath.Join(to, partName("tools"), attributesFile), []byte(noted), 0o600); err != nil {
			t.Fatal(err)
		}
		if o := resume(to); len(o.aside) != 1 || o.toReceiver < 800_000 {
			t.Errorf("%q: %d bytes were sent the second time; aside %v", noted, o.toReceiver, o.aside)
		}
	}
}
