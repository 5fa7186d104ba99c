package transfer

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestEveryRecordHasItsPlace(t *testing.T) {
	expected := map[state][]recordType{
		awaitingHello:  {recordHello},
		awaitingOffer:  {recordOffer},
		awaitingAnswer: {recordAccept},
		awaitingHave:   {recordHave},
		awaitingStart:  {recordStart},
		awaitingData:   {recordData, recordSum},
		sending:        nil,
		awaitingStored: {recordStored},
		awaitingEnd:    nil,
	}
	for s := state(0); s < numStates; s++ {
		e := &end{state: s}
		for kind := recordHello; kind < recordFail; kind++ {
			_, err := e.check(&record{kind: kind}, nil)
			if want := slices.Contains(expected[s], kind); (err == nil) != want || err != nil && !errors.Is(err, ErrRecord) {
				t.Errorf("%v while %v: %v", kind, s, err)
			}
		}
		stopped := (*StoppedError)(nil)
		if _, err := e.check(&record{kind: recordFail, reason: "why"}, nil); !errors.As(err, &stopped) || stopped.Reason != "why" {
			t.Errorf("FAIL while %v: %v", s, err)
		}
		if _, err := e.check(nil, io.EOF); (err == io.EOF) != (s == awaitingEnd) || err != io.EOF && !errors.Is(err, ErrNoReason) {
			t.Errorf("the end while %v: %v", s, err)
		}
	}
}

// receiveFrom runs a receiver against what a sender of any kind says.
func receiveFrom(t testing.TB, dir string, said []byte, configure ...func(*ReceiveConfig)) ([]Done, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	sending, receiving := connect(-1, -1)
	go func() {
		_, _ = sending.Write(said)
		_ = sending.CloseWrite()
	}()
	go func() { _, _ = io.Copy(io.Discard, sending) }()
	cfg := ReceiveConfig{
		Dir: root, Progress: func(string, int64, int64) {}, KeptAside: func(string, string) {}, Kept: func(string, int64) {},
	}
	for _, f := range configure {
		f(&cfg)
	}
	return Receive(receiving, cfg)
}

func records(all ...*record) (b []byte) {
	for _, r := range all {
		b = appendRecord(b, r)
	}
	return b
}

// offering is what a sender says up to the bytes of one item.
func offering(k kind, name string, size int64) []byte {
	return records(&record{kind: recordHello, role: roleSender},
		&record{kind: recordOffer, items: []described{{kind: k, name: name, size: size, modified: time.Unix(0, 0)}}},
		&record{kind: recordStart})
}

func summed(text string) *record { return &record{kind: recordSum, sum: sha256.Sum256([]byte(text))} }

func TestASenderThatIsUpToSomethingLeavesNothing(t *testing.T) {
	data := &record{kind: recordData, data: []byte("right")}
	file := func(size int64, more ...*record) []byte {
		return append(offering(kindFile, "file", size), records(more...)...)
	}
	for name, said := range map[string][]byte{
		"nothing":            nil,
		"noise":              []byte("GET / HTTP/1.1\r\n\r\n"),
		"no hello":           records(&record{kind: recordAccept}),
		"a huge record":      {byte(recordHello), 0xff, 0xff, 0xff, 0xff},
		"a bad name":         offering(kindFile, "../up", 5),
		"an absolute name":   offering(kindFile, "/etc/passwd", 5),
		"a long name":        offering(kindFile, strings.Repeat("n", 300), 5),
		"a huge size":        offering(kindFile, "file", math.MaxInt64),
		"short":              file(6, data, summed("right")),
		"long":               file(4, data, summed("right")),
		"a wrong checksum":   file(5, data, summed("wrong")),
		"no checksum":        file(5, data),
		"two starts":         file(5, &record{kind: recordStart}, data, summed("right")),
		"another start":      records(&record{kind: recordHello, role: roleSender}, &record{kind: recordOffer, items: []described{{kind: kindFile, name: "file", size: 5}}}, &record{kind: recordStart, offset: 3}, data, summed("right")),
		"more than was said": file(5, data, summed("right"), data),
		"the same name twice": records(&record{kind: recordHello, role: roleSender}, &record{kind: recordOffer, items: []described{
			{kind: kindFile, name: "file", size: 5}, {kind: kindFile, name: "file", size: 5}}}),
	} {
		dir := t.TempDir()
		done, err := receiveFrom(t, dir, said)
		if err == nil {
			t.Errorf("%s is taken", name)
		}
		for path := range tree(t, dir) {
			whole := name == "more than was said" && path == "file" && len(done) == 1
			if path[0] != '.' && !whole {
				t.Errorf("%s: %s is there", name, path)
			}
		}
	}
	dir := t.TempDir()
	if done, err := receiveFrom(t, dir, file(5, data, summed("right"))); err != nil || len(done) != 1 || !strings.HasSuffix(tree(t, dir)["file"], "right") {
		t.Errorf("a proper sender: %v, %v", done, err)
	}
}

func TestANameThatIsNotTakenIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	noDotFiles := func(cfg *ReceiveConfig) { cfg.NoDotFiles = "the folder is the user's own" }
	twice := records(&record{kind: recordHello, role: roleSender},
		&record{kind: recordOffer, items: []described{{kind: kindFile, name: "a", modified: time.Unix(0, 0)}, {kind: kindFile, name: "a", modified: time.Unix(0, 0)}}})
	empty := records(&record{kind: recordStart}, summed(""))
	for name, said := range map[string][]byte{
		"an option":               offering(kindFile, "-rf", 0),
		"a control character":     offering(kindFile, "a\nb", 0),
		"another incomplete file": offering(kindFile, partName("a"), 0),
		"a dotfile":               offering(kindFile, ".bashrc", 0),
		"the same name twice":     append(twice, empty...),
	} {
		dir := t.TempDir()
		done, err := receiveFrom(t, dir, append(said, records(summed(""))...), noDotFiles)
		if !errors.Is(err, ErrName) || len(done) != 0 {
			t.Errorf("%s: %v, %v", name, done, err)
		}
		if all := tree(t, dir); len(all) != 0 {
			t.Errorf("%s: %v is there", name, all)
		}
	}
}

func TestNoMoreIsWrittenOfAFileThanWasOffered(t *testing.T) {
	dir := t.TempDir()
	said := append(offering(kindFile, "file", 4), records(&record{kind: recordData, data: []byte("right")}, summed("right"))...)
	if _, err := receiveFrom(t, dir, said); !errors.Is(err, ErrRecord) {
		t.Errorf("%v", err)
	}
	if all := tree(t, dir); len(all) != 0 {
		t.Errorf("%v is there", all)
	}
}

// Nobody knows beforehand how long a stream is.
func TestAStreamEndsAtTheReceiversLimit(t *testing.T) {
	said := append(offering(kindStream, "notes", -1), records(&record{kind: recordData, data: []byte("right")}, summed("right"))...)
	for limit, want := range map[int64]bool{4: false, 5: true} {
		done, err := receiveFrom(t, t.TempDir(), said, func(cfg *ReceiveConfig) { cfg.MaxBytes = limit })
		if (err == nil) != want || len(done) == 1 != want || err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("at most %d bytes: %v, %v", limit, done, err)
		}
	}
}

// archive makes an archive of headers; files have content as long as they say.
func archive(t testing.TB, headers ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if h.ModTime.IsZero() {
			h.ModTime = time.Unix(0, 0)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(bytes.Repeat([]byte("x"), int(h.Size))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func link(name, target string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}
}

func folder(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}
}

func plainFile(name string) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: 3}
}

