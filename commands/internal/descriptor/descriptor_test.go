//go:build unix

package descriptor

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOnlyInheritedDescriptorsAreAccepted(t *testing.T) {
	ours, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if err := Check(int(ours.Fd())); !errors.Is(err, ErrNotGiven) {
		t.Errorf("a descriptor that this process has opened: %v", err)
	}
	given, err := unix.Dup(int(ours.Fd())) // has no FD_CLOEXEC, as after exec
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(given); err != nil {
		t.Errorf("a descriptor as the caller gives it: %v", err)
	}
	unix.Close(given)
	if err := Check(given); !errors.Is(err, ErrNotGiven) {
		t.Errorf("a closed descriptor: %v", err)
	}
	if err := Check(-1); !errors.Is(err, ErrNotGiven) {
		t.Errorf("descriptor -1: %v", err)
	}
}
