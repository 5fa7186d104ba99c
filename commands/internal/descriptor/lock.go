package descriptor

import "errors"

// ErrLocked says that another process, or another open file of this one, holds the lock.
var ErrLocked = errors.New("descriptor: locked")
