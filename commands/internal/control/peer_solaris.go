package control

import "golang.org/x/sys/unix"

// peerUID returns the user of the process at the other end of a Unix socket.
func peerUID(fd int) (int, error) {
	cred, err := unix.GetPeerUcred(uintptr(fd))
	if err != nil {
		return 0, err
	}
	return cred.Geteuid(), nil
}
