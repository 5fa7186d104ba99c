package secret

import (
	"os"
	"unsafe"
)

// TakeEnv returns the value of an environment variable and removes it, so that no
// program started later inherits it; nil where it is empty or not set. The bytes
// of the value are overwritten wherever the process holds them: in the runtime's
// copy, and in the memory that /proc/PID/environ shows.
func TakeEnv(name string) []byte {
	value := os.Getenv(name)
	secret := []byte(value)
	overwriteInitial(name)
	// The runtime keeps the environment on the heap, where nothing but our own
	// reference to value reads it any more.
	clear(unsafe.Slice(unsafe.StringData(value), len(value)))
	os.Unsetenv(name)
	if len(secret) == 0 {
		return nil
	}
	return secret
}
