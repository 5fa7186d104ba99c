package control

import "golang.org/x/sys/unix"

// The level and the option of getsockopt by which NetBSD's getpeereid(3) asks;
// x/sys/unix does not have them.
const (
	solLocal    = 0
	localPeerID = 3 // LOCAL_PEEREID
)

// peerUID returns the user of the process at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	// The kernel fills in a struct unpcbid: pid, euid and egid. x/sys/unix has no
	// type for it; ICMPv6Filter is its only option value of plain words.
	cred, err := unix.GetsockoptICMPv6Filter(fd, solLocal, localPeerID)
	if err != nil {
		return 0, err
	}
	return int(cred.Filt[1]), nil
}
