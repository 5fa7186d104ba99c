package otr

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// A Session describes an encrypted session.
type Session struct {
	Version       int              // of the protocol: 2, 3 or 4
	Fingerprint   keys.Fingerprint // of the peer's long-term key
	Vouching      keys.Fingerprint // version 4: of the key of the transitional signature, which anyone can forge; else zero
	PeerVersions  wire.Versions    // version 4: 3 and 4 as far as the peer's profile lists them; else none
	VersionsUntil time.Time        // version 4: when the peer's client profile expires
	SSID          [8]byte          // the secure session id
	FirstHalfBold bool             // whether the first half of SSID is ours to read aloud
	PeerInstance  uint32           // the peer's instance tag; 0 in version 2
	Since         time.Time        // when the key exchange succeeded
	KeysSince     time.Time        // when the keys last changed
}

// An Event reports something other than a text: it is one of the types of this file. Its
// String is meant for people and contains no secret.
type Event interface {
	fmt.Stringer
	event()
}

type (
	// Secure: a key exchange succeeded. It precedes everything that belongs to the session.
	Secure struct {
		Session
		Refreshed bool // the session replaces an encrypted one
	}

	// PeerEnded: the peer ended the session, with an authenticated message. The state is
	// StateFinished.
	PeerEnded struct{}

	// Ended: this end ended the session.
	Ended struct {
		Expired bool // because its keys had not changed for the time Config.Expire
	}

	// Unencrypted accompanies Received.Unencrypted.
	Unencrypted struct {
		Bytes int
	}

	// Unreadable: a data message could not be verified and was dropped.
	Unreadable struct {
		Reason error
	}

	// Malformed: a message was malformed or of an unknown kind, or failed a check of the key
	// exchange, and was dropped.
	Malformed struct {
		Reason error
	}

	// PeerError: an OTR Error Message came, which anyone may have written.
	PeerError struct {
		Text string
		Code int // N if Text begins with "ERROR_N" and that code is known; else 0
		// Expired is set if our client profile has expired by the peer's clock: Text was
		// written by an end that reported ProfileExpired.
		Expired bool
	}

	// Queried: the peer asked for OTR with a query or a whitespace tag, or began a key
	// exchange in a version that Policy does not allow.
	Queried struct {
		Offered wire.Versions
		Common  int // the best offered version that Policy allows; 0: none
		// Answer is the version of the key exchange with which we answer, or that was under
		// way already; 0: none.
		Answer int
	}

	// OtherInstance: a message was ignored, because it was for another instance of ours, or
	// from an instance of the peer other than the one that our session is with.
	OtherInstance struct {
		Tag uint32 // the instance that it was for, or from
	}

	// OtherKey: another instance has completed a key exchange with a key other than the
	// session's. It was refused and told so; the session goes on.
	OtherKey struct {
		Fingerprint keys.Fingerprint
		Version     int
		Instance    uint32
	}

	// SecondClient: an instance other than the session's has taken part in a key exchange and
	// gets no session, because the session's own instance is alive. The event is reported
	// once per instance and session, and a limited number of times per minute. Anyone can
	// write such messages. If the exchange has shown another key, OtherKey is reported
	// instead.
	SecondClient struct {
		Version  int
		Instance uint32
	}

	// ExchangeBegun: an instance of the peer has sent its first well-formed message of a key
	// exchange. It is not authenticated yet. In version 4 the exchange fails if the two ends
	// do not name the same accounts.
	ExchangeBegun struct {
		Version  int
		Instance uint32
	}

	// ProfileExpired: a key exchange was refused because the client profile of an instance
	// has expired. Profiles are valid for days and are renewed in time, so one of the two
	// clocks is wrong. The peer is told too.
	ProfileExpired struct {
		Instance uint32
		Expires  time.Time // when the profile expired
		Now      time.Time // the time on our clock
	}

	// Echo: one of our own messages came back and was ignored.
	Echo struct{}

	// Restarted: the peer has lost the session, and we have begun a new key exchange.
	Restarted struct{}

	// Resent: the text that waited for a session was sent.
	Resent struct{}

	// SMPAsked: the peer began the socialist millionaires' protocol and waits for AnswerSMP.
	SMPAsked struct {
		Question string // as the peer wrote it; may be empty
		// Run identifies this question within the Conversation. An answer is for one question
		// only: compare Run with SMPRun before calling AnswerSMP.
		Run uint64
	}
	// SMPShown: our SMP message 3 is in Received.Send, so from now on the peer can learn the
	// outcome. The run ends with SMPSucceeded or SMPFailed.
	SMPShown struct{}
	// SMPSucceeded: both secrets are the same.
	SMPSucceeded struct{}
	// SMPFailed: a run has not succeeded although the peer was shown its outcome. It counts
	// as a guess.
	SMPFailed struct {
		// BrokenOff is set if we have not seen the outcome, because the run ended too early.
		// Otherwise the secrets differ, or the peer cheated.
		BrokenOff bool
	}
	// SMPAborted: the peer or a protocol error ended the run before its outcome was shown to
	// either end.
	SMPAborted struct{}

	// SMPCrossed: both ends began at the same time, so both have aborted. The peer's abort
	// will follow as SMPAborted; then one of the two may begin again.
	SMPCrossed struct{}

	// ExtraKeyReceived: the peer is going to use the extra symmetric key.
	ExtraKeyReceived struct {
		Use  uint32
		Data []byte
		Key  []byte // 32 bytes in version 3, 64 in version 4; secret
	}
)

