//go:build amd64 || arm64

package prefault

import "unsafe"

const (
	// heapSize is how much of the heap is prepared where there are no huge pages: what
	// `otrpipe fingerprint` uses of it, rounded up. Preparing it costs 0.1 ms, and memory only
	// for pages never used after all.
	heapSize = 640 << 10
	// probeSize is the size of the largest objects that are not allocated one by one. An
	// object of this size is the first of its kind, so it begins where the heap grows next.
	probeSize = 32 << 10
	// pageSize is the largest page size of the two architectures.
	pageSize = 64 << 10
	// hugePageSize is the size of a huge page where other pages have 4 KiB.
	hugePageSize = 2 << 20
)

// Kinds of advice.
const (
	populateWrite = 23 // MADV_POPULATE_WRITE: prepare pages as if they were written to
	collapse      = 25 // MADV_COLLAPSE: put a huge page in the place of pages
)

// again is EAGAIN: what is in the way may soon be gone.
const again = 11

// probe makes the object in init escape to the heap.
var probe *[probeSize]byte

// init prepares the part of the heap from which memory will be allocated next: in one huge page
// or, where the kernel refuses that, in many small ones. The addresses are only hints, and never
// used to read or write. The calls change no content and map nothing that was not mapped: at
// worst, pages that nobody needs become resident. What the kernel refuses to prepare is prepared
// on first use, as without the calls.
func init() {
	probe = new([probeSize]byte)
	next := uintptr(unsafe.Pointer(probe))
	probe = nil
	if !makeHuge(next &^ (hugePageSize - 1)) {
		madvise(next&^(pageSize-1), heapSize, populateWrite)
	}
}

// makeHuge puts a huge page in the place of the pages from start on. The kernel refuses that for
// a moment when another thread has just touched one of them, so it is tried twice.
func makeHuge(start uintptr) bool {
	result := madvise(start, hugePageSize, collapse)
	if result == -again {
		result = madvise(start, hugePageSize, collapse)
	}
	return result == 0
}

// madvise is the system call. It returns 0 or a negative error number. Package syscall's own
// would be initialized too late.
func madvise(start, length, advice uintptr) (result int)
