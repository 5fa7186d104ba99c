//go:build amd64 || arm64

package prefault_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"otrpipe/internal/prefault"
)

// size is a multiple of every page size of the two architectures.
const size = 256 << 10

// TestPopulateMakesPagesResident checks the system call and its numbers on memory of its own.
func TestPopulateMakesPagesResident(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	if n := resident(t, memory); n != 0 {
		t.Fatalf("%d pages are resident before they are used", n)
	}
	switch result := prefault.Madvise(address(memory), uintptr(len(memory)), prefault.PopulateWrite); unix.Errno(-result) {
	case 0:
	case unix.EINVAL, unix.ENOSYS:
		t.Skip("this kernel cannot prepare pages")
	default:
		t.Fatalf("madvise returned %d", result)
	}
	if n, want := resident(t, memory), len(memory)/os.Getpagesize(); n != want {
		t.Errorf("%d pages are resident, want %d", n, want)
	}
}

// TestPopulateLeavesUnmappedMemoryAlone checks that a hint beyond the heap does no harm.
func TestPopulateLeavesUnmappedMemoryAlone(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	if result := prefault.Madvise(address(memory), uintptr(len(memory)), prefault.PopulateWrite); result == 0 {
		t.Error("memory that may not be written to was prepared for writing")
	}
	if n := resident(t, memory); n != 0 {
		t.Errorf("%d pages are resident", n)
	}
}

// TestCollapseMakesAHugePageOfMemoryInUse checks that pages in use keep what is in them.
func TestCollapseMakesAHugePageOfMemoryInUse(t *testing.T) {
	memory, err := unix.Mmap(-1, 0, 2*prefault.HugePageSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	first := int(-address(memory) & (prefault.HugePageSize - 1))
	huge := memory[first : first+prefault.HugePageSize]
	for i := 0; i < len(huge); i += size {
		huge[i] = byte(i/size + 1)
	}
	switch result := prefault.Madvise(address(huge), uintptr(len(huge)), prefault.Collapse); unix.Errno(-result) {
	case 0:
		if n, want := resident(t, huge), len(huge)/os.Getpagesize(); n != want {
			t.Errorf("%d pages are resident, want %d", n, want)
		}
	case unix.EINVAL, unix.ENOMEM, unix.EAGAIN, unix.EBUSY:
		t.Logf("this kernel makes no huge page here: %v", unix.Errno(-result))
	default:
		t.Fatalf("madvise returned %d", result)
	}
	for i, b := range huge {
		want := byte(0)
		if i%size == 0 {
			want = byte(i/size + 1)
		}
		if b != want {
			t.Fatalf("byte %d is %d, want %d", i, b, want)
		}
	}
}

// TestHeapIsPreparedBeforeOtherPackages checks the order on which the gain depends.
func TestHeapIsPreparedBeforeOtherPackages(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	trace, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, trace)
	}
	ours, syscall := strings.Index(string(trace), "init otrpipe/internal/prefault "), strings.Index(string(trace), "init syscall ")
	if ours < 0 || syscall < 0 || ours > syscall {
		t.Errorf("packages were initialized in this order:\n%s", trace)
	}
}

func address(memory []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(memory))) }

// resident counts the pages of memory that the kernel has prepared.
func resident(t *testing.T, memory []byte) int {
	t.Helper()
	pages := make([]byte, len(memory)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, address(memory), uintptr(len(memory)), uintptr(unsafe.Pointer(unsafe.SliceData(pages))))
	if errno != 0 {
		t.Fatal(errno)
	}
	n := 0
	for _, page := range pages {
		n += int(page & 1)
	}
	return n
}
