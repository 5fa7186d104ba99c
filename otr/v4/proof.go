package v4

import (
	"crypto/sha3"
	"errors"
	"fmt"
)

// ErrProof says that there is no proof by a key of version 3, or that it is not one.
var ErrProof = errors.New("v4: no proof by the key of version 3")

// proofContext keeps what is hashed here apart from everything else that a DSA key signs.
const proofContext = "otrpipe: this client profile is mine\x00"

// A transitional signature proves nothing, see PeerKey. So two otrpipes have one more, which
// is asked for in the session where it matters: the same statement by the same key, hashed
// as signatures have to be. It says no more about the conversation than the profile does.

// Prove returns the proof that our key of version 3 vouches for the profile that we have shown
// in this session: a DSA signature. ErrProof if the profile names no such key, ErrNoSession
// without a session.
func (e *Engine) Prove() ([]byte, error) {
	s := e.session
	switch {
	case s == nil:
		return nil, ErrNoSession
	case s.ourProfile.DSA == nil || e.client.DSA == nil:
		return nil, ErrProof
	}
	return e.client.DSA.Sign(e.client.Rand, proofDigest(s.ourProfile))
}

// CheckProof returns nil if proof is the peer's, made by PeerKey().DSA; else the error wraps
// ErrProof.
func (e *Engine) CheckProof(proof []byte) error {
	s := e.session
	switch {
	case s == nil:
		return ErrNoSession
	case s.peer.DSA == nil:
		return ErrProof
	}
	if err := s.peer.DSA.Verify(proofDigest(s.peerProfile), proof); err != nil {
		return fmt.Errorf("%w: %w", ErrProof, err)
	}
	return nil
}

func proofDigest(p *Profile) []byte {
	return sha3.SumSHAKE256(p.Append([]byte(proofContext)), 32)
}
