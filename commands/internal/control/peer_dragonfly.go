package control

import "golang.org/x/sys/unix"

// The level and the option of getsockopt by which DragonFly's getpeereid(3) asks;
// x/sys/unix does not have them.
const (
	solLocal      = 0
	localPeerCred = 1 // LOCAL_PEERCRED
)

// peerUID returns the user of the process at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	// The kernel fills in the beginning of a struct xucred: its version, and the user.
	// x/sys/unix has no type for it; ICMPv6Filter is its only option value of plain words.
	cred, err := unix.GetsockoptICMPv6Filter(fd, solLocal, localPeerCred)
	if err != nil {
		return 0, err
	}
	return int(cred.Filt[1]), nil
}
