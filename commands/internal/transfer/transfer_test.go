package transfer

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// photos makes a folder with a bit of everything that a folder can hold.
func photos(t testing.TB, dir string) string {
	write(t, filepath.Join(dir, "a.txt"), "first", 0o644)
	write(t, filepath.Join(dir, "run"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, ".hidden"), "a dotfile", 0o600)
	write(t, filepath.Join(dir, "sub/Zoë and bob.jpg"), strings.Repeat("x", 3000), 0o644)
	write(t, filepath.Join(dir, "sub/empty"), "", 0o644)
	write(t, filepath.Join(dir, "sub/"+strings.Repeat("long", 50)), "long", 0o644)
	if err := os.MkdirAll(filepath.Join(dir, "sub/nothing"), 0o755); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{"sub/up": "../a.txt", "down": "sub/nothing", "here": "."} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFilesFoldersAndStreamsArriveAsTheyWere(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	photos(t, filepath.Join(from, "photos"))
	big := make([]byte, 3<<20)
	if testing.Short() {
		big = big[:300_000]
	}
	for i := range big {
		big[i] = byte(rand.Int())
	}
	write(t, filepath.Join(from, "big"), string(big), 0o644)
	write(t, filepath.Join(from, "tool"), "run me", 0o755)
	write(t, filepath.Join(from, "empty"), "", 0o644)
	write(t, filepath.Join(from, ".rc"), "dot", 0o644)
	stream, err := NewStream("notes", io.MultiReader(strings.NewReader("one "), strings.NewReader("two")))
	if err != nil {
		t.Fatal(err)
	}
	items := []*Item{stream}
	for _, name := range []string{"photos", "big", "tool", "empty", ".rc"} {
		items = append(items, item(t, "", filepath.Join(from, name)))
	}
	if err := CheckItems(items); err != nil {
		t.Fatal(err)
	}
	o := uncut(to, items...).run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Fatalf("%v, %v", o.sendErr, o.receiveErr)
	}
	want, got := tree(t, from), tree(t, to)
	if text := got["notes"]; !strings.HasSuffix(text, "one two") {
		t.Errorf("the stream arrived as %q", text)
	}
	delete(got, "notes")
	if !maps.Equal(got, want) {
		t.Errorf("arrived: %q", slices.Sorted(maps.Keys(got)))
	}
	if !slices.Equal(o.sent, o.received) || o.sent[0] != (Done{"notes", 1, 7}) || o.sent[1] != (Done{"photos", 6, 5 + 10 + 9 + 3000 + 4}) {
		t.Errorf("sent %v, received %v", o.sent, o.received)
	}
}

func TestAnItemIsSentByAnotherNameAndAFolderByItsOwn(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	t.Chdir(from)
	write(t, "a", "text", 0o644)
	o := uncut(to, item(t, "b", "a"), item(t, "", ".")).run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Fatalf("%v, %v", o.sendErr, o.receiveErr)
	}
	if got := tree(t, to); len(got) != 3 || got["b"] == "" || got[filepath.Base(from)+"/a"] == "" {
		t.Errorf("arrived: %q", got)
	}
}

// TestACutAnywhereIsMadeGood cuts the line after many numbers of bytes, in either direction:
// nothing incomplete has its name, and the next try completes it.
func TestACutAnywhereIsMadeGood(t *testing.T) {
	from := t.TempDir()
	write(t, filepath.Join(from, "file"), strings.Repeat("file", 20), 0o644)
	write(t, filepath.Join(from, "folder/one"), "1", 0o644)
	write(t, filepath.Join(from, "folder/sub/two"), strings.Repeat("2", 600), 0o755)
	want := tree(t, from)
	items := func() []*Item {
		return []*Item{item(t, "", filepath.Join(from, "file")), item(t, "", filepath.Join(from, "folder"))}
	}
	whole := uncut(t.TempDir(), items()...).run(t)
	if whole.sendErr != nil || whole.receiveErr != nil {
		t.Fatalf("%v, %v", whole.sendErr, whole.receiveErr)
	}
	base := t.TempDir()
	try := func(name string, cutSent, cutBack int) {
		dir := filepath.Join(base, "to")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		first := trial{items: items(), dir: dir, cutSent: cutSent, cutBack: cutBack}
		o := first.run(t)
		if o.receiveErr == nil && o.sendErr == nil {
			t.Fatalf("%s: nobody has noticed the cut", name)
		}
		shown := tree(t, dir)
		maps.DeleteFunc(shown, func(path, _ string) bool { return path[0] == '.' })
		for path, is := range shown {
			if want[path] != is {
				t.Fatalf("%s: %s is %q", name, path, is)
			}
		}
		_, file := shown["file"]
		_, folder := shown["folder"]
		if folder && len(shown) != len(want) || len(o.received) > 0 != file || len(o.sent) > len(o.received) {
			t.Fatalf("%s: %v is there, %v was received, %v sent", name, shown, o.received, o.sent)
		}
		var rest []*Item
		for _, it := range items() {
			if _, there := shown[it.name]; !there {
				rest = append(rest, it)
			}
		}
		if len(rest) == 0 {
			return
		}
		o = uncut(dir, rest...).run(t)
		if o.sendErr != nil || o.receiveErr != nil || len(o.aside) > 0 {
			t.Fatalf("%s, the next try: %v, %v, aside %v", name, o.sendErr, o.receiveErr, o.aside)
		}
		if got := tree(t, dir); !maps.Equal(got, want) {
			t.Fatalf("%s: in the end %v is there", name, got)
		}
	}
	step := 13 // prime to the lengths of records, so that every field of some is cut
	switch {
	case testing.Short():
		step = 197
	case slowtest.LeftOut():
		step = 53
	}
	for n := 0; n < whole.toReceiver; n += step {
		try("sent "+string(rune('0'+n%10)), n, -1)
	}
	for n := 0; n < whole.toSender; n += step {
		try("answered", -1, n)
	}
}

