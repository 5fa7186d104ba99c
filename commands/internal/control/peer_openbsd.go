package control

import "golang.org/x/sys/unix"

// peerUID returns the user of the process at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	// The kernel fills in a struct sockpeercred: uid, gid and pid. x/sys/unix has
	// no type for it; ICMPv6Filter is its only option value of plain words.
	cred, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Filt[0]), nil
}
