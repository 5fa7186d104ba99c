package v4

import (
	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// Accounts holds the account names of the two participants on the network, for XMPP the bare
// JIDs. They are part of the shared session state: an exchange fails unless both sides use
// the same two names.
type Accounts struct{ Ours, Theirs string }

// public is the public contribution of one side to a key exchange.
type public struct {
	tag       uint32
	profile   *Profile
	ecdh      []byte // X or Y, POINT
	dh        []byte // A or B
	firstECDH []byte // POINT
	firstDH   []byte
	account   *string // nil: not part of the shared session state
}

// The first byte of t.
const (
	transcriptAuthR = 0
	transcriptAuthI = 1
)

// authRTranscript returns t of an Auth-R message (section "Auth-R Message"). Bob has sent the
// Identity message, and Alice sends the Auth-R.
func authRTranscript(bob, alice *public) []byte {
	t := append([]byte{transcriptAuthR}, bob.profile.hash(group.UsageAuthRBobClientProfile)...)
	t = append(t, alice.profile.hash(group.UsageAuthRAliceClientProfile)...)
	return appendExchanged(t, bob, alice, hashPhi(group.UsageAuthRPhi, alice, bob))
}

// authITranscript returns t of the Auth-I message (section "Auth-I Message") that Bob sends.
func authITranscript(bob, alice *public) []byte {
	t := append([]byte{transcriptAuthI}, bob.profile.hash(group.UsageAuthIBobClientProfile)...)
	t = append(t, alice.profile.hash(group.UsageAuthIAliceClientProfile)...)
	return appendExchanged(t, bob, alice, hashPhi(group.UsageAuthIPhi, bob, alice))
}

// appendExchanged appends Y || X || B || A and the hash of phi.
func appendExchanged(t []byte, bob, alice *public, phi []byte) []byte {
	t = append(append(t, bob.ecdh...), alice.ecdh...)
	t = wire.AppendMPI(wire.AppendMPI(t, bob.dh), alice.dh)
	return append(t, phi...)
}

// hashPhi returns HWC(usage || phi, 64), where sender is the sender of the message with the
// signature.
func hashPhi(usage group.Usage, sender, receiver *public) []byte {
	h := make([]byte, 64)
	group.KDF(h, usage, phi(sender, receiver))
	return h
}

// phi returns the shared session state (section "Shared Session State"): the instance tags,
// the first ephemeral keys of the ratchet, and phi' if accounts are known, with the sender's
// value first in each pair.
func phi(sender, receiver *public) []byte {
	b := wire.AppendInt(wire.AppendInt(nil, sender.tag), receiver.tag)
	for _, side := range []*public{sender, receiver} {
		b = wire.AppendMPI(append(b, side.firstECDH...), side.firstDH)
	}
	for _, side := range []*public{sender, receiver} {
		if side.account != nil {
			b = wire.AppendData(b, []byte(*side.account))
		}
	}
	return b
}
