package process

// ForbidDumps does nothing: Windows writes dumps of programs only where its owner has set
// that up, and lets no program refuse its own user's debuggers.
func ForbidDumps() error { return nil }
