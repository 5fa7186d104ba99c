// Package offline writes messages to people who are away and reads such messages: it
// implements version 4's prekey ensembles and non-interactive key exchange, and the state
// that has to be kept between messages.
//
// A [Store] is the state of one identity: its published, unused prekeys, the ensembles that
// it has used itself, and the sessions in which replies may come. It is read from bytes and
// written to bytes. The caller has to encrypt these bytes, replace them on disk, and prevent
// two processes from changing one store at the same time.
//
// The receiver publishes ensembles with [Store.Publish]. The sender picks one
// ([ReadEnsembles], [Store.Choose]), begins a session with [Store.Write], and encrypts with a
// [Writer]. The receiver passes the lines to a [Reader]. Either side can continue the session
// later with another Writer.
//
// # What has to be stored, and when
//
//   - Publish: before an ensemble is handed out.
//   - Write: before its message is sent; otherwise a second message could use the same ensemble.
//   - Writer: it calls Save before it sends messages whose keys the stored session still has.
//     After its End, or after a text, call [Session.HandedOut] once the lines have been written,
//     and [Store.Put] when the Writer is no longer used.
//   - Reader: when a message has begun a session, [Store.Accept] on the stored copy, before
//     anything of it is shown: that deletes the prekey. When the message has been read to its
//     end, [Store.Put].
//
// So even if a process is killed at any time, no prekey serves two messages, no key encrypts
// twice, and a message that was not read to its end can be read again until its prekey would
// have expired.
//
// # On the wire
//
// A message to a recipient who is away consists of a Non-Interactive-Auth message and data
// messages, one per line. A stream of bytes is carried in records, as in package stream: TLVs
// of private types in data messages with an empty text, one record HEAD, DATA from offset to
// offset, and END with the whole length. All messages of a stream are consecutive in one
// ratchet. Each text is a data message of its own; the last is followed by END or by the
// Disconnected TLV. The chain advances with every message, so one key opens at most
// [PieceLen] bytes of a stream.
package offline
