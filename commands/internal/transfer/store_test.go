package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACompleteFileThatIsStillAPartIsNotWrittenTo(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	old := strings.Repeat("x", 1000)
	part := write(t, filepath.Join(to, partName("log")), old, 0o644)
	// A receiver was killed between the two names, and then the file was renamed.
	if err := os.Link(part, filepath.Join(to, "log.1")); err != nil {
		t.Skip("no hard links:", err)
	}
	o := uncut(to, item(t, "", write(t, filepath.Join(from, "log"), old+"more", 0o644))).run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Errorf("%v, %v", o.sendErr, o.receiveErr)
	}
	if got, err := os.ReadFile(filepath.Join(to, "log.1")); err != nil || string(got) != old {
		t.Errorf("the earlier file has %d bytes, %v", len(got), err)
	}
}

func TestOnlyTheFileThatWasWrittenGetsTheName(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		to := t.TempDir()
		part := filepath.Join(to, partName("name"))
		stream, err := NewStream("name", strings.NewReader("text"))
		if err != nil {
			t.Fatal(err)
		}
		o := trial{items: []*Item{stream}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.Progress = func(string, int64, int64) {
				if err := os.Remove(part); err != nil {
					t.Error(err)
				}
				if replaced {
					write(t, part, "another receiver's", 0o644)
				}
			}
		}}.run(t)
		if o.sendErr == nil || o.receiveErr == nil || taken2(to, "name") {
			t.Errorf("replaced: %v: %v, %v, %v", replaced, o.sendErr, o.receiveErr, tree(t, to))
		}
	}
}

func TestAFileWithoutAPartLeavesNoEmptyOne(t *testing.T) {
	to := t.TempDir()
	dir, err := os.OpenRoot(to)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := placeFile(dir, "missing", "name"); err == nil || taken2(to, "name") {
		t.Errorf("%v; %v", err, tree(t, to))
	}
}

func TestAFolderThatCannotBeListedIsKept(t *testing.T) {
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
	file := write(t, filepath.Join(to, part, treeFolder, "a"), "text", 0o644)
	// The second time it cannot be listed, because it is closed.
	if first := p.close(dir, part); first != 4 {
		t.Errorf("%d bytes are kept", first)
	}
	p.close(dir, part)
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestAFolderThatCannotBeReadIsNotSaidToHaveTheName(t *testing.T) {
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir.Close() // so that nothing in it can be looked up
	r := newReceiver(nil, ReceiveConfig{Dir: dir})
	r.items = []described{{kind: kindStream, name: "name", size: -1}}
	if err := r.checkOffer(); err == nil || errors.Is(err, ErrRefused) {
		t.Fatalf("the offer: %v", err)
	}
	if err := r.keepAside("name", partName("name"), false); err == nil {
		t.Error("something was kept aside")
	}
}
