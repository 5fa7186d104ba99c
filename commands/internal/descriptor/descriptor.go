// Package descriptor handles open files: it tells descriptors that the caller passed to the
// program from those that the Go runtime opened, waits for files, and locks them.
package descriptor

import "errors"

// ErrNotGiven says that the program was started without that file descriptor.
var ErrNotGiven = errors.New("descriptor: not open")
