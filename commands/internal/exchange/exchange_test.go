package exchange

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/transfer"
)

// quiet is the IO of a program that prints nothing.
func quiet(t *testing.T) *terminal.IO {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { null.Close() })
	p := terminal.NewIO("otrpipe", null, null, null)
	p.Quiet = true
	return p
}

func TestTheClosingLineCountsItemsAndFiles(t *testing.T) {
	const took = 1234 * time.Millisecond
	notes := transfer.Done{Name: "notes", Files: 1, Bytes: 1000}
	photos := transfer.Done{Name: "photos", Files: 3, Bytes: 2000}
	for _, test := range []struct {
		done []transfer.Done
		want string
	}{
		{[]transfer.Done{notes}, "notes has arrived in in: 1.0 kB in 1.2s, checksum right"},
		{[]transfer.Done{photos}, "photos (3 files) has arrived in in: 2.0 kB in 1.2s, checksum right"},
		{[]transfer.Done{notes, notes}, "notes and 1 more (2 files) have arrived in in: 2.0 kB in 1.2s, checksum right"},
		{[]transfer.Done{photos, notes, notes}, "photos and 2 more (5 files) have arrived in in: 4.0 kB in 1.2s, checksum right"},
	} {
		if got := closingLine("in in", test.done, took); got != test.want {
			t.Errorf("%v:\n%q, want\n%q", test.done, got, test.want)
		}
	}
}

func TestATransferEndsWithItsOwnErrorOrElseTheSessions(t *testing.T) {
	broken := exit.Errorf(exit.Broken, "the stream broke")
	for _, test := range []struct {
		transfer, session error
		code              int
		text              string
	}{
		{nil, nil, exit.OK, ""},
		{nil, broken, exit.Broken, "the stream broke"},
		{fmt.Errorf("reading: %w", errSessionOver), broken, exit.Broken, "the stream broke"},
		{io.ErrClosedPipe, broken, exit.Broken, "the stream broke"},
		{&transfer.StoppedError{Reason: "the disk is full"}, broken, exit.Failure, "the receiver stopped: the disk is full"},
		{&transfer.StoppedError{Reason: "log grew", Complete: true}, nil, exit.Failure, "the receiver says: log grew"},
		{fmt.Errorf("%w: log grew", transfer.ErrChanged), nil, exit.Failure, "something changed while it was sent: log grew"},
		{transfer.ErrChecksum, broken, exit.Failure, "its checksum is wrong"},
		{fmt.Errorf("%w (sending)", transfer.ErrNoReason), nil, exit.Failure, "the receiver stopped without giving a reason (sending)"},
	} {
		sending := &Transfer{other: "receiver"}
		err := sending.outcome(test.transfer, test.session)
		if err == nil {
			if test.code != exit.OK {
				t.Errorf("%v and %v come to no error", test.transfer, test.session)
			}
			continue
		}
		if e := exit.As(err); e.Code != test.code || e.Error() != test.text {
			t.Errorf("%v and %v come to %d, %q", test.transfer, test.session, e.Code, e)
		}
	}
}

// A sender whose session breaks is told how to go on; a receiver is told so by the note about
// what it keeps.
func TestASenderIsToldHowToContinueATransferThatWasCutShort(t *testing.T) {
	receives := func([]transfer.Done) error { return nil }
	hinted := exit.Errorf(exit.Broken, "the stream broke").WithHint("another hint")
	const hint = "the same command, at both ends, continues it"
	for _, test := range []struct {
		name              string
		end               *Transfer
		transfer, session error
		hint              string
	}{
		{"a sender", &Transfer{}, errSessionOver, exit.Errorf(exit.Broken, "the stream broke"), hint},
		{"a receiver", &Transfer{arrived: receives}, errSessionOver, exit.Errorf(exit.Broken, "the stream broke"), ""},
		{"a sender whose files have all arrived", &Transfer{}, nil, exit.Errorf(exit.Broken, "the stream broke"), ""},
		{"a sender whose peer was refused", &Transfer{}, errSessionOver, exit.Errorf(exit.Refused, "another key"), ""},
		{"a sender with a better hint", &Transfer{}, errSessionOver, hinted, "another hint"},
	} {
		if e := exit.As(test.end.outcome(test.transfer, test.session)); e.Hint != test.hint || e.Error() != test.session.Error() {
			t.Errorf("%s: %q, hint %q", test.name, e, e.Hint)
		}
	}
	if err := (&Transfer{}).outcome(errSessionOver, nil); err != nil {
		t.Errorf("a session that ended well: %v", err)
	}
}

