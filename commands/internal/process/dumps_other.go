//go:build unix && (!linux || scannable)

package process

// becomeUndumpable does nothing where the system has no way, and in builds with the tag
// scannable: the test that looks for secrets in the memory of the program makes such a one.
func becomeUndumpable() error { return nil }