func TestWhatIsThereIsNotSentAgain(t *testing.T) {
	slowtest.SkipShort(t)
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("0123456789", 100_000), 0o644)
	write(t, filepath.Join(from, "folder/a"), strings.Repeat("a", 500_000), 0o644)
	folder := filepath.Dir(write(t, filepath.Join(from, "folder/b"), strings.Repeat("b", 500_000), 0o755))
	o := trial{items: []*Item{item(t, "", file)}, dir: to, cutSent: 700_000, cutBack: -1}.run(t)
	if len(o.kept) != 1 || !strings.HasPrefix(o.kept[0], "file ") {
		t.Fatalf("kept: %v, %v", o.kept, o.receiveErr)
	}
	o = trial{items: []*Item{item(t, "", folder)}, dir: to, cutSent: 900_000, cutBack: -1}.run(t)
	if !slices.Equal(o.kept, []string{"folder 500000"}) {
		t.Fatalf("kept: %v, %v", o.kept, o.receiveErr)
	}
	o = uncut(to, item(t, "", file), item(t, "", folder)).run(t)
	if o.sendErr != nil || o.receiveErr != nil || len(o.kept)+len(o.aside) > 0 {
		t.Fatalf("%v, %v, %v, %v", o.sendErr, o.receiveErr, o.kept, o.aside)
	}
	if o.toReceiver > 1_000_000 {
		t.Errorf("%d bytes were sent the second time", o.toReceiver)
	}
	if got, want := tree(t, to), tree(t, from); !maps.Equal(got, want) {
		t.Errorf("arrived: %v", slices.Sorted(maps.Keys(got)))
	}
}

func TestWhatDoesNotBeginTheSameIsKeptAside(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "file"), "the new text", 0o644)
	write(t, filepath.Join(from, "folder/a"), "the new a", 0o644)
	folder := filepath.Dir(write(t, filepath.Join(from, "folder/b"), "b", 0o644))
	write(t, filepath.Join(to, partName("file")), "the old", 0o644)
	write(t, filepath.Join(to, asideName("file", 1)), "older", 0o644)
	write(t, filepath.Join(to, partName("folder"), treeFolder, "a"), "the old a", 0o644)
	o := uncut(to, item(t, "", file), item(t, "", folder)).run(t)
	if o.sendErr != nil || o.receiveErr != nil || !slices.Equal(o.aside, []string{"file.unfinished-2", "folder.unfinished"}) {
		t.Fatalf("%v, %v, aside %v", o.sendErr, o.receiveErr, o.aside)
	}
	got := tree(t, to)
	for name, text := range map[string]string{
		"file": "the new text", "file.unfinished": "older", "file.unfinished-2": "the old", "folder/a": "the new a", "folder/b": "b",
		"folder.unfinished/complete/a": "the old a",
	} {
		if !strings.HasSuffix(got[name], text) {
			t.Errorf("%s is %q", name, got[name])
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "file"), "theirs", 0o644)
	write(t, filepath.Join(to, "file"), "ours", 0o644)
	o := uncut(to, item(t, "other", file), item(t, "", file)).run(t)
	stopped := (*StoppedError)(nil)
	if !errors.As(o.sendErr, &stopped) || stopped.Reason != "not taken: file exists already" || !errors.Is(o.receiveErr, ErrRefused) {
		t.Errorf("%v; %v", o.sendErr, o.receiveErr)
	}
	if got := tree(t, to); len(got) != 1 || !strings.HasSuffix(got["file"], "ours") {
		t.Errorf("there is %v", got)
	}
	// A name that is taken while the file arrives.
	for _, existing := range []string{"file", "link"} {
		to := t.TempDir()
		o := trial{items: []*Item{item(t, existing, file)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.Progress = func(string, int64, int64) {
				if existing == "link" {
					_ = os.Symlink("nowhere", filepath.Join(to, existing))
				} else {
					write(t, filepath.Join(to, existing), "ours", 0o644)
				}
			}
		}}.run(t)
		if !errors.Is(o.receiveErr, ErrRefused) || o.sendErr == nil || tree(t, to)[existing] == tree(t, from)["file"] {
			t.Errorf("%v; %v; %v", o.sendErr, o.receiveErr, tree(t, to))
		}
	}
}

