package v4

import (
	"bytes"
	"crypto/sha3"
	"encoding/base64"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

const (
	ensembleStart = "?OTRP:"
	ensembleEnd   = '.'

	// UsedMark replaces the beginning of a used ensemble's armor, "?OTRP:", in a file. It has
	// the same length, and makes the ensemble invisible to a reader even if only its first
	// bytes have been written.
	UsedMark = "#used:"
	// UnusedMark is the text that UsedMark replaces.
	UnusedMark = ensembleStart

	// MaxEnsembles is how many ensembles of one file are read. It is more than the
	// correspondents that one file is likely to serve, and it bounds the number of signatures
	// to verify (two per ensemble, a millisecond together).
	MaxEnsembles = 1000
)

// ErrEnsemble reports a prekey ensemble that is invalid as a whole, or whose armor is
// damaged. An invalid part is reported by that part's error.
var ErrEnsemble = errors.New("v4: invalid prekey ensemble")

// An Ensemble is a prekey ensemble: a person publishes it so that one message can be written
// to them while they are away. It is parsed, not validated.
type Ensemble struct {
	Client  *Profile
	Prekey  *PrekeyProfile
	Message *PrekeyMessage
}

// ParseEnsemble parses an ensemble: CLIENT-PROF, PREKEY-PROF and a prekey message, with
// nothing between or after them. The result does not borrow from b. The error wraps
// ErrEnsemble, ErrProfile or ErrPrekeyProfile.
func ParseEnsemble(b []byte) (*Ensemble, error) {
	r, err := exchangeReader(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnsemble, err)
	}
	e := new(Ensemble)
	if e.Client, err = ReadProfile(&r); err != nil {
		return nil, fmt.Errorf("%w: client profile: %w", ErrEnsemble, err)
	}
	if e.Prekey, err = ReadPrekeyProfile(&r); err != nil {
		return nil, fmt.Errorf("%w: prekey profile: %w", ErrEnsemble, err)
	}
	if e.Message, err = ReadPrekeyMessage(&r); err != nil {
		return nil, fmt.Errorf("%w: prekey message: %w", ErrEnsemble, err)
	}
	if err := r.End(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnsemble, err)
	}
	return e, nil
}

// Append appends the ensemble.
func (e *Ensemble) Append(b []byte) []byte {
	return e.Message.Append(e.Prekey.Append(e.Client.Append(b)))
}

// AppendArmor appends the ensemble as one line of text without a line end: "?OTRP:", its
// base64 and ".".
func (e *Ensemble) AppendArmor(b []byte) []byte {
	b = append(b, ensembleStart...)
	b = base64.StdEncoding.AppendEncode(b, e.Append(nil))
	return append(b, ensembleEnd)
}

// Digest names the ensemble: SHAKE-256(ensemble, 32).
func (e *Ensemble) Digest() (d [32]byte) {
	copy(d[:], sha3.SumSHAKE256(e.Append(nil), len(d)))
	return d
}

// A Recipient is a person who is away and can be written to: a validated Ensemble.
type Recipient struct {
	Ensemble *Ensemble
	Peer     *PeerKey

	y *group.Point
	d *group.Point
}

// Validate checks the ensemble at now, in the order of the section "Validating Prekey
// Ensembles": the instance tags, the client profile, the prekey profile, the prekey message.
// The last two checks of that section, that the message's version is one of the profile's
// versions and one of ours, are not needed: all must be 4. The error wraps ErrEnsemble,
// ErrProfile, ErrPrekeyProfile or ErrPrekeyMessage.
//
// The prekey message is not signed. A message written to a false one cannot be read by the
// owner, nor by anyone else without both long-term secrets of the owner.
func (e *Ensemble) Validate(now time.Time) (*Recipient, error) {
	tag := e.Client.InstanceTag
	if e.Prekey.InstanceTag != tag || e.Message.InstanceTag != tag {
		return nil, fmt.Errorf("%w: its parts belong to different instances", ErrEnsemble)
	}
	if tag < wire.MinInstanceTag {
		return nil, fmt.Errorf("%w: its instance tag 0x%x is not valid", ErrEnsemble, tag)
	}
	r := &Recipient{Ensemble: e}
	var err error
	if r.Peer, err = e.Client.Validate(tag, now); err != nil {
		return nil, err
	}
	if r.d, err = e.Prekey.Validate(r.Peer.Public, tag, now); err != nil {
		return nil, err
	}
	if r.y, err = e.Message.Validate(); err != nil {
		return nil, err
	}
	return r, nil
}

// InstanceTag returns the instance tag of the recipient.
func (r *Recipient) InstanceTag() uint32 { return r.Ensemble.Client.InstanceTag }

// Expires returns when the prekey profile expires. The recipient can read messages to the
// ensemble until a day later.
func (r *Recipient) Expires() time.Time { return time.Unix(r.Ensemble.Prekey.Expires, 0) }

// A RefusedEnsemble is the reason why an ensemble in a file was refused.
type RefusedEnsemble struct {
	Number int // its place in the file, from 1
	Err    error
}

// Error names the ensemble and the reason.
func (r RefusedEnsemble) Error() string { return fmt.Sprintf("ensemble %d: %v", r.Number, r.Err) }

// Unwrap returns the reason.
func (r RefusedEnsemble) Unwrap() error { return r.Err }

