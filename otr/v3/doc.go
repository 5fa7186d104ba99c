// Package v3 is versions 2 and 3 of OTR: the authenticated key exchange, data
// messages and the rotation of their keys, with one instance of the peer.
//
// It follows "Off-the-Record Messaging Protocol version 3"; version 2 is the same
// but for instance tags and the extra symmetric key. The package does no I/O: an
// [Engine] takes one decoded message at a time and gives back what to answer.
// What belongs to a whole conversation (queries, fragments, policy, which
// instance speaks) is the business of package otr.
package v3
