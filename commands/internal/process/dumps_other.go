//go:build unix && (!linux || scannable)

package process

// becomeUndumpable does nothing on systems that have no such feature, and in builds with the tag
// scannable, which the test that searches the program's memory for secrets uses.
func becomeUndumpable() error { return nil }