// ReadEnsembles finds all ensembles in text, whatever is around them, and validates them at
// now. Each runs from "?OTRP:" to the next "."; white space inside it is ignored, because
// mail programs fold long lines. An invalid ensemble is refused and the others still count. A
// repeated ensemble is refused. If ensembles of one key and instance have the same prekey
// identifier with different contents, all of them are refused, because at most one can be
// genuine. If there are more than MaxEnsembles, the rest is refused with one error.
func ReadEnsembles(text []byte, now time.Time) (valid []*Recipient, refused []RefusedEnsemble) {
	var all []numberedEnsemble
	seen := make(map[[32]byte]bool)
	number := 0
	for _, armor := range ensembleArmors(text) {
		if number++; number > MaxEnsembles {
			refused = append(refused, RefusedEnsemble{number, fmt.Errorf("%w: only the first %d of a file are read", ErrEnsemble, MaxEnsembles)})
			break
		}
		r, err := readEnsemble(armor, seen, now)
		if err != nil {
			refused = append(refused, RefusedEnsemble{number, err})
			continue
		}
		all = append(all, numberedEnsemble{number, r})
	}
	ambiguous := ambiguousPrekeys(all)
	for _, e := range all {
		if ambiguous[e.prekey()] {
			refused = append(refused, RefusedEnsemble{e.number, fmt.Errorf("%w: another one gives the same prekey identifier another key", ErrEnsemble)})
			continue
		}
		valid = append(valid, e.Recipient)
	}
	slices.SortFunc(refused, func(a, b RefusedEnsemble) int { return a.Number - b.Number })
	return valid, refused
}

// ensembleArmors yields the text after each "?OTRP:", up to the next one or the end, and the
// offset of that "?OTRP:".
func ensembleArmors(text []byte) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		at := 0
		for {
			start := bytes.Index(text[at:], []byte(ensembleStart))
			if start < 0 {
				return
			}
			start += at
			at = start + len(ensembleStart)
			armor := text[at:]
			if next := bytes.Index(armor, []byte(ensembleStart)); next >= 0 {
				armor = armor[:next]
			}
			if !yield(start, armor) {
				return
			}
		}
	}
}

// readEnsemble reads and validates an ensemble whose digest is not in seen, and adds it.
func readEnsemble(armor []byte, seen map[[32]byte]bool, now time.Time) (*Recipient, error) {
	e, err := dearmorEnsemble(armor)
	if err != nil {
		return nil, err
	}
	digest := e.Digest()
	if seen[digest] {
		return nil, fmt.Errorf("%w: it is in the file before", ErrEnsemble)
	}
	seen[digest] = true
	return e.Validate(now)
}

// A numberedEnsemble is a valid ensemble and its place in the file, from 1.
type numberedEnsemble struct {
	number int
	*Recipient
}

// A prekeyName identifies a prekey in a file.
type prekeyName struct {
	owner [2 * group.PointLen]byte
	tag   uint32
	id    uint32
}

func (e numberedEnsemble) prekey() prekeyName {
	name := prekeyName{tag: e.InstanceTag(), id: e.Ensemble.Message.ID}
	copy(name.owner[:], e.Ensemble.Client.PublicKey)
	return name
}

// ambiguousPrekeys returns the prekeys that have different contents in different ensembles.
func ambiguousPrekeys(all []numberedEnsemble) map[prekeyName]bool {
	contents := make(map[prekeyName]string)
	ambiguous := make(map[prekeyName]bool)
	for _, e := range all {
		name, message := e.prekey(), string(e.Ensemble.Message.Append(nil))
		if before, ok := contents[name]; ok && before != message {
			ambiguous[name] = true
		}
		contents[name] = message
	}
	return ambiguous
}

// Places returns the offsets in text at which the ensemble begins, in bytes, among the first
// MaxEnsembles ensembles of the text.
func (e *Ensemble) Places(text []byte) (places []int) {
	digest := e.Digest()
	number := 0
	for start, armor := range ensembleArmors(text) {
		if number++; number > MaxEnsembles {
			break
		}
		if other, err := dearmorEnsemble(armor); err == nil && other.Digest() == digest {
			places = append(places, start)
		}
	}
	return places
}

// ParseArmoredEnsemble parses the armored ensemble at the beginning of text: "?OTRP:",
// base64, in which white space is ignored, and ".". The error wraps ErrEnsemble.
func ParseArmoredEnsemble(text []byte) (*Ensemble, error) {
	piece, ok := bytes.CutPrefix(text, []byte(ensembleStart))
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %s", ErrEnsemble, ensembleStart)
	}
	return dearmorEnsemble(piece)
}

// dearmorEnsemble parses an armored ensemble after its "?OTRP:".
func dearmorEnsemble(piece []byte) (*Ensemble, error) {
	end := bytes.IndexByte(piece, ensembleEnd)
	if end < 0 {
		return nil, fmt.Errorf("%w: it has no final dot", ErrEnsemble)
	}
	compact := bytes.Join(bytes.Fields(piece[:end]), nil)
	if base64.StdEncoding.DecodedLen(len(compact)) > maxExchangeMessage+2 {
		return nil, fmt.Errorf("%w: it has %d characters", ErrEnsemble, len(compact))
	}
	b, err := base64.StdEncoding.Strict().DecodeString(string(compact))
	if err != nil {
		return nil, fmt.Errorf("%w: its base64 is damaged", ErrEnsemble)
	}
	return ParseEnsemble(b)
}
