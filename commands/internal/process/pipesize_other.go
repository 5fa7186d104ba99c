//go:build !linux

package process

import "os"

// Widen lets a pipe hold more, on systems that can do that.
func Widen(*os.File) {}

// Narrow lets a pipe hold as little as possible, on systems that can do that.
func Narrow(*os.File) {}

// readingEnd opens the other end of a pipe, on systems that can do that.
func readingEnd(*os.File) *os.File { return nil }

// unread returns how many bytes a pipe holds, on systems that can tell.
func unread(*os.File) int { return 0 }
