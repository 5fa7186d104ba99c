//go:build linux || freebsd

package testscripts

import "syscall"

// dieWithTest has the system kill a child whose parent, the test, was killed.
func dieWithTest(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }
