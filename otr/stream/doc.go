// Package stream runs a conversation over a transport: any [io.ReadWriteCloser] that carries
// lines of text both ways. A [Stream] carries exact bytes between two ends that both use this
// package, with half-close and an authenticated end; [Lines] carries one message per line and
// works with any OTR client.
//
//	s, err := stream.Open(transport, stream.Config{Conversation: c, Clock: clock, Rand: rand.Reader, Initiate: true})
//	err = s.Handshake(ctx)
//	io.WriteString(s, "hello")
//	s.CloseWrite()
//	io.Copy(os.Stdout, s)
//	err = s.Wait()
//
// One OTR message is one line on the transport, ended by LF; CR LF is accepted. A Stream puts
// its records into data messages with an empty text, as TLVs of private types; other clients
// ignore them.
//
//	0x6F01 HELLO  version (1 byte, 2); stream id (16 random bytes); receive window in bytes (8);
//	              the versions of OTR that its sender offered: bit v for version v (1)
//	0x6F02 DATA   offset (8): the stream bytes before this record; then the bytes
//	0x6F03 ACK    offset (8): bytes handed to the reader so far; without the last one before END
//	0x6F04 END    offset (8): the stream's whole length
//	0x6F05 ABORT  reason (UTF-8): nothing more will come; the stream is broken
//	0x6F06 STOP   reason (UTF-8): the reader here is gone; end your direction
//
// From version 3 of OTR on, Lines marks its texts as plain text, because many IM clients
// treat messages as HTML. It also sends the mark when a session begins and with its
// acknowledgements:
//
//	0x6F21 PLAIN  the versions of OTR that its sender offered, as in HELLO (1)
//
// Lines also numbers, counts and acknowledges its texts. Both Stream and Lines end a session
// with a handshake that makes it deniable; see the manual page otrpipe-stream(5).
//
//	0x6F22 NUMBER    number (8): of the message's text in the session
//	0x6F23 RECEIVED  session id (8); next (8); runs of lost texts: first (8), count (8)
//	0x6F24 COUNT     session id (8); count (8): the texts sent in that session
//	0x6F25 LAPSED    no value: the session's keys were too old, its sender stays
//	0x6F26 AGAIN     session id (8), number (8): for each session in which this text was sent before
//	0x6F27 REFUSED   no value: the sender refuses the peer's key
//	0x6F28 UNWRITTEN no value: the sender could not write texts that it may have acknowledged
//	0x6F07 CLOSE     no value: the sender has said everything
//	0x6F08 CLOSED    no value: and reveals every MAC key that it has verified with
//	0x6F09 ASK       no value: show where you stand
//
// Two ends that have met in version 3 tell each other the fingerprints of their version 4
// keys, once each end's checks have passed, and continue in version 4:
//
//	0x6F13 VOUCH  the sender's fingerprint of version 4 (56); or nothing: it has none to tell
//
// Integers are big-endian. Each byte is handed to the reader exactly once, in order, and only
// after it was authenticated. A stream that stops before the peer's authenticated END is an
// error, even if everything before it arrived.
//
// # Goroutines
//
// Three goroutines belong to each end, so that reading, cryptography and writing overlap. The
// owner holds the Conversation and all protocol state, runs every callback, and never waits
// for the transport. The reader and the writer only move bytes. The methods of Stream and
// Lines may be called from any goroutine. A comment beside each field names the goroutine
// that owns it.
//
// The package uses no clock and no source of randomness of its own: [Config] provides both.
package stream