func TestATransferThatStopsNamesTheContact(t *testing.T) {
	sending := &Transfer{Contact: "bob", other: "receiver"}
	for _, test := range []struct {
		transfer error
		text     string
	}{
		{&transfer.StoppedError{Reason: "the disk is full"}, "bob stopped: the disk is full"},
		{fmt.Errorf("%w (sending)", transfer.ErrNoReason), "bob stopped without giving a reason (sending)"},
	} {
		if err := sending.outcome(test.transfer, nil); err == nil || err.Error() != test.text {
			t.Errorf("%v: %v, want %q", test.transfer, err, test.text)
		}
	}
}

func TestFilesGoFromASendingToAReceivingEnd(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := filepath.Join(from, "notes")
	if err := os.WriteFile(file, []byte("some notes\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	sending, err := NewSending(quiet(t), "renamed", []string{file})
	if err != nil {
		t.Fatal(err)
	}
	receiving, folder, err := NewReceiving(quiet(t), &out, to, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	hereIn, thereOut := io.Pipe()
	thereIn, hereOut := io.Pipe()
	none := func(string, int64, int64) {}
	sent := make(chan error, 1)
	go func() {
		_, err := sending.run(&pipeLink{thereIn, thereOut}, none)
		sent <- err
	}()
	done, err := receiving.run(&pipeLink{hereIn, hereOut}, none)
	if err := errors.Join(err, <-sent); err != nil {
		t.Fatal(err)
	}
	if err := receiving.arrived(done); err != nil {
		t.Fatal(err)
	}
	arrived := filepath.Join(to, "renamed")
	if got, err := os.ReadFile(arrived); err != nil || string(got) != "some notes\n" {
		t.Errorf("what arrived is %q, %v", got, err)
	}
	if out.String() != arrived+"\n" {
		t.Errorf("standard output says %q", out.String())
	}

	// The files stay if their names cannot be printed, and the sender has been told that they arrived.
	for _, test := range []struct {
		err  error
		code int
		text string
	}{
		{syscall.EPIPE, 128 + int(syscall.SIGPIPE), "writing the output: broken pipe; what was received is in " + to + " all the same"},
		{syscall.ENOSPC, exit.Failure, "writing the output: no space left on device; what was received is in " + to + " all the same"},
	} {
		receiving, folder, err := NewReceiving(quiet(t), failing{test.err}, to, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		if e := exit.As(receiving.arrived(done)); e.Code != test.code || e.Error() != test.text {
			t.Errorf("%v: %d, %v", test.err, e.Code, e)
		}
	}
}

// failing is an output that cannot be written.
type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWhatCannotBeSentOrReceivedIsRefusedAtOnce(t *testing.T) {
	p, dir := quiet(t), t.TempDir()
	missing := filepath.Join(dir, "missing")
	linked, named := filepath.Join(dir, "linked"), filepath.Join(dir, "named")
	for _, folder := range []string{linked, named} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/", filepath.Join(linked, "root")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(named, "a\nb"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	const rename = "--as NAME sends it under another name"
	for _, test := range []struct {
		name, file string
		code       int
		text, hint string
	}{
		{"", "-", exit.Usage, "standard input needs a name: --as NAME", ""},
		{"", missing, exit.Failure, missing + " cannot be sent: no such file or directory", ""},
		{"a/b", "-", exit.Failure, `this name is not accepted: "a/b" contains a /`, rename},
		{"", "/", exit.Failure, `this name is not accepted: "/" contains a /`, rename},
		{"", linked, exit.Failure, linked + ` cannot be sent: "root" is a link out of the folder`, ""},
		{"", named, exit.Failure, named + ` cannot be sent: this name is not accepted: "a\nb" has a control character`, ""},
	} {
		_, err := NewSending(p, test.name, []string{test.file})
		if e := exit.As(err); err == nil || e.Code != test.code || e.Error() != test.text || e.Hint != test.hint {
			t.Errorf("sending %q as %q: %v; want %q with the hint %q", test.file, test.name, err, test.text, test.hint)
		}
	}
	here, folder, err := NewReceiving(p, io.Discard, ".", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if got := here.place(); got != "in this folder" {
		t.Errorf("what arrives in the current folder has arrived %q", got)
	}
	_, _, err = NewReceiving(p, io.Discard, missing, 0)
	if want := missing + " cannot be received into: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("receiving into a missing folder: %v", err)
	}
	if want := "make the folder first: mkdir -p " + missing; exit.As(err).Hint != want {
		t.Errorf("receiving into a missing folder has the hint %q", exit.As(err).Hint)
	}
}

func TestTheWordsOfACodeAreRefusedAsArguments(t *testing.T) {
	for _, words := range [][]string{{"acid-zebra-broom"}, {"Acid zebra broom"}, {"acid", "zebra", "broom"}} {
		err := RefuseCode(words)
		if e := exit.As(err); err == nil || e.Code != exit.Usage || strings.Contains(e.Error()+e.Hint, "zebra") || !strings.Contains(e.Hint, "--code") {
			t.Errorf("%q: %v", words, err)
		}
	}
	for _, folder := range []string{"acid-zebra", "acid-zebra-incoming", "."} {
		if err := RefuseCode([]string{folder}); err != nil {
			t.Errorf("%q: %v", folder, err)
		}
	}
	p := quiet(t)
	t.Chdir(t.TempDir())
	if _, _, err := NewReceiving(p, io.Discard, "acid-zebra-broom", 0); exit.As(err).Code != exit.Usage {
		t.Errorf("a code as the folder: %v", err)
	}
	if err := os.Mkdir("acid-zebra-broom", 0o700); err != nil {
		t.Fatal(err)
	}
	_, folder, err := NewReceiving(p, io.Discard, "acid-zebra-broom", 0)
	if err != nil {
		t.Fatalf("a folder whose name could be a code: %v", err)
	}
	folder.Close()
}

func TestTheHomeFolderIsKnownByAnyName(t *testing.T) {
	home, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	t.Setenv("HOME", home)
	if err := os.Symlink(home, link); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{home: true, link: true, filepath.Dir(link): false} {
		if isHome(dir) != want {
			t.Errorf("%s is taken for the home folder: %v", dir, !want)
		}
	}
}

func TestANumberOfBytesMayHaveAUnit(t *testing.T) {
	for text, want := range map[string]int64{
		"1": 1, "500000": 500000, "1k": 1000, "2G": 2e9, "4T": 4e12, "4611686T": 4611686e12,
	} {
		if got, err := MaxBytes(text); err != nil || got != want {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "k", "1K", "1.5G", "many", "4611687T", "9223372036854775808"} {
		if n, err := MaxBytes(text); err == nil || exit.As(err).Code != exit.Usage {
			t.Errorf("%q is %d, %v", text, n, err)
		}
	}
}

func TestAnAddressThatOnlyThisMachineKnowsIsReplaced(t *testing.T) {
	if got := reachable("127.0.0.1:9000", false); got != "127.0.0.1:9000" {
		t.Errorf("an address of its own becomes %s", got)
	}
	if got := reachable("[::]:9000", true); !strings.HasSuffix(got, ":9000") || strings.HasPrefix(got, "[::]") || got == ":9000" {
		t.Errorf("every address becomes %s", got)
	}
}
