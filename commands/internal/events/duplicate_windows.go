package events

import (
	"os"

	"golang.org/x/sys/windows"
)

// takeDescriptor returns a second handle of standard error, the only output descriptor besides
// standard output that Windows passes by number.
func takeDescriptor(int) (uintptr, error) { return duplicate(os.Stderr.Fd()) }

// duplicate returns a second handle of the same file, which no program inherits.
func duplicate(handle uintptr) (uintptr, error) {
	process, err := windows.GetCurrentProcess()
	if err != nil {
		return 0, err
	}
	var own windows.Handle
	err = windows.DuplicateHandle(process, windows.Handle(handle), process, &own, 0, false, windows.DUPLICATE_SAME_ACCESS)
	return uintptr(own), err
}
