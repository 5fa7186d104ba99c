// Package v4 is version 4 of OTR: client profiles, the interactive deniable
// authenticated key exchange, and data messages under the double ratchet, with one
// instance of the peer.
//
// It follows "OTR version 4", a draft that leaves some things open. Where two
// independent programs speak its final form alike, this package does as they do:
//
//   - a ring signature hashes its message as DATA, with its length;
//   - the shared session state names the sender of the message that carries the
//     signature first in every pair, unsorted;
//   - the ratchet id grows by one with every ratchet and is never reset;
//   - a profile's signature covers its fields but not their count, and its
//     transitional signature the fields as one number, without a hash;
//   - an Identity message that comes a second time is answered with the same Auth-R
//     again;
//   - a SCALAR of q or more is refused.
//
// The package does no I/O: an [Engine] takes one decoded message at a time and gives
// back what to answer. What belongs to a whole conversation (queries, fragments,
// policy, which instance speaks) is the business of package otr.
package v4
