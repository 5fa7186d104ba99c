// Package v4 implements version 4 of OTR: client profiles, the interactive deniable
// authenticated key exchange, and data messages under the double ratchet, with one instance
// of the peer.
//
// It follows "OTR version 4", a draft that leaves some points open. Where two independent
// programs agree on such a point, this package does the same:
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
// The package does no I/O: an [Engine] takes one decoded message at a time and returns the
// answer. Package otr handles everything that concerns a whole conversation: queries,
// fragments, policy and the choice of an instance.
package v4
