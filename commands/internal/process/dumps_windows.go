package process

// ForbidDumps does nothing. Windows dumps programs only if its owner has set that up, and a
// program cannot refuse its own user's debuggers.
func ForbidDumps() error { return nil }
