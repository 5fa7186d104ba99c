package transfer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What was read is kept, as it is by scp or tar, but neither end takes it for the whole.
func TestAFileThatGrowsWhileItIsSentIsNotReportedAsWhole(t *testing.T) {
	for path, grows := range map[string]string{"log": "log", "logs": "logs/one"} {
		from, to := t.TempDir(), t.TempDir()
		file := write(t, filepath.Join(from, grows), "one\n", 0o644)
		after := write(t, filepath.Join(from, "after"), "text", 0o644)
		o := trial{
			items: []*Item{item(t, "", filepath.Join(from, path)), item(t, "", after)}, dir: to, cutSent: -1, cutBack: -1,
			configure: func(r *receiver) {
				r.free = func(*os.Root) (int64, bool) { // after the offer
					write(t, file, "one\ntwo\n", 0o644)
					return 0, false
				}
			},
		}.run(t)
		want := grows + " grew, and only its first 4 B arrived"
		if !errors.Is(o.sendErr, ErrChanged) || !strings.HasSuffix(o.sendErr.Error(), want) {
			t.Errorf("the sender: %v", o.sendErr)
		}
		stopped := (*StoppedError)(nil)
		if !errors.As(o.receiveErr, &stopped) || !stopped.Complete || !strings.HasSuffix(stopped.Reason, want) {
			t.Errorf("the receiver: %v", o.receiveErr)
		}
		if got := tree(t, to); !strings.HasSuffix(got[grows], "one\n") || !strings.HasSuffix(got["after"], "text") {
			t.Errorf("arrived: %v", got)
		}
		if len(o.sent) != 2 || len(o.received) != 2 {
			t.Errorf("sent %v, received %v", o.sent, o.received)
		}
	}
}

func TestAFileThatIsWrittenToWhileItIsReadIsNotReportedAsWhole(t *testing.T) {
	for _, path := range []string{"disk", "disks"} {
		from, to := t.TempDir(), t.TempDir()
		var files []string
		for _, name := range map[string][]string{"disk": {"disk"}, "disks": {"disks/a", "disks/b"}}[path] {
			files = append(files, write(t, filepath.Join(from, name), strings.Repeat("x", 4<<20), 0o644))
		}
		changed := false
		o := trial{
			items: []*Item{item(t, "", filepath.Join(from, path))}, dir: to, cutSent: -1, cutBack: -1,
			configure: func(r *receiver) {
				r.Progress = func(string, int64, int64) {
					if now := time.Now(); !changed { // at the beginning of the first file
						changed = true
						if err := os.Chtimes(files[0], now, now); err != nil {
							t.Error(err)
						}
					}
				}
			},
		}.run(t)
		if !errors.Is(o.sendErr, ErrChanged) || !strings.Contains(o.sendErr.Error(), "was written to") || o.receiveErr == nil {
			t.Errorf("%s: %v, %v", path, o.sendErr, o.receiveErr)
		}
	}
}

// The other end may come long after the sender has started.
func TestAFileIsSentAsItIsWhenTheOtherEndComes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	file := item(t, "", write(t, filepath.Join(from, "file"), "text", 0o644))
	folder := item(t, "", filepath.Dir(write(t, filepath.Join(from, "folder/a"), "a", 0o644)))
	write(t, filepath.Join(from, "file"), "a longer text", 0o644)
	write(t, filepath.Join(from, "folder/b"), "b", 0o644)
	o := uncut(to, file, folder).run(t)
	if o.sendErr != nil || o.receiveErr != nil || len(o.sent) != 2 || o.sent[0].Bytes != 13 || o.sent[1] != (Done{"folder", 2, 2}) {
		t.Errorf("%v, %v, %v", o.sendErr, o.receiveErr, o.sent)
	}
	if got := tree(t, to); !strings.HasSuffix(got["file"], "a longer text") || len(got) != 4 {
		t.Errorf("arrived: %v", got)
	}
}

func TestManyChangedFilesAreCounted(t *testing.T) {
	for want, changes := range map[string][]string{
		"a grew":                    {"a grew"},
		"a grew; 1 other file too":  {"a grew", "b grew"},
		"a grew; 2 other files too": {"a grew", "b grew", "c grew"},
	} {
		if err := changedError(changes); !strings.HasSuffix(err.Error(), "sent: "+want) {
			t.Errorf("%v", err)
		}
	}
}
