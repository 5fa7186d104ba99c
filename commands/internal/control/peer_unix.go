//go:build unix

package control

import (
	"fmt"
	"net"
	"os"
)

// checkPeer refuses a connection whose other end is not this user's. peerUID,
// which each system has its own way for, asks the kernel.
func checkPeer(c *net.UnixConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	var uid int
	var failed error
	if err := raw.Control(func(fd uintptr) { uid, failed = peerUID(int(fd)) }); err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if failed != nil {
		return fmt.Errorf("control: %w", failed)
	}
	if uid != os.Getuid() {
		return errOtherUser
	}
	return nil
}
