//go:build amd64 || arm64

package prefault

import "unsafe"

const (
	// heapSize is how much of the heap is prepared: what `otrpipe fingerprint` uses of it,
	// rounded up. Preparing it costs 0.1 ms, and memory only for pages never used after all.
	heapSize = 640 << 10
	// probeSize is the size of the largest objects that are not allocated one by one. An
	// object of this size is the first of its kind, so it begins where the heap grows next.
	probeSize = 32 << 10
	// pageSize is the largest page size of the two architectures.
	pageSize = 64 << 10
	// populateWrite is MADV_POPULATE_WRITE: prepare pages as if they were written to.
	populateWrite = 23
)

// probe makes the object in init escape to the heap.
var probe *[probeSize]byte

// init prepares the part of the heap from which memory will be allocated next. The address is
// only a hint, and never used to read or write. The call changes no content and maps nothing
// that was not mapped: at worst, pages that nobody needs become resident. If the kernel refuses
// the call or cannot complete it, the rest is prepared on first use, as without it.
func init() {
	probe = new([probeSize]byte)
	madvise(uintptr(unsafe.Pointer(probe))&^(pageSize-1), heapSize, populateWrite)
	probe = nil
}

// madvise is the system call. It returns 0 or a negative error number. Package syscall's own
// would be initialized too late.
func madvise(start, length, advice uintptr) (result int)