func TestNoArchiveLeadsOutOfItsFolder(t *testing.T) {
	for name, headers := range map[string][]*tar.Header{
		"an absolute path":             {plainFile("/etc/evil")},
		"a path upwards":               {plainFile("../evil")},
		"a path through its parent":    {folder("a"), plainFile("a/../../evil")},
		"a file behind a link":         {link("a", "."), plainFile("a/evil")},
		"a folder that is not there":   {plainFile("a/evil")},
		"a link upwards":               {link("evil", "..")},
		"a link to an absolute path":   {link("evil", "/etc/passwd")},
		"a link out of a folder":       {folder("a"), link("a/evil", "../../x")},
		"a link through another":       {folder("a"), folder("a/b"), link("a/b/top", "../.."), link("evil", "a/b/top/..")},
		"a link through one inside":    {folder("a"), folder("a/b"), link("a/b/top", "../.."), link("a/evil", "b/top/..")},
		"a link to nothing":            {{Typeflag: tar.TypeSymlink, Name: "evil", Mode: 0o777}},
		"a hard link":                  {plainFile("a"), {Typeflag: tar.TypeLink, Name: "evil", Linkname: "a"}},
		"a device":                     {{Typeflag: tar.TypeChar, Name: "evil", Devmajor: 1, Devminor: 3}},
		"a block device":               {{Typeflag: tar.TypeBlock, Name: "evil"}},
		"a FIFO":                       {{Typeflag: tar.TypeFifo, Name: "evil"}},
		"a set-user-id file":           {{Typeflag: tar.TypeReg, Name: "evil", Mode: 0o4755}},
		"another owner":                {{Typeflag: tar.TypeReg, Name: "evil", Uid: 7}},
		"a name that hides":            {plainFile("evil\u200b")},
		"the same name twice":          {plainFile("a"), plainFile("a")},
		"a file in place of a folder":  {folder("a"), plainFile("a")},
		"a link in place of a folder":  {folder("a"), link("a", ".")},
		"an attribute":                 {{Typeflag: tar.TypeReg, Name: "evil", PAXRecords: map[string]string{"SCHILY.xattr.user.x": "y"}}},
		"a time with a fraction":       {{Typeflag: tar.TypeReg, Name: "evil", Format: tar.FormatPAX, ModTime: time.Unix(1, 5)}},
		"a path that is not canonical": {plainFile("./evil")},
		"deeper than is taken":         {plainFile(strings.Repeat("d/", maxDepth) + "evil")},
	} {
		for i := range headers {
			if headers[i].Typeflag == tar.TypeSymlink && headers[i].Linkname == "" {
				headers[i].Linkname = " "
			}
		}
		text := string(archive(t, headers...))
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		said := append(offering(kindFolder, "folder", int64(len(text))), records(&record{kind: recordData, data: []byte(text)}, summed(text))...)
		_, err := receiveFrom(t, dir, said)
		if !errors.Is(err, ErrFolder) && !errors.Is(err, ErrName) {
			t.Errorf("%s: %v", name, err)
		}
		for path := range tree(t, outer) {
			if path != "in" && !strings.HasPrefix(path, "in/.folder"+partSuffix) {
				t.Errorf("%s: %s is there", name, path)
			}
		}
	}
}

func TestNothingComesBehindTheEndOfAnArchive(t *testing.T) {
	for _, behind := range []string{"", "\x00", "another file"} {
		text := string(archive(t, plainFile("a"))) + behind
		dir := t.TempDir()
		said := append(offering(kindFolder, "folder", int64(len(text))), records(&record{kind: recordData, data: []byte(text)}, summed(text))...)
		if _, err := receiveFrom(t, dir, said); (err == nil) != (behind == "") || err != nil && !errors.Is(err, ErrRecord) {
			t.Errorf("%q behind the end: %v", behind, err)
		}
		if _, err := os.Stat(filepath.Join(dir, "folder")); (err == nil) != (behind == "") {
			t.Errorf("%q behind the end: the folder is there: %v", behind, err)
		}
	}
}

func TestLinksThatStayInsideAreTaken(t *testing.T) {
	for _, test := range []struct{ name, target string }{
		{"a", "b"}, {"a", "."}, {"a/b", ".."}, {"a/b", "../c/d"}, {"a/b/c", "../../x"}, {"a", "b/c/d"},
	} {
		if err := checkTarget(test.name, test.target); err != nil {
			t.Errorf("%s to %s: %v", test.name, test.target, err)
		}
	}
}