func TestRoomAndLimitsAreCheckedFirst(t *testing.T) {
	from := t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("x", 1000), 0o644)
	for name, test := range map[string]struct {
		configure func(*receiver)
		reason    string
	}{
		"no room":  {func(r *receiver) { r.free = func(*os.Root) (int64, bool) { return 999, true } }, "there is not enough room: it needs 1.0 kB, which is 1 B more than is free"},
		"too much": {func(r *receiver) { r.MaxBytes = 999 }, "it is more than the receiver's limit of 999 B"},
	} {
		to := t.TempDir()
		o := trial{items: []*Item{item(t, "", file)}, dir: to, cutSent: -1, cutBack: -1, configure: test.configure}.run(t)
		stopped := (*StoppedError)(nil)
		if !errors.As(o.sendErr, &stopped) || stopped.Reason != "not taken: "+test.reason || o.toReceiver > 200 {
			t.Errorf("%s: %v after %d bytes", name, o.sendErr, o.toReceiver)
		}
		if got := tree(t, to); len(got) > 0 {
			t.Errorf("%s: there is %v", name, got)
		}
	}
	// What is there already needs no more room, and a stream is cut off at the limit.
	to := t.TempDir()
	write(t, filepath.Join(to, partName("file")), strings.Repeat("x", 400), 0o644)
	o := trial{items: []*Item{item(t, "", file)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
		r.free = func(*os.Root) (int64, bool) { return 600, true }
		r.MaxBytes = 1000
	}}.run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Errorf("%v, %v", o.sendErr, o.receiveErr)
	}
	folder := filepath.Dir(write(t, filepath.Join(from, "folder/a"), strings.Repeat("x", 1_000_000), 0o644))
	write(t, filepath.Join(folder, "b"), strings.Repeat("x", 1_000_000), 0o644)
	if o := (trial{items: []*Item{item(t, "", folder)}, dir: to, cutSent: 1_500_000, cutBack: -1}).run(t); o.receiveErr == nil {
		t.Error("the folder arrived over a line that was cut")
	}
	o = trial{items: []*Item{item(t, "", folder)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
		r.free = func(*os.Root) (int64, bool) { return 1_100_000, true }
	}}.run(t)
	if o.sendErr != nil || o.receiveErr != nil {
		t.Errorf("a folder of which half is here: %v, %v", o.sendErr, o.receiveErr)
	}
	// Longer than the limit and than what is on the way at once, but not endless.
	long, _ := NewStream("long", io.LimitReader(zeros{}, 8<<20))
	o = trial{items: []*Item{long}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) { r.MaxBytes = 1 << 20 }}.run(t)
	if !errors.Is(o.receiveErr, ErrRefused) || o.sendErr == nil || taken2(to, "long") {
		t.Errorf("%v, %v", o.sendErr, o.receiveErr)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func taken2(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

func TestAFullDiskIsToldAndWhatFitsIsKept(t *testing.T) {
	from := t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("x", 1_000_000), 0o644)
	folder := filepath.Dir(write(t, filepath.Join(from, "folder/a"), strings.Repeat("x", 1_000_000), 0o644))
	for _, it := range []*Item{item(t, "", file), item(t, "", folder)} {
		to := t.TempDir()
		o := trial{items: []*Item{it}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.create = func(dir *os.Root, name string, mode fs.FileMode) (partFile, error) {
				f, err := createPart(dir, name, mode)
				return &fullDisk{partFile: f, room: 300_000}, err
			}
		}}.run(t)
		stopped := (*StoppedError)(nil)
		if want := it.name + " cannot be written: no space left on device"; !errors.As(o.sendErr, &stopped) || stopped.Reason != want ||
			!errors.Is(o.receiveErr, syscall.ENOSPC) {
			t.Errorf("%s: %v; %v", it.name, o.sendErr, o.receiveErr)
		}
		if taken2(to, it.name) {
			t.Errorf("%s is there", it.name)
		}
		o = uncut(to, it).run(t)
		if o.sendErr != nil || o.receiveErr != nil || tree(t, to)["folder/a"]+tree(t, to)["file"] == "" {
			t.Errorf("%s, once there is room: %v; %v", it.name, o.sendErr, o.receiveErr)
		}
	}
}

// A fullDisk is a file on a disk that has room for so many bytes.
type fullDisk struct {
	partFile
	room int
}

func (f *fullDisk) Write(p []byte) (int, error) {
	if len(p) > f.room {
		n, _ := f.partFile.Write(p[:f.room])
		f.room = 0
		return n, &fs.PathError{Op: "write", Path: "/secret/place", Err: syscall.ENOSPC}
	}
	f.room -= len(p)
	return f.partFile.Write(p)
}

func TestASenderThatCannotGoOnSaysWhy(t *testing.T) {
	from := t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("x", 1000), 0o644)
	it := item(t, "", file)
	inside := write(t, filepath.Join(from, "folder/a"), strings.Repeat("x", 1000), 0o644)
	folder := item(t, "", filepath.Dir(inside))
	shorten := func(r *receiver) {
		r.free = func(*os.Root) (int64, bool) { // after the offer
			write(t, file, "shorter", 0o644)
			write(t, inside, "shorter", 0o644)
			return 0, false
		}
	}
	broken, _ := NewStream("broken", io.MultiReader(strings.NewReader("text"), failing{}))
	for want, it := range map[string]*Item{
		"file became shorter while it was sent":                    it,
		`"a" became shorter while it was read: 7 bytes instead of`: folder,
		"broken cannot be read: input/output error":                broken,
	} {
		to := t.TempDir()
		write(t, file, strings.Repeat("x", 1000), 0o644)
		write(t, inside, strings.Repeat("x", 1000), 0o644)
		o := trial{items: []*Item{it}, dir: to, cutSent: -1, cutBack: -1, configure: shorten}.run(t)
		stopped := (*StoppedError)(nil)
		if !errors.As(o.receiveErr, &stopped) || !strings.Contains(stopped.Reason, want) || o.sendErr == nil || taken2(to, it.name) {
			t.Errorf("%s: %v; %v", it.name, o.sendErr, o.receiveErr)
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, syscall.EIO }

func TestTwoOfOneRoleSaySo(t *testing.T) {
	file := item(t, "", write(t, filepath.Join(t.TempDir(), "file"), "text", 0o644))
	one, other := connect(-1, -1)
	errs := make(chan error, 2)
	for _, link := range []*side{one, other} {
		go func() {
			_, err := Send(link, []*Item{file}, func(string, int64, int64) {})
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrSameRole) && !strings.Contains(err.Error(), "each is the sender") {
			t.Errorf("%v", err)
		}
	}
	dir, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	one, other = connect(-1, -1)
	for _, link := range []*side{one, other} {
		go func() {
			_, err := Receive(link, ReceiveConfig{Dir: dir})
			errs <- err
		}()
	}
	for range 2 {
		if err := <-errs; !errors.Is(err, ErrSameRole) && !strings.Contains(err.Error(), "each is the receiver") {
			t.Errorf("%v", err)
		}
	}
}

func TestTwoReceiversDoNotWriteOneFile(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := write(t, filepath.Join(from, "file"), strings.Repeat("x", 1_000_000), 0o644)
	folder := filepath.Dir(write(t, filepath.Join(from, "folder/a"), strings.Repeat("x", 1_000_000), 0o644))
	for _, path := range []string{file, folder} {
		var second outcome
		once := false
		first := trial{items: []*Item{item(t, "", path)}, dir: to, cutSent: -1, cutBack: -1, configure: func(r *receiver) {
			r.Progress = func(string, int64, int64) {
				if !once {
					once = true
					second = uncut(to, item(t, "", path)).run(t)
				}
			}
		}}.run(t)
		if first.sendErr != nil || first.receiveErr != nil || second.receiveErr == nil || second.sendErr == nil {
			t.Errorf("%s: %v, %v; the second %v, %v", path, first.sendErr, first.receiveErr, second.sendErr, second.receiveErr)
		}
	}
	if got, want := tree(t, to), tree(t, from); !maps.Equal(got, want) {
		t.Errorf("arrived: %v", slices.Sorted(maps.Keys(got)))
	}
}
