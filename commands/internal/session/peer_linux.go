package session

import (
	"errors"
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

var errOtherUser = errors.New("session: the other process belongs to another user")

// checkPeer refuses a connection whose other end is not this user's.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	var cred *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("session: %w", failed)
	}
	if int(cred.Uid) != os.Getuid() {
		return errOtherUser
	}
	return nil
}
