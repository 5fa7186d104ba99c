package otr

import (
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
)

// A protocol is one version of OTR, as used by a Conversation.
type protocol interface {
	// newEngine returns an engine for one instance of the peer.
	newEngine(peer uint32) engine
	// newOffer makes our half of a key exchange.
	newOffer() (offer, error)
	// fragmentFormat returns the format of fragments, as wire.AppendFragments numbers it.
	fragmentFormat() int
	// errorText returns the text of the error message for an unreadable data message.
	errorText(reason error) string
}

// An offer is our half of a key exchange. It is sent to one instance of the peer, or to any
// instance that answers (receiver 0).
type offer interface {
	message(receiver uint32) []byte
	// revealed reports whether the offer has been opened to an instance, so that it cannot be
	// sent again.
	revealed() bool
	wipe()
}

// An engine is our side of one version with one instance of the peer: a key exchange and the
// session that results from it. Its interface has four parts. Only the Conversation's
// goroutine uses it.
type engine interface {
	exchangeEngine
	dataEngine
	identityEngine
	keyEngine

	drop() // the session
	wipe() // everything
}

// An exchangeEngine is the key exchange of an engine.
type exchangeEngine interface {
	begin(o offer)
	forget()
	// relinquish is like forget, unless the peer may already have a session of which we have
	// not received the last message. In that case it returns true, and that message still
	// begins the session until forget is called.
	relinquish() bool
	// late reports whether the last message of an exchange that we have given up for another
	// may still come and begin a session.
	late() bool
	authState() AuthState
	// exchanging reports whether a data message sent now could get lost, because the peer may
	// already have the keys of a session that we do not have yet.
	exchanging() bool
	// crossed reports whether the peer's offer has won against ours and ours is still kept.
	crossed() bool
	// unanswered returns our last message of the key exchange if it is harmless to send it
	// again to a peer that has received it, and otherwise nil.
	unanswered() []byte
	// settling reports whether the offer that led to the session was sent more than once, so
	// that the peer may answer again; settled ends this state.
	settling() bool
	settled()
	// sessions returns the number of key exchanges that have succeeded.
	sessions() int
}

// A dataEngine encrypts and decrypts data messages. Its receive also handles the messages of
// the key exchange.
type dataEngine interface {
	// receive handles a message that is for us; see v3.Engine.Receive. The
	// verdict classifies err.
	receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) (reply []byte, got wire.Plaintext, v verdict, err error)
	seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	// sealRevealing is like seal, but also reveals every MAC key that has verified a message.
	// These keys verify no further message. sealLast does the same and drops the session.
	sealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	sealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	tlvKind(t uint16) tlvKind

	// settle is like seal, but returns only the length of the message in bytes.
	// sealings.finish makes the message, without the engine.
	settle(s *sealings, flags byte, p wire.Plaintext) (size int, err error)
	// prepare returns a function that prepares our next keys in any goroutine, or nil.
	prepare() func()
	// foresee sets f to the keys of the next n data messages; false: they are not known.
	// receiveAhead is receive for a data message that f.open has processed.
	foresee(f *foresight, n int) bool
	receiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, a *ahead) (got wire.Plaintext, v verdict, err error)
}

// An identityEngine identifies the peer of the session.
type identityEngine interface {
	peerFingerprint() keys.Fingerprint
	// namesPeer reports whether a message that begins a key exchange names the key of the
	// session's peer, which proves nothing; always false in versions where such a message
	// names no key.
	namesPeer(sender uint32, body []byte) bool
	// vouchingFingerprint returns the fingerprint of the version 3 key in the peer's
	// transitional signature, or zero.
	vouchingFingerprint() keys.Fingerprint
	// peerVersions returns the versions that the peer speaks according to its signed profile,
	// and when that expires; none in versions without profiles.
	peerVersions() (versions wire.Versions, until time.Time)
	ssid() (id [8]byte, firstHalfBold bool)
	smpBinding() smp.Binding
}

// A keyEngine manages the session's keys.
type keyEngine interface {
	keyRotations() uint32
	// inherit takes over the MAC keys that old's session has to reveal, and drops that
	// session. It does nothing and returns false if the two versions reveal different keys.
	// The engine that inherits must have a session.
	inherit(old engine) bool
	// extraKeyTLV returns the type of the record that announces a use of the
	// extra symmetric key.
	extraKeyTLV() (uint16, error)
	// extraKey returns the extra symmetric key of the last message sent or
	// received, for the nth of its announcing records, counted from 0.
	extraKey(received bool, n int) ([]byte, error)
	// expire drops keys that have been kept for too long for messages that have not come.
	// nextExpiry returns when it is next due, or zero.
	expire(now time.Time)
	nextExpiry() time.Time
}

// A verdict classifies the error of an engine's receive.
type verdict int

const (
	accepted       verdict = iota
	ignored                // not expected in this state
	beaten                 // an offer that has lost against ours
	expired                // the sender's profile has expired
	mistagged              // the sender's profile belongs to another instance
	busy                   // not processed: there were too many that failed authentication
	echoed                 // our own message
	malformed              // malformed, or failed a check of the key exchange
	replayed               // an authentic data message that was read before
	undecipherable         // a data message under keys that we do not have, or forged
	failed                 // an error on our side: randomness, exhausted counters
)

// A tlvKind is the meaning of a TLV type in a version.
type tlvKind int

const (
	tlvOther tlvKind = iota
	tlvPadding
	tlvDisconnected
	tlvSMP
	tlvExtraKey
)
