package v4

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// RingSignatureLen is the length of a RING-SIG in bytes: six SCALARs.
const RingSignatureLen = 6 * group.ScalarLen

// ErrRingSignature reports a ring signature that does not verify.
var ErrRingSignature = errors.New("v4: invalid ring signature")

// A Ring holds three public keys; the signer knows the secret of one of them. Their order
// matters for the signature.
type Ring [3]*group.Point

// Sign is RSig of the section "Ring Signature Authentication": it signs m with the secret of
// the key at position (0 to 2). Nobody can tell which of the three secrets was used. It reads
// five times 57 bytes from rand: t, and c and r of each other key in the order of the ring.
//
// Neither its time nor its memory accesses depend on the position: all three commitments are
// computed as r·G + c·A. At the signer's position this equals t·G, with r = t − c·secret for
// any c.
func (ring Ring) Sign(rand io.Reader, secret group.Scalar, position int, m []byte) ([]byte, error) {
	var drawn [5]group.Scalar
	defer func() {
		for i := range drawn {
			drawn[i].Wipe()
		}
	}()
	for i := range drawn {
		var err error
		if drawn[i], err = group.DrawScalar(rand); err != nil {
			return nil, fmt.Errorf("v4: ring signature: %w", err)
		}
	}
	t, others := drawn[0], drawn[1:]
	anyC := others[0]
	matchingR := t.Sub(anyC.Mul(secret))

	var (
		zero, sum   group.Scalar
		c, r        [3]group.Scalar
		commitments [3]*group.Point
	)
	for n := range ring {
		ours := subtle.ConstantTimeEq(int32(n), int32(position))
		// The keys before ours use the pair with their own index, and those after it the pair
		// before.
		behind := 1 - subtle.ConstantTimeLessOrEq(n, position)
		lower, upper := max(n-1, 0), min(n, 1)
		c[n] = group.SelectScalar(behind, others[2*lower], others[2*upper])
		r[n] = group.SelectScalar(behind, others[2*lower+1], others[2*upper+1])
		sum = sum.Add(group.SelectScalar(ours, zero, c[n]))
		c[n] = group.SelectScalar(ours, anyC, c[n])
		r[n] = group.SelectScalar(ours, matchingR, r[n])
		commitments[n] = group.MulBase(r[n]).Add(ring[n].Mul(c[n]))
	}
	own := ring.challenge(commitments, m).Sub(sum)
	response := t.Sub(own.Mul(secret))

	sigma := make([]byte, 0, RingSignatureLen)
	matchingR.Wipe()
	for n := range ring {
		ours := subtle.ConstantTimeEq(int32(n), int32(position))
		sigma = group.SelectScalar(ours, own, c[n]).Append(sigma)
		sigma = group.SelectScalar(ours, response, r[n]).Append(sigma)
		r[n].Wipe() // together with c and t, one of them would reveal the secret
	}
	return sigma, nil
}

// Verify is RVrf: it returns nil if sigma is a signature of m by one of the ring's keys, and
// otherwise ErrRingSignature. It refuses scalars of q or more.
func (ring Ring) Verify(sigma, m []byte) error {
	if len(sigma) != RingSignatureLen {
		return ErrRingSignature
	}
	var sum group.Scalar
	var commitments [3]*group.Point
	for n := range ring {
		c, err := group.ParseScalar(sigma[2*n*group.ScalarLen:][:group.ScalarLen])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRingSignature, err)
		}
		r, err := group.ParseScalar(sigma[(2*n+1)*group.ScalarLen:][:group.ScalarLen])
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRingSignature, err)
		}
		commitments[n] = ring[n].MulAddBaseVarTime(r, c)
		sum = sum.Add(c)
	}
	if !ring.challenge(commitments, m).Equal(sum) {
		return ErrRingSignature
	}
	return nil
}

// challenge returns c = HashToScalar(usage_auth || G || q || A1 || A2 || A3 || T1 || T2 || T3
// || m), where q is encoded as a SCALAR and m as DATA.
func (ring Ring) challenge(commitments [3]*group.Point, m []byte) group.Scalar {
	b := make([]byte, 0, 8*group.PointLen+4+len(m))
	b = group.Generator().Append(b)
	b = group.AppendOrder(b)
	for _, p := range ring {
		b = p.Append(b)
	}
	for _, p := range commitments {
		b = p.Append(b)
	}
	return group.HashToScalar(group.UsageAuth, wire.AppendData(b, m))
}