func (Secure) event()           {}
func (PeerEnded) event()        {}
func (Ended) event()            {}
func (Unencrypted) event()      {}
func (Unreadable) event()       {}
func (Malformed) event()        {}
func (PeerError) event()        {}
func (Queried) event()          {}
func (OtherInstance) event()    {}
func (OtherKey) event()         {}
func (SecondClient) event()     {}
func (ExchangeBegun) event()    {}
func (ProfileExpired) event()   {}
func (Echo) event()             {}
func (Restarted) event()        {}
func (Resent) event()           {}
func (SMPShown) event()         {}
func (SMPAsked) event()         {}
func (SMPSucceeded) event()     {}
func (SMPFailed) event()        {}
func (SMPAborted) event()       {}
func (SMPCrossed) event()       {}
func (ExtraKeyReceived) event() {}

func (e Secure) String() string {
	verb := "secure"
	if e.Refreshed {
		verb = "refreshed"
	}
	return fmt.Sprintf("%s with OTRv%d key %s", verb, e.Version, e.Fingerprint)
}

func (PeerEnded) String() string { return "the peer ended the session" }

func (e Ended) String() string {
	if e.Expired {
		return "session ended: its keys had not changed for too long"
	}
	return "session ended"
}

func (e Unencrypted) String() string {
	return fmt.Sprintf("%d bytes arrived unencrypted", e.Bytes)
}

func (e Unreadable) String() string { return fmt.Sprintf("message dropped: %v", e.Reason) }

func (e Malformed) String() string { return fmt.Sprintf("message dropped: %v", e.Reason) }

func (e PeerError) String() string {
	if e.Meaning() == "" {
		return fmt.Sprintf("the peer reports an error: %q", e.Text)
	}
	return fmt.Sprintf("the peer reports an error: %s (%q)", e.Meaning(), e.Text)
}

// errorCodes explains the error codes of version 4, section "OTR Error Messages". Earlier
// drafts used ERROR_4 for what is now ERROR_3, and ERROR_3 for a failure to encrypt.
var errorCodes = [...]string{
	1: "it could not read a message",
	2: "it got an encrypted message while it had no session",
	3: "it got a malformed message, or one whose instance tags do not fit",
	4: "it got a malformed message, or one whose instance tags do not fit",
}

// Meaning explains the error in a sentence in which "it" is the peer, or returns "" if its
// meaning is unknown.
func (e PeerError) Meaning() string {
	if e.Expired {
		return "it takes our key profile for expired, so one of the two clocks is wrong"
	}
	if e.Code == 3 && strings.HasSuffix(e.Text, "Encryption error") {
		return "it could not encrypt a message"
	}
	return errorCodes[e.Code]
}

// errorCode returns N if an error message begins with "ERROR_N" and N is a known code, and
// otherwise 0.
func errorCode(text []byte) int {
	rest, ok := bytes.CutPrefix(text, []byte("ERROR_"))
	if !ok || len(rest) == 0 || len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9' {
		return 0
	}
	if code := int(rest[0]) - '0'; code > 0 && code < len(errorCodes) {
		return code
	}
	return 0
}

func (e Queried) String() string {
	switch {
	case e.Common == 0:
		return fmt.Sprintf("the peer asks for OTR in versions that are not allowed here: %v", e.Offered)
	case e.Answer == 0:
		return "the peer asks for OTR; that is ignored"
	}
	return fmt.Sprintf("the peer asks for OTR; answered with version %d", e.Answer)
}

func (e OtherInstance) String() string {
	return fmt.Sprintf("message of another instance (%08x) ignored", e.Tag)
}

func (e OtherKey) String() string {
	return fmt.Sprintf("somebody else, with OTRv%d key %s, was refused: the session goes on", e.Version, e.Fingerprint)
}

func (e SecondClient) String() string {
	return fmt.Sprintf("a second client of the peer's (instance %08x) asked for a session; this one goes on with the first", e.Instance)
}

func (e ExchangeBegun) String() string {
	return fmt.Sprintf("a key exchange of version %d has begun with instance %08x", e.Version, e.Instance)
}

func (e ProfileExpired) String() string {
	return fmt.Sprintf("the peer's key profile expired on %s, and our clock says %s: one of the two clocks is wrong",
		date(e.Expires), date(e.Now))
}

// expiredError is the beginning of the error message about an expired profile.
const expiredError = "Profile expired "

// errorText returns the error message for the peer. With the prefix of error messages it fits
// into the shortest line that Config.MaxSize allows.
func (e ProfileExpired) errorText() string {
	const day = "2006-01-02"
	return fmt.Sprintf(expiredError+"%s; my clock: %s", e.Expires.UTC().Format(day), e.Now.UTC().Format(day))
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func (Echo) String() string { return "our own message came back" }

func (Restarted) String() string { return "the peer lost the session; a new one was begun" }

func (Resent) String() string { return "the waiting message was sent" }

func (e SMPAsked) String() string {
	if e.Question == "" {
		return "the peer asks for the shared secret"
	}
	return fmt.Sprintf("the peer asks for the shared secret: %q", e.Question)
}

func (SMPSucceeded) String() string { return "the secrets are the same" }

func (SMPShown) String() string { return "the peer has been shown whether the secrets are the same" }

func (e SMPFailed) String() string {
	if e.BrokenOff {
		return "the comparison of secrets was broken off after the peer had seen its outcome"
	}
	return "the secrets differ"
}

func (SMPAborted) String() string { return "the comparison of secrets was aborted" }

func (SMPCrossed) String() string { return "both ends began to compare secrets at once" }

func (e ExtraKeyReceived) String() string {
	return fmt.Sprintf("the peer uses the extra symmetric key for 0x%08x", e.Use)
}
