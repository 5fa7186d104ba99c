package toolkit

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/keys"
	"otrpipe/otr/v4"
)

var (
	// ErrNoProfile reports a transcript without a valid client profile of another person.
	ErrNoProfile = errors.New("toolkit: no client profile of anybody else")
	// ErrProfiles reports a transcript with valid client profiles of several other people.
	ErrProfiles = errors.New("toolkit: client profiles of several people")
	// ErrNoEnsemble reports a transcript without a valid prekey ensemble of another person.
	ErrNoEnsemble = errors.New("toolkit: no prekey ensemble of anybody else")
)

// A Profile is a client profile of version 4.
type Profile = v4.Profile

// An Ensemble is a prekey ensemble of version 4.
type Ensemble = v4.Ensemble

// FindProfiles returns the client profile of the other person in a transcript with key
// exchanges, and the one that we showed in them, or nil if there is none; key is our own
// long-term key. If one key has several profiles it returns the last. It ignores invalid
// profiles; an expired profile counts as valid. The error wraps ErrNoProfile or ErrProfiles, or
// comes from the reader.
func FindProfiles(transcript io.Reader, key *keys.Ed448PublicKey) (peers, ours *Profile, err error) {
	own := key.Point().Append(nil)
	p := NewParser(transcript)
	for {
		m, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		profile := profileOf(m)
		switch {
		case profile == nil:
		case bytes.Equal(profile.PublicKey, own):
			if m.Name == "identity" || m.Name == "auth_r" { // not one for people who are away
				ours = profile
			}
		case peers == nil || bytes.Equal(profile.PublicKey, peers.PublicKey):
			peers = profile
		default:
			return nil, nil, fmt.Errorf("%w: another at %v", ErrProfiles, m.Position)
		}
	}
	if peers == nil {
		return nil, nil, ErrNoProfile
	}
	return peers, ours, nil
}

// FindEnsemble returns the last valid prekey ensemble of another person in a transcript; see
// FindProfiles.
func FindEnsemble(transcript io.Reader, ours *keys.Ed448PublicKey) (*Ensemble, error) {
	own := ours.Point().Append(nil)
	var found *Ensemble
	p := NewParser(transcript)
	for {
		m, err := p.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		e := m.ensemble
		switch {
		case e == nil || m.Fields.Get("valid") != true || bytes.Equal(e.Client.PublicKey, own):
		case found == nil || bytes.Equal(e.Client.PublicKey, found.Client.PublicKey):
			found = e
		default:
			return nil, fmt.Errorf("%w: another at %v", ErrProfiles, m.Position)
		}
	}
	if found == nil {
		return nil, ErrNoEnsemble
	}
	return found, nil
}

// profileOf returns the valid client profile in a message, or nil.
func profileOf(m *Message) *Profile {
	if m.Err != nil {
		return nil
	}
	if f, ok := m.Fields.Get("client_profile").(Fields); !ok || f.Get("valid") != true {
		return nil
	}
	switch m.Name {
	case "identity":
		if b, err := v4.ParseIdentity(m.Body); err == nil {
			return b.Profile
		}
	case "auth_r":
		if b, err := v4.ParseAuthR(m.Body); err == nil {
			return b.Profile
		}
	case "non_interactive_auth":
		if b, err := v4.ParseNonInteractiveAuth(m.Body); err == nil {
			return b.Profile
		}
	case "prekey_ensemble":
		return m.ensemble.Client
	}
	return nil
}
