//go:build unix

package control

import (
	"os"

	"golang.org/x/sys/unix"
)

// rightsSize is the space that the files of a message need, in bytes.
var rightsSize = unix.CmsgSpace(4 * maxFiles)

// rightsOf returns the socket control message that passes files; nil: there are none.
func rightsOf(files []*os.File) []byte {
	if len(files) == 0 {
		return nil
	}
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return unix.UnixRights(fds...)
}

// isCut reports whether the flags of a received message say that some of its files were lost.
func isCut(flags int) bool { return flags&unix.MSG_CTRUNC != 0 }

// filesOf returns the files whose descriptors are in a socket's control messages.
func filesOf(rights []byte) ([]*os.File, error) {
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil, err
	}
	var files []*os.File
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // other control messages
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "a half's stream"))
		}
	}
	return files, nil
}
