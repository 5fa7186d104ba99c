//go:build unix

package control

import (
	"fmt"
	"net"
	"os"
)

// checkPeer refuses a connection from another user's process. peerUID asks the kernel, in each
// system's own way.
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
