//go:build unix

package secret

import (
	"os"
	"strings"
	"unsafe"
)

// initial is the environment that the program was started with: one string for each that the
// kernel put after the arguments.
var initial = os.Environ()

// overwriteInitial overwrites the value of a variable in the memory in which the kernel passed
// the environment. Its strings follow the last argument, to which os.Args refers in place. Each
// string is compared with the runtime's copy before the next is read; on a system with a
// different layout, the first one already differs.
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
