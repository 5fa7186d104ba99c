package smp

import (
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// V4 returns the Binding of version 4: Ed448, SHAKE-256, values as POINTs and SCALARs. It is
// for one session, with the 56-byte fingerprints ours and theirs and the secure session id
// ssid. It panics if a fingerprint is not of version 4, as V3 does.
func V4(ours, theirs keys.Fingerprint, ssid [8]byte) Binding {
	if ours.OTR() != 4 || theirs.OTR() != 4 {
		panic("smp: fingerprint is not one of version 4")
	}
	return bind(framing4{}, &suite4{ours: ours, theirs: theirs, ssid: ssid})
}

// framing4 has one record for message 1, which always contains a question, possibly an empty
// one. There is no message 1Q; its number belongs to another record.
type framing4 struct{}

func (framing4) isMessage1(tlvType uint16) bool { return tlvType == wire.TLVSMP1 }

func (framing4) message1(question string, body []byte) wire.TLV {
	value := wire.AppendData(make([]byte, 0, 4+len(question)+len(body)), []byte(question))
	return wire.TLV{Type: wire.TLVSMP1, Value: append(value, body...)}
}

func (framing4) parse1(t wire.TLV) (string, []byte, error) {
	r := wire.NewReader(t.Value)
	question, body := r.Data(), r.Rest()
	return string(question), body, malformed(r.End())
}

// suite4 is a suite for an additive group: a power in suite is a multiple here. The generator
// g1 is the base point.
type suite4 struct {
	ours, theirs keys.Fingerprint
	ssid         [8]byte
}

func (s *suite4) random(rand io.Reader) (*group.Scalar, error) {
	x, err := group.DrawScalar(rand)
	if err != nil {
		return nil, fmt.Errorf("smp: no randomness: %w", err)
	}
	return &x, nil
}

// secret implements section "Secret Information": the hash is pruned like every secret
// scalar.
func (s *suite4) secret(initiator bool, user []byte) *group.Scalar {
	const version = 1
	initiates, responds := s.ours, s.theirs
	if !initiator {
		initiates, responds = responds, initiates
	}
	b := make([]byte, 0, 1+2*keys.FingerprintLen4+len(s.ssid)+4+len(user))
	b = append(b, version)
	b = append(b, initiates.Bytes()...)
	b = append(b, responds.Bytes()...)
	b = append(b, s.ssid[:]...)
	b = wire.AppendData(b, user)
	defer clear(b)
	var h [group.ScalarLen]byte
	defer clear(h[:])
	group.KDF(h[:], group.UsageSMPSecret, b)
	x := group.PruneScalar(h[:])
	return &x
}

func (s *suite4) challenge(usage byte, elements ...*group.Point) *group.Scalar {
	b := make([]byte, 0, 2*group.PointLen)
	for _, e := range elements {
		b = e.Append(b)
	}
	c := group.HashToScalar(group.Usage(usage), b)
	return &c
}

func (s *suite4) response(r, a, c *group.Scalar) *group.Scalar {
	d := r.Sub(a.Mul(*c))
	return &d
}

func (s *suite4) equalChallenges(a, b *group.Scalar) bool { return a.Equal(*b) }

func (s *suite4) wipe(exponents ...*group.Scalar) {
	for _, x := range exponents {
		if x != nil {
			x.Wipe()
		}
	}
}

func (s *suite4) base(x *group.Scalar) *group.Point { return group.MulBase(*x) }

func (s *suite4) exp(h *group.Point, x *group.Scalar) *group.Point { return h.Mul(*x) }

func (s *suite4) commit(x *group.Scalar, h *group.Point, y *group.Scalar) *group.Point {
	a, b := s.base(x), s.exp(h, y)
	defer s.wipeElements(a, b)
	return a.Add(b)
}

func (s *suite4) mul(a, b *group.Point) *group.Point { return a.Add(b) }

func (s *suite4) div(a, b *group.Point) *group.Point { return a.Sub(b) }

func (s *suite4) equal(a, b *group.Point) bool { return a.Equal(b) }

func (s *suite4) wipeElements(elements ...*group.Point) {
	for _, e := range elements {
		if e != nil {
			e.Wipe()
		}
	}
}

// Messages of version 4 have no count of their values.

func (s *suite4) appendCount(b []byte, _ int) []byte { return b }

func (s *suite4) readCount(*wire.Reader, int) error { return nil }

func (s *suite4) appendElement(b []byte, e *group.Point) []byte { return e.Append(b) }

func (s *suite4) appendExponent(b []byte, x *group.Scalar) []byte { return x.Append(b) }

func (s *suite4) readElement(r *wire.Reader) (*group.Point, error) {
	b := r.Take(group.PointLen)
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	e, err := group.ParsePoint(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrElement, err)
	}
	return e, nil
}

func (s *suite4) readChallenge(r *wire.Reader) (*group.Scalar, error) { return s.readResponse(r) }

func (s *suite4) readResponse(r *wire.Reader) (*group.Scalar, error) {
	b := r.Take(group.ScalarLen)
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	x, err := group.ParseScalar(b)
	if err != nil {
		return nil, malformed(err)
	}
	return &x, nil
}
