// Package v3 implements versions 2 and 3 of OTR: the authenticated key exchange, data
// messages and the rotation of their keys, with one instance of the peer.
//
// It follows "Off-the-Record Messaging Protocol version 3"; version 2 is the same without
// instance tags and the extra symmetric key. The package does no I/O: an [Engine] takes one
// decoded message at a time and returns the answer. Package otr handles everything that
// concerns a whole conversation: queries, fragments, policy and the choice of an instance.
package v3