func TestAFolderWithMoreThanFilesIsRefusedBeforeItIsSent(t *testing.T) {
	for name, target := range map[string]string{"up": "../..", "absolute": "/etc"} {
		dir := t.TempDir()
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := NewItem("folder", dir); !errors.Is(err, ErrFolder) {
			t.Errorf("a link to %s: %v", target, err)
		}
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "bad\nname"), "", 0o644)
	if _, err := NewItem("folder", dir); !errors.Is(err, ErrName) {
		t.Errorf("a bad name: %v", err)
	}
	if _, err := NewItem("nothing", filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := NewItem("null", os.DevNull); err == nil {
		t.Error("a device is sent")
	}
}

func TestAReceiverThatIsUpToSomethingLearnsNothingMore(t *testing.T) {
	file := write(t, filepath.Join(t.TempDir(), "file"), "a secret text", 0o644)
	hello, accept := &record{kind: recordHello, role: roleReceiver}, &record{kind: recordAccept}
	for name, said := range map[string][]byte{
		"nothing":           nil,
		"noise":             []byte("SSH-2.0-OpenSSH\r\n and more"),
		"no answer":         records(hello),
		"have before":       records(hello, &record{kind: recordHave}),
		"no stored":         records(hello, accept, &record{kind: recordHave}),
		"data of a sender":  records(hello, &record{kind: recordData, data: []byte("x")}),
		"a negative offset": append(records(hello, accept), byte(recordHave), 0, 0, 0, 40, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
	} {
		sending, receiving := connect(-1, -1)
		go func() {
			_, _ = receiving.Write(said)
			_ = receiving.CloseWrite()
			_, _ = io.Copy(io.Discard, receiving)
		}()
		if done, err := Send(sending, []*Item{item(t, "", file)}, func(string, int64, int64) {}); err == nil || len(done) > 0 {
			t.Errorf("%s: %v, %v", name, done, err)
		}
	}
	// One that claims to have more than there is gets all of it.
	sending, receiving := connect(-1, -1)
	var heard bytes.Buffer
	heardAll := make(chan struct{})
	go func() {
		defer close(heardAll)
		_, _ = receiving.Write(records(hello, accept, &record{kind: recordHave, offset: 1 << 40}, &record{kind: recordFail, reason: "enough"}))
		_ = receiving.CloseWrite()
		_, _ = io.Copy(&heard, receiving)
	}()
	_, err := Send(sending, []*Item{item(t, "", file)}, func(string, int64, int64) {})
	if stopped := (*StoppedError)(nil); !errors.As(err, &stopped) || stopped.Reason != "enough" {
		t.Errorf("%v", err)
	}
	<-heardAll
	if !bytes.Contains(heard.Bytes(), records(&record{kind: recordStart})) {
		t.Error("it does not begin at 0")
	}
}

func TestAReasonIsBoundedAndWhole(t *testing.T) {
	long := fmt.Errorf("transfer: a: transfer: %s", strings.Repeat("é", 1000))
	text := reason(long)
	if len(text) > maxReason || !strings.HasPrefix(text, "a: éé") || strings.ContainsRune(text, '\ufffd') {
		t.Errorf("%d bytes: %.20q", len(text), text)
	}
	if _, err := parseRecord(recordFail, []byte(text)); err != nil {
		t.Error(err)
	}
}

func TestARecordIsAsLongAsItSays(t *testing.T) {
	for _, r := range []*record{
		{kind: recordHello, role: roleSender}, {kind: recordAccept}, {kind: recordHave, offset: 7, sum: sum{1}},
		{kind: recordOffer, items: []described{{kind: kindFile, name: "a", modified: time.Unix(5, 0)}}},
		{kind: recordStart, offset: 7}, {kind: recordSum}, {kind: recordStored},
	} {
		value := appendRecord(nil, r)[headerLen:]
		if _, err := parseRecord(r.kind, value); err != nil {
			t.Errorf("%v: %v", r.kind, err)
		}
		if _, err := parseRecord(r.kind, append(value, 0)); !errors.Is(err, ErrRecord) {
			t.Errorf("%v with a byte behind it: %v", r.kind, err)
		}
	}
	for kind := recordHello; kind <= recordFail; kind++ {
		tooLong := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(maxLen(kind))+1)
		if _, err := (&reader{r: bytes.NewReader(tooLong)}).next(); !errors.Is(err, ErrRecord) {
			t.Errorf("%v of a byte too many: %v", kind, err)
		}
	}
}

