package v4

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// forgeTransitional makes a profile for a stranger's keys with a valid transitional signature
// by victim, of which it needs only the public half.
//
// The DSA key signs its message without hashing it. So anyone can make signatures of numbers
// that they cannot choose, from public values. The forging key may be any point, because
// nobody has to know its secret, so it can be chosen to make the profile match such a number.
func forgeTransitional(t *testing.T, tag uint32, victim *keys.DSAPublicKey, p, q, g, y *big.Int, expires time.Time) []byte {
	t.Helper()
	random := steady(99)
	draw := func(n int) *big.Int {
		b := make([]byte, n)
		random.Read(b)
		return new(big.Int).SetBytes(b)
	}
	// A signature of a number: r = g^a · y^b, s = r / b, and the number is a · s.
	a, b := draw(19), draw(19)
	r := new(big.Int).Mul(new(big.Int).Exp(g, a, p), new(big.Int).Exp(y, b, p))
	r.Mod(r.Mod(r, p), q)
	s := new(big.Int).Mul(r, new(big.Int).ModInverse(b, q))
	s.Mod(s, q)
	number := new(big.Int).Mul(a, s)

	stranger := newIdentity(t, 77)
	fields := func(forging []byte) []byte {
		f := wire.AppendInt(wire.AppendShort(nil, fieldInstanceTag), tag)
		f = stranger.Public().Append(wire.AppendShort(f, fieldPublicKey))
		f = append(wire.AppendShort(f, fieldForgingKey), 0x12, 0)
		f = append(f, forging...)
		f = wire.AppendData(wire.AppendShort(f, fieldVersions), []byte("34"))
		f = binary.BigEndian.AppendUint64(wire.AppendShort(f, fieldExpiration), uint64(expires.Unix()))
		return victim.Append(wire.AppendShort(f, fieldDSAKey))
	}
	// The forging key solves fields ≡ number modulo q, in many ways.
	before := len(fields(nil)) - len(fields(nil)[bytes.Index(fields(nil), []byte{0x12, 0})+2:])
	behind := len(fields(nil)) - before
	shift := new(big.Int).Lsh(big.NewInt(1), uint(8*behind))
	x := new(big.Int).Sub(number, new(big.Int).SetBytes(fields(make([]byte, group.PointLen))))
	x.Mul(x, new(big.Int).ModInverse(shift, q))
	x.Mod(x, q)
	for {
		forging := new(big.Int).Add(x, new(big.Int).Mul(draw(group.PointLen-21), q)).FillBytes(make([]byte, group.PointLen))
		if forging[group.PointLen-1]&0x7f != 0 {
			continue
		}
		if _, err := keys.ParseForgingKey(forging); err != nil {
			continue
		}
		f := wire.AppendShort(fields(forging), fieldTransitional)
		f = append(f, r.FillBytes(make([]byte, 20))...)
		f = append(f, s.FillBytes(make([]byte, 20))...)
		signature, err := stranger.Sign(f)
		if err != nil {
			t.Fatal(err)
		}
		return append(append(wire.AppendInt(nil, fieldCount), f...), signature...)
	}
}

// Transitional signatures can be forged without a trace. Therefore the comment of PeerKey.DSA
// warns that they prove nothing.
func TestAnybodyCanMakeATransitionalSignature(t *testing.T) {
	victim, err := keys.GenerateDSA(steady(5))
	if err != nil {
		t.Fatal(err)
	}
	var number [4]*big.Int
	p, q, g, y, _ := victim.Parameters()
	for i, b := range [][]byte{p, q, g, y} {
		number[i] = new(big.Int).SetBytes(b)
	}
	const tag, now = 0x1234, 1700000000
	forged := forgeTransitional(t, tag, victim.Public(), number[0], number[1], number[2], number[3], time.Unix(now, 0).Add(ProfileLifetime))
	_, k, err := readProfile(forged, tag, now)
	if err != nil || k.DSA == nil || k.DSA.Fingerprint() != victim.Public().Fingerprint() {
		t.Errorf("%v, %+v", err, k)
	}
}
