//go:build unix && !cgo

package testscripts

const withCgo = false