func TestAPathIsBounded(t *testing.T) {
	deepest := strings.Repeat("d/", maxDepth-1) + "x"
	longest := strings.Repeat("n", 200) + strings.Repeat("/"+strings.Repeat("n", 200), 19)
	for path, taken := range map[string]bool{
		deepest: true, "d/" + deepest: false,
		longest: true, longest + "/" + strings.Repeat("n", 200): false,
	} {
		if err := checkPath(path); (err == nil) != taken || err != nil && !errors.Is(err, ErrFolder) {
			t.Errorf("%d folders, %d bytes: %v", strings.Count(path, "/"), len(path), err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, r := range []*record{
		{kind: recordHello, role: roleSender}, {kind: recordAccept}, {kind: recordHave, offset: 7, sum: sum{1}},
		{kind: recordOffer, items: []described{{kind: kindFile, executable: true, name: "a", size: 3, modified: time.Unix(5, 0)}, {kind: kindStream, name: "b", size: -1, modified: time.Unix(0, 0)}}},
		{kind: recordStart, offset: 7}, {kind: recordData, data: []byte("x")}, {kind: recordSum}, {kind: recordStored}, {kind: recordFail, reason: "é"},
	} {
		f.Add(appendRecord(nil, r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		r := &reader{r: in}
		for {
			at := len(b) - in.Len()
			got, err := r.next()
			if err != nil {
				return
			}
			if again := appendRecord(nil, got); !bytes.Equal(again, b[at:len(b)-in.Len()]) {
				t.Fatalf("%x is written as %x", b[at:len(b)-in.Len()], again)
			}
		}
	})
}

func FuzzUnpack(f *testing.F) {
	f.Add(archive(f, folder("a"), plainFile("a/b"), link("a/c", "../a/b")))
	f.Add(archive(f, link("a", ".."), plainFile("a/evil")))
	f.Add(archive(f, plainFile("../evil")))
	f.Fuzz(func(t *testing.T, b []byte) {
		outer := t.TempDir()
		dir, err := os.OpenRoot(outer)
		if err != nil {
			t.Fatal(err)
		}
		defer dir.Close()
		part, err := createFolderPart(dir, "part")
		if err != nil {
			t.Fatal(err)
		}
		defer part.release()
		u := newUnpacker(part.tree, nil)
		u.create = func(bool) (partFile, error) {
			_ = part.dir.Remove(currentFile)
			return createPart(part.dir, currentFile, 0o666)
		}
		u.place = part.place
		unpacked := u.unpack(bytes.NewReader(b))
		for path, is := range tree(t, outer) {
			if path != "part" && !strings.HasPrefix(path, "part/") {
				t.Fatalf("%s is outside", path)
			}
			if strings.HasPrefix(is, "link to ") {
				real, err := filepath.EvalSymlinks(filepath.Join(outer, path))
				inside, _ := filepath.EvalSymlinks(filepath.Join(outer, "part", treeFolder))
				if err == nil && real != inside && !strings.HasPrefix(real, inside+"/") {
					t.Fatalf("%s is a %s", path, is)
				}
			}
		}
		if unpacked != nil {
			return
		}
		// What was taken can be sent on.
		if _, err := scan(part.tree); err != nil {
			t.Fatal(err)
		}
	})
}
