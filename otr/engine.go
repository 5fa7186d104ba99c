package otr

import (
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/wire"
)

// A protocol is one version of OTR as a Conversation sees it.
type protocol interface {
	// newEngine returns our side with one instance of the peer.
	newEngine(peer uint32) engine
	// newOffer makes our half of a key exchange.
	newOffer() (offer, error)
	// fragmentFormat is what wire.AppendFragments calls this version's form.
	fragmentFormat() int
	// errorText is the error message for a data message that cannot be read.
	errorText(reason error) string
}

// An offer is our half of a key exchange, to be sent to one instance of the
// peer or to whoever answers (receiver 0).
type offer interface {
	message(receiver uint32) []byte
	// revealed says that the offer has been opened to somebody, so that it
	// cannot be made again.
	revealed() bool
	wipe()
}

// An engine is our side of one version with one instance of the peer: a key
// exchange and the session that comes of it. What a Conversation asks of it falls
// into four parts. Every engine is for one goroutine, the Conversation's.
type engine interface {
	exchangeEngine
	dataEngine
	identityEngine
	keyEngine

	drop() // the session
	wipe() // everything
}

// An exchangeEngine is an engine's key exchange.
type exchangeEngine interface {
	begin(o offer)
	forget()
	// relinquish is forget, unless the peer may have a session by now that we could only
	// learn of by its last message: then that message still begins it, until forget, and
	// the answer is true.
	relinquish() bool
	authState() AuthState
	// exchanging says that a data message sent now could get lost: the peer may
	// already have the keys of a session that we do not have yet.
	exchanging() bool
	// crossed says that the peer's offer has won against ours, which is still
	// there.
	crossed() bool
	// unanswered is our last message of a key exchange, if it does no harm to a peer
	// that has got it already; else nil.
	unanswered() []byte
	// settling says that the offer that a session has come from was made more than
	// once, so that the peer may answer again; settled ends that.
	settling() bool
	settled()
	// sessions counts the key exchanges that succeeded.
	sessions() int
}

// A dataEngine turns messages into plaintext and back. Messages of the key
// exchange come in by it too.
type dataEngine interface {
	// receive handles a message that is for us; see v3.Engine.Receive. The
	// verdict classifies err.
	receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) (reply []byte, got wire.Plaintext, v verdict, err error)
	seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	// sealRevealing also reveals every MAC key that has verified a message; none of
	// them verifies another. sealLast does so too, and drops the session.
	sealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	sealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error)
	tlvKind(t uint16) tlvKind

	// settle is seal, but returns only how long the message is: sealings.finish makes it,
	// which needs nothing of the engine.
	settle(s *sealings, flags byte, p wire.Plaintext) (size int, err error)
	// prepare returns work for our next keys that can be done in any goroutine, or nil.
	prepare() func()
	// foresee sets f to the keys of the next n data messages; false: they are not
	// known. receiveAhead is receive for a data message that f.open has seen.
	foresee(f *foresight, n int) bool
	receiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, a *ahead) (got wire.Plaintext, v verdict, err error)
}

// An identityEngine says who the peer of the session is.
type identityEngine interface {
	peerFingerprint() keys.Fingerprint
	// namesPeer reports whether a message that begins a key exchange names the key of the
	// session's peer, which shows nothing; false where such a message names none.
	namesPeer(sender uint32, body []byte) bool
	// vouchingFingerprint is that of a key of version 3 whose transitional signature
	// the peer shows, or zero.
	vouchingFingerprint() keys.Fingerprint
	// peerVersions is what the peer has signed for: the versions it speaks, and until
	// when that holds; none where a version has no such thing.
	peerVersions() (versions wire.Versions, until time.Time)
	ssid() (id [8]byte, firstHalfBold bool)
	smpBinding() smp.Binding
}

// A keyEngine looks after the session's keys.
type keyEngine interface {
	keyRotations() uint32
	// extraKeyTLV returns the type of the record that announces a use of the
	// extra symmetric key.
	extraKeyTLV() (uint16, error)
	// extraKey returns the extra symmetric key of the last message sent or
	// received, for the nth of its announcing records, counted from 0.
	extraKey(received bool, n int) ([]byte, error)
	// expire lets go of keys that have been kept for too long for messages that
	// have not come; nextExpiry is when it will have something to do, or the zero
	// time.
	expire(now time.Time)
	nextExpiry() time.Time
}

// A verdict says what kind of error an engine's receive returned.
type verdict int

const (
	accepted       verdict = iota
	ignored                // of no use in this state
	beaten                 // an offer that has lost against ours
	expired                // the sender's profile has expired
	mistagged              // the sender's profile is not of the instance that it names
	busy                   // not looked at: too many that cannot be authenticated
	echoed                 // our own message
	malformed              // not of its form, or failed a check of the key exchange
	replayed               // an authentic data message, but an old one
	undecipherable         // a data message under keys that we do not have, or forged
	failed                 // our own side failed: randomness, exhausted counters
)

// A tlvKind says what a TLV type means in a version.
type tlvKind int

const (
	tlvOther tlvKind = iota
	tlvPadding
	tlvDisconnected
	tlvSMP
	tlvExtraKey
)
