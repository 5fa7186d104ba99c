//go:build unix && !linux && !freebsd

package testscripts

import "syscall"

// dieWithTest does nothing: this system does not tell a child of its parent's
// death.
func dieWithTest(*syscall.SysProcAttr) {}
