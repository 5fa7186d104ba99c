// Package descriptor is about open files: it tells those that the program's caller has
// given it from those that the Go runtime has opened for itself, waits for them, and locks
// them.
package descriptor

import "errors"

// ErrNotGiven says that the program was started without a file descriptor.
var ErrNotGiven = errors.New("descriptor: not open")
