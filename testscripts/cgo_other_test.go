//go:build !cgo

package testscripts

const withCgo = false
