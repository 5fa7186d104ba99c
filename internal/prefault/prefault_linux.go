//go:build amd64 || arm64

package prefault

import "unsafe"

const (
	// heapSize is how much of the heap is prepared: what `otrpipe fingerprint` uses of it,
	// rounded up. Preparing it costs 0.1 ms, and memory only for pages never used after all.
	heapSize = 640 << 10
	// codeSize is how much of the code is prepared: most of what the linker puts before this
	// package, which main imports last. The pages are shared with the kernel's file cache.
	codeSize = 4 << 20
	// probeSize is the size of the largest objects that are not allocated one by one. An
	// object of this size is the first of its kind, so it begins where the heap grows next.
	probeSize = 32 << 10
	// pageSize is the largest page size of the two architectures.
	pageSize = 64 << 10
)

// Kinds of advice: prepare pages as if they were read, or written to.
const (
	populateRead  = 22 // MADV_POPULATE_READ
	populateWrite = 23 // MADV_POPULATE_WRITE
)

// probe makes the object in init escape to the heap.
var probe *[probeSize]byte

// init prepares the part of the heap from which memory will be allocated next, and code. The
// addresses are only hints, and never used to read or write. The calls change no content and map
// nothing that was not mapped: at worst, pages that nobody needs become resident. What the kernel
// refuses to prepare is prepared on first use, as without the calls.
func init() {
	probe = new([probeSize]byte)
	madvise(uintptr(unsafe.Pointer(probe))&^(pageSize-1), heapSize, populateWrite)
	probe = nil
	madvise(codeAddress()&^(pageSize-1)-codeSize, codeSize, populateRead)
}

// madvise is the system call. It returns 0 or a negative error number. Package syscall's own
// would be initialized too late.
func madvise(start, length, advice uintptr) (result int)

// codeAddress returns its own address.
func codeAddress() uintptr
