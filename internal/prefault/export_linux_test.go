//go:build amd64 || arm64

package prefault

// For the tests, which live in a package of their own: what they import would otherwise be
// initialized before this package.
var Madvise = madvise

const (
	PopulateWrite = populateWrite
	Collapse      = collapse
	HugePageSize  = hugePageSize
)
