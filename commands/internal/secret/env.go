package secret

import (
	"os"
	"strings"
	"unsafe"
)

// initial is the environment as the program got it: one string for each that the
// kernel put behind the arguments.
var initial = os.Environ()

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

// overwriteInitial overwrites the value of a variable in the memory in which the
// kernel handed the environment over. Its strings follow the last argument, which
// os.Args refers to in place. Each is compared with the runtime's copy before the
// next is looked at: where a system has another order the first already differs.
func overwriteInitial(name string) {
	if len(os.Args) == 0 {
		return
	}
	last := os.Args[len(os.Args)-1]
	at := unsafe.Add(unsafe.Pointer(unsafe.StringData(last)), len(last)+1)
	for _, entry := range initial {
		memory := unsafe.Slice((*byte)(at), len(entry)+1)
		if string(memory[:len(entry)]) != entry || memory[len(entry)] != 0 {
			return
		}
		if variable, _, ok := strings.Cut(entry, "="); ok && variable == name {
			clear(memory[len(name)+1 : len(entry)])
		}
		at = unsafe.Add(at, len(entry)+1)
	}
}
