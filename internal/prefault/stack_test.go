package prefault_test

import (
	"runtime/debug"
	"testing"
	"unsafe"

	"otrpipe/internal/prefault"
)

// TestGrownStackIsNotMovedLater calls a function with a large frame on a stack that has been
// made large enough for it.
func TestGrownStackIsNotMovedLater(t *testing.T) {
	// A garbage collection would make the stack smaller again.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	moved := make(chan bool)
	go func() {
		prefault.GrowStack()
		var variable byte
		before := uintptr(unsafe.Pointer(&variable))
		useStack()
		moved <- uintptr(unsafe.Pointer(&variable)) != before
	}()
	if <-moved {
		t.Error("the stack grew again")
	}
}

//go:noinline
func useStack() {
	var space [prefault.StackSize * 3 / 4]byte
	keep(&space)
}

//go:noinline
func keep(*[prefault.StackSize * 3 / 4]byte) {}
