package secret

import (
	"os"
	"unsafe"
)

// TakeEnv returns the value of an environment variable, or nil if it is empty or not set, and
// removes the variable so that no program started later inherits it. It overwrites the value
// wherever the process holds it: in the runtime's copy, and in the memory that /proc/PID/environ
// shows.
func TakeEnv(name string) []byte {
	value := os.Getenv(name)
	secret := []byte(value)
	overwriteInitial(name)
	// The runtime keeps the environment on the heap, and only our own reference to value can
	// still read it.
	clear(unsafe.Slice(unsafe.StringData(value), len(value)))
	os.Unsetenv(name)
	if len(secret) == 0 {
		return nil
	}
	return secret
}
