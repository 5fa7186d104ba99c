package v4

import (
	"errors"
	"fmt"
	"io"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// PrekeyGrace is how long our own client and prekey profiles can still be used to read
// messages after they have expired (section "Prekey Profile Expiration and Renewal").
const PrekeyGrace = 24 * time.Hour

// ErrState reports bytes that are not a valid stored state.
var ErrState = errors.New("v4: malformed stored state")

// A Publication is a pair of profiles that we publish, with the secret of the shared prekey
// D. Any number of prekeys may be published with it. It prints as a placeholder.
type Publication struct {
	Client *Profile
	Prekey *PrekeyProfile
	shared *keys.Ed448PrivateKey
}

// NewPublication makes a shared prekey and signs the two profiles, which expire at expires.
// It reads 57 bytes from the client's source of randomness. The client profile contains no
// version 3 key, because an ensemble is for version 4 only.
func (c *Client) NewPublication(expires time.Time) (*Publication, error) {
	shared, err := keys.GenerateEd448(c.Rand)
	if err != nil {
		return nil, fmt.Errorf("v4: shared prekey: %w", err)
	}
	p := &Publication{shared: shared}
	if p.Client, err = newProfile(c.InstanceTag, c.Identity, c.Forging, nil, expires, c.Rand); err == nil {
		p.Prekey, err = newPrekeyProfile(c.InstanceTag, c.Identity, shared.Public(), expires)
	}
	if err != nil {
		shared.Wipe()
		return nil, err
	}
	return p, nil
}

// Expires returns when both profiles expire.
func (p *Publication) Expires() time.Time {
	return time.Unix(min(p.Client.Expires, p.Prekey.Expires), 0)
}

// Usable reports whether messages to the publication can still be read at now, which is until
// PrekeyGrace after it has expired. Then wipe it, together with its prekeys.
func (p *Publication) Usable(now time.Time) bool { return now.Before(p.Expires().Add(PrekeyGrace)) }

// Ensemble returns the ensemble that publishes k with p.
func (p *Publication) Ensemble(k *Prekey) *Ensemble {
	return &Ensemble{Client: p.Client, Prekey: p.Prekey, Message: k.Message(p.Client.InstanceTag)}
}

// AppendSecret appends the publication with its secret. The caller has to encrypt it before
// storing it.
func (p *Publication) AppendSecret(b []byte) []byte {
	symmetric := p.shared.Symmetric()
	defer clear(symmetric)
	b = append(b, symmetric...)
	b = wire.AppendData(b, p.Client.encoded)
	return wire.AppendData(b, p.Prekey.encoded)
}

// ReadPublication reads the output of AppendSecret. The result does not borrow from r. The
// error wraps ErrState.
func ReadPublication(r *wire.Reader) (*Publication, error) {
	symmetric := r.Take(keys.Ed448SymmetricLen)
	client, prekey := r.Data(), r.Data()
	if r.Err() != nil {
		return nil, stateError(r.Err())
	}
	p := new(Publication)
	var err error
	if p.shared, err = keys.NewEd448PrivateKey(symmetric); err != nil {
		return nil, stateError(err)
	}
	if p.Client, err = storedProfile(client); err == nil {
		whole := wire.NewReader(append([]byte(nil), prekey...))
		if p.Prekey, err = ReadPrekeyProfile(&whole); err == nil {
			err = whole.End()
		}
	}
	if err == nil && string(p.shared.Public().Point().Append(nil)) != string(p.Prekey.SharedPrekey) {
		err = errors.New("the shared prekey is not that of its profile")
	}
	if err != nil {
		p.Wipe()
		return nil, stateError(err)
	}
	return p, nil
}

// Wipe overwrites the secret.
func (p *Publication) Wipe() { p.shared.Wipe() }

// Format prints a placeholder for every verb.
func (Publication) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Publication(…)") }

// A Prekey is a one-time prekey of ours: the secrets of Y and B. It prints as a placeholder.
type Prekey struct {
	ID uint32 // the prekey message identifier
	y  group.Scalar
	b  [dhSecretLen]byte
}

// NewPrekey draws a prekey: an identifier other than 0 for which taken returns false, then y
// and b. It reads 4 bytes (again if the identifier is taken), 57 and 80 bytes from the
// client's source of randomness.
func (c *Client) NewPrekey(taken func(id uint32) bool) (*Prekey, error) {
	k := new(Prekey)
	for k.ID == 0 || taken(k.ID) {
		var id [4]byte
		if _, err := io.ReadFull(c.Rand, id[:]); err != nil {
			return nil, fmt.Errorf("v4: prekey: %w", err)
		}
		r := wire.NewReader(id[:])
		k.ID = r.Int()
	}
	var err error
	if k.y, err = group.DrawScalar(c.Rand); err == nil {
		_, err = io.ReadFull(c.Rand, k.b[:])
	}
	if err != nil {
		k.Wipe()
		return nil, fmt.Errorf("v4: prekey: %w", err)
	}
	return k, nil
}

// Message returns the prekey message that publishes k for an instance. It is not signed.
func (k *Prekey) Message(tag uint32) *PrekeyMessage {
	y, b := k.ecdh(), k.dh()
	defer y.secret.Wipe()
	defer clear(b.secret[:])
	return &PrekeyMessage{Version: Version, Type: typePrekey, ID: k.ID, InstanceTag: tag, Y: y.public[:], B: b.public}
}

func (k *Prekey) ecdh() (y ecdhKey) {
	y.secret, y.point = k.y, group.MulBase(k.y)
	y.point.Append(y.public[:0])
	return y
}

func (k *Prekey) dh() dhKey {
	return dhKey{secret: k.b, public: trimZeros(group.MODP3072().ExpBase(k.b[:]))}
}

// AppendSecret appends the prekey with its secrets. The caller has to encrypt it before
// storing it.
func (k *Prekey) AppendSecret(b []byte) []byte {
	return append(k.y.Append(wire.AppendInt(b, k.ID)), k.b[:]...)
}

// ReadPrekey reads the output of AppendSecret. The error wraps ErrState.
func ReadPrekey(r *wire.Reader) (*Prekey, error) {
	k := &Prekey{ID: r.Int()}
	y, b := r.Take(group.ScalarLen), r.Take(dhSecretLen)
	if r.Err() != nil {
		return nil, stateError(r.Err())
	}
	k.y = group.ReduceScalar(y) // unlike ParseScalar, in constant time
	copy(k.b[:], b)
	return k, nil
}

// Wipe overwrites the secrets.
func (k *Prekey) Wipe() { *k = Prekey{} }

// Format prints a placeholder for every verb.
func (Prekey) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Prekey(…)") }

// storedProfile reads a client profile, ours or a peer's, that was valid when it was stored.
// It does not borrow from b.
func storedProfile(b []byte) (*Profile, error) {
	r := wire.NewReader(append([]byte(nil), b...))
	p, err := ReadProfile(&r)
	if err == nil {
		err = r.End()
	}
	return p, err
}

func stateError(err error) error { return fmt.Errorf("%w: %w", ErrState, err) }
