// Package offline writes to people who are away and reads what they were sent: version 4's
// prekey ensembles and non-interactive key exchange, with what has to be remembered between
// one message and the next.
//
// A [Store] is all that one identity remembers: the prekeys it has published and nobody has
// used, the ensembles it has used itself, and the sessions in which replies may come. It is
// a value that is read from bytes and written to bytes; encrypting those and replacing them
// on a disk is the caller's part, and so is that two processes do not change one store at
// once.
//
// The receiver publishes ensembles with [Store.Publish]. The sender picks one
// ([ReadEnsembles], [Store.Choose]), begins a session with [Store.Write], and encrypts with
// a [Writer]. The receiver gives the lines to a [Reader]. Either side goes on in the session
// later, with a Writer of it.
//
// # What has to be stored, and when
//
//   - Publish: before an ensemble is handed out.
//   - Write: before its message is sent, or a second message could use the ensemble.
//   - A Writer asks for it (Save) before messages whose keys the stored session still has.
//   - A Reader: when a message has begun a session, [Store.Accept] on the stored copy, before
//     anything of it is shown: that deletes the prekey. When the message has been read to its
//     end, [Store.Put].
//
// Whatever is killed and when, no prekey serves two messages, no key encrypts twice, and a
// message that was not read to its end can be read again until its prekey would have
// expired.
//
// # On the wire
//
// A message to somebody who is away is a Non-Interactive-Auth message and data messages, a
// line each. A stream of bytes is carried in records, as in package stream: TLVs of private
// types in data messages with an empty text, one record HEAD, DATA from offset to offset,
// and END with the whole length. All messages of a stream are consecutive in one ratchet.
// Texts are data messages of their own; the last is followed by END or by the Disconnected
// TLV. The chain steps with every message, so one key opens at most [PieceLen] bytes.
package offline
