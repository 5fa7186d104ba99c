package closed

import "golang.org/x/sys/windows"

// ErrInput is the error of reading a standard input that was closed when the program started.
const ErrInput = windows.ERROR_INVALID_HANDLE

// Restore does nothing, because on Windows a closed standard stream fails by itself.
func Restore(uint) error { return nil }
