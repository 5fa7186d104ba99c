//go:build unix

package testscripts

import _ "unsafe" // for go:linkname

// usualWorkFactor is the cost of guessing a passphrase of a new identity, which the stories
// lower from one second to a millisecond. A test of package keyfile holds the real one.
//
//go:linkname usualWorkFactor otrpipe/keyfile.usualWorkFactor
var usualWorkFactor int

func init() { usualWorkFactor = 8 }
