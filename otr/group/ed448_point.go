package group

import (
	"crypto/subtle"
	"errors"

	"github.com/cloudflare/circl/ecc/goldilocks"
)

// PointLen is the length of a POINT in bytes: y in 57 bytes, little-endian, with the
// lowest bit of x as the highest bit of the last byte (RFC 8032, section 5.2.2).
const PointLen = 57

// ErrPoint reports bytes that are not a valid POINT: not 57 bytes, not canonical, not on the
// curve, of small or mixed order, or the identity.
var ErrPoint = errors.New("group: not a valid point of Ed448")

// A Point is a point of Ed448-Goldilocks in the group of prime order q. The zero value is not
// a point: points come from ParsePoint, MulBase and other points. Except for Wipe, methods do
// not change their receiver, so goroutines may share a Point.
//
// It is based on circl's goldilocks package, which needs some care. The time of CombinedMult,
// IsEqual and FromBytes depends on their values, so this type uses them for public values
// only. ScalarMult drops the small-order part of a point, so this type never holds a point
// that has one. Functions that normalise write to their receiver, so this type works on
// copies.
type Point struct{ p goldilocks.Point }

// identity is the encoding of the neutral element, x = 0 and y = 1.
var identity = [PointLen]byte{1}

// ParsePoint decodes and validates a POINT (version 4, "Verifying that a point is on the
// curve"): it accepts exactly the canonical encodings of points of order q, and so neither
// the identity, nor a point of small order, nor one with a small-order part. It is for points
// from outside, which are public: its time depends on the bytes.
func ParsePoint(b []byte) (*Point, error) {
	if len(b) != PointLen {
		return nil, ErrPoint
	}
	p, err := goldilocks.FromBytes(b)
	if err != nil {
		return nil, ErrPoint
	}
	// The product with 1 is the part of p in the group of prime order: circl divides the
	// scalar by 4 and maps the point to another curve and back, which multiplies by 4 and
	// maps every point of small order to the identity. Only a point without a small-order
	// part is unchanged by this.
	one := goldilocks.Scalar{1}
	q := goldilocks.Curve{}.ScalarMult(&one, p)
	if !q.IsEqual(p) || q.IsIdentity() {
		return nil, ErrPoint
	}
	return &Point{*p}, nil
}

// Generator returns the base point G.
func Generator() *Point { return &Point{*goldilocks.Curve{}.Generator()} }

// MulBase returns k·G, in constant time.
func MulBase(k Scalar) *Point {
	return &Point{*goldilocks.Curve{}.ScalarBaseMult(&k.s)}
}

// Mul returns k·p, in constant time.
func (p *Point) Mul(k Scalar) *Point {
	return &Point{*goldilocks.Curve{}.ScalarMult(&k.s, &p.p)}
}

// MulAddBaseVarTime returns m·G + n·p, for the verification of proofs. Its time depends on m,
// n and p, so all of them must be public.
func (p *Point) MulAddBaseVarTime(m, n Scalar) *Point {
	return &Point{*goldilocks.Curve{}.CombinedMult(&m.s, &n.s, &p.p)}
}

// Add returns p + q, in constant time.
func (p *Point) Add(q *Point) *Point {
	return &Point{*goldilocks.Curve{}.Add(&p.p, &q.p)}
}

// Sub returns p − q, in constant time.
func (p *Point) Sub(q *Point) *Point {
	n := q.p
	n.Neg()
	return &Point{*goldilocks.Curve{}.Add(&p.p, &n)}
}

// Append appends the POINT encoding, PointLen bytes. The identity has an encoding too,
// although ParsePoint rejects it.
func (p *Point) Append(b []byte) []byte {
	enc := p.bytes()
	return append(b, enc[:]...)
}

// Equal reports whether p and q are the same point, in constant time.
func (p *Point) Equal(q *Point) bool {
	a, b := p.bytes(), q.bytes()
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// IsIdentity reports whether p is the neutral element, in constant time.
func (p *Point) IsIdentity() bool {
	a := p.bytes()
	return subtle.ConstantTimeCompare(a[:], identity[:]) == 1
}

// Wipe overwrites the coordinates, for a point that is a shared secret. Afterwards p is not a
// point any more.
func (p *Point) Wipe() { p.p = goldilocks.Point{} }

func (p *Point) bytes() [PointLen]byte {
	var enc [PointLen]byte
	c := p.p // ToBytes normalises its receiver
	if err := c.ToBytes(enc[:]); err != nil {
		panic(err) // only if the buffer is too short
	}
	return enc
}
