package keys

import (
	"bytes"
	//lint:ignore SA1019 it is what our signatures are held against
	"crypto/dsa"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/otr"

	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// A key that libotr 4.1.1 made, and its signatures of two messages.
const (
	libotrP = "f1188b8d2919f4a1de24d7377266859055fa538c4368bb20f793ff3176b2b37df0289c298d80bf5a13037a9434fd42ade307c5d1f48830636eeaf0952793098c524d85669995d1b8e5cc47e382c624d78753509be8645ca1e8657378f02018add8b7fe0bcd6894fb9acfdf0ae8dda440eae6a2e203876b4224d9e1c2342e42f3"
	libotrQ = "bd880a837750f146755faf77f19e37fa9bacb4ad"
	libotrG = "83b88e9d45d3ba6f8af415cf3ae432e84f4eacec63f0fc38d4c5a76a92a47b01b908f7f8adc72af9538eeed711997ca8dfe8a458048c81bc1f66967e7c6c328205094df01af4c4bee40d6bf732cbbbd1814182f8c877546cfe6bce5f6b4638f0b534ebf9dc4323f8270de835aa2501a2ff08caf11b8b314f60a5682850d76edb"
	libotrY = "d7009984fee9cb15f32ed4e33b69eb4443924da406f7f2bbebb0451b10614adc4cc983fdfce186ead91d4e75618d377c630d877c37c4dae2f01d36ebe1099ac299ac9cef12699871e6cc178a15d69ca7dbcbdc68f152f6ff8c024fde953217dd551a72324b9c4150fdc29f1324d80147498335a6a1652bddb9282c4820592e17"
	libotrX = "97b0508372011e4507a2a85fa27bdf04ce0e7827"

	libotrFingerprint = "06C43874 199E44C5 D63BE9A7 D5CED6B5 1DA9EA86"

	libotrMessage1   = "01080f161d242b323940474e555c636a71787f868d949ba2a9b0b7bec5ccd3da"
	libotrSignature1 = "2a426336f0d854c1dfe49faa1709cfd1d36e683b8e9407cb30ba2cc02f33241aa10258fbb20bd5ca"
	libotrMessage2   = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	libotrSignature2 = "8f347fa6a0a77338024dcbdaf452e46ae0324d9d0847e6453e34685aaec1529b47ca894ee489f7f9"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// libotrKey returns libotr's key.
func libotrKey(t testing.TB) *DSAPrivateKey {
	t.Helper()
	k, err := NewDSAPrivateKey(unhex(libotrP), unhex(libotrQ), unhex(libotrG), unhex(libotrY), unhex(libotrX))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// ourKey is one key for all tests: making it takes time.
var ourKey = sync.OnceValue(func() *DSAPrivateKey {
	k, err := GenerateDSA(rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
})

// encode writes a PUBKEY, valid or not.
func encode(p, q, g, y []byte) []byte {
	b := []byte{0, 0}
	for _, n := range [][]byte{p, q, g, y} {
		b = wire.AppendMPI(b, n)
	}
	return b
}

func TestAKeyOfLibotrIsReadAndItsSignaturesVerify(t *testing.T) {
	encoded := encode(unhex(libotrP), unhex(libotrQ), unhex(libotrG), unhex(libotrY))
	k, err := ParseDSAPublicKey(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if got := k.Fingerprint().String(); got != libotrFingerprint {
		t.Errorf("fingerprint %s, want %s", got, libotrFingerprint)
	}
	if got := k.Append([]byte("x")); !bytes.Equal(got, append([]byte("x"), encoded...)) {
		t.Errorf("written again it is %x", got)
	}
	for message, signature := range map[string]string{libotrMessage1: libotrSignature1, libotrMessage2: libotrSignature2} {
		m, sig := unhex(message), unhex(signature)
		if err := k.Verify(m, sig); err != nil {
			t.Errorf("%s: %v", message, err)
		}
		// All 256 bits count: a change behind the first 160 is noticed.
		m[31] ^= 1
		if err := k.Verify(m, sig); !errors.Is(err, ErrSignature) {
			t.Errorf("%s with another last bit: %v", message, err)
		}
	}
	private := libotrKey(t)
	if !private.Public().Equal(k) {
		t.Error("the private key has another public part")
	}
	if p, q, g, y, x := private.Parameters(); hex.EncodeToString(p) != libotrP || hex.EncodeToString(q) != libotrQ || hex.EncodeToString(g) != libotrG || hex.EncodeToString(y) != libotrY || hex.EncodeToString(x) != libotrX {
		t.Errorf("%x %x %x %x", p, q, g, y)
	}
}

func TestSignaturesAgreeWithCryptoDSAAndXCryptoBothWays(t *testing.T) {
	for name, k := range map[string]*DSAPrivateKey{"libotr's": libotrKey(t), "ours": ourKey()} {
		p, q, g, y, x := k.Parameters()
		var theirs otr.PrivateKey
		theirs.PrivateKey = dsa.PrivateKey{PublicKey: dsa.PublicKey{
			Parameters: dsa.Parameters{P: new(big.Int).SetBytes(p), Q: new(big.Int).SetBytes(q), G: new(big.Int).SetBytes(g)}, Y: new(big.Int).SetBytes(y)},
			X: new(big.Int).SetBytes(x)}
		theirs.PublicKey.PublicKey = theirs.PrivateKey.PublicKey
		if !bytes.Equal(theirs.PublicKey.Fingerprint(), k.Public().Fingerprint().Bytes()) || !bytes.Equal(theirs.PublicKey.Serialize(nil), k.Public().Append(nil)) {
			t.Errorf("%s key: %x, %x", name, theirs.PublicKey.Fingerprint(), theirs.PublicKey.Serialize(nil))
		}
		rng := mathrand.NewChaCha8([32]byte{1})
		for n := range 64 {
			m := make([]byte, n)
			rng.Read(m)
			sig, err := k.Sign(rand.Reader, m)
			if err != nil || len(sig) != DSASignatureLen {
				t.Fatalf("%s key: %x, %v", name, sig, err)
			}
			if err := k.Public().Verify(m, sig); err != nil {
				t.Errorf("%s key, our own signature of %d bytes: %v", name, n, err)
			}
			if !dsa.Verify(&theirs.PrivateKey.PublicKey, m, new(big.Int).SetBytes(sig[:20]), new(big.Int).SetBytes(sig[20:])) {
				t.Errorf("%s key: crypto/dsa refuses our signature of %d bytes", name, n)
			}
			if rest, ok := theirs.PublicKey.Verify(m, sig); !ok || len(rest) != 0 {
				t.Errorf("%s key: x/crypto refuses our signature of %d bytes", name, n)
			}
			if err := k.Public().Verify(m, theirs.Sign(rand.Reader, m)); err != nil {
				t.Errorf("%s key: x/crypto's signature of %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestAMessageCountsModuloQ(t *testing.T) {
	k := libotrKey(t)
	m := unhex(libotrMessage1)
	same := new(big.Int).Add(new(big.Int).SetBytes(m), new(big.Int).SetBytes(unhex(libotrQ))).Bytes()
	if err := k.Public().Verify(same, unhex(libotrSignature1)); err != nil {
		t.Error(err)
	}
}

func TestSignaturesThatAreNotOnesAreRefused(t *testing.T) {
	k := libotrKey(t).Public()
	m, good := unhex(libotrMessage1), libotrSignature1
	r, s := good[:40], good[40:]
	zero := strings.Repeat("00", 20)
	plus := func(a, b string) string {
		return fmt.Sprintf("%040x", new(big.Int).Add(new(big.Int).SetBytes(unhex(a)), new(big.Int).SetBytes(unhex(b))))
	}
	for name, sig := range map[string]string{
		"nothing": "", "a byte less": good[:78], "a byte more": good + "00", "a zero before r": "00" + good, "a zero before s": r + "00" + s,
		"r = 0": zero + s, "s = 0": r + zero, "both 0": zero + zero,
		"r = q": libotrQ + s, "s = q": r + libotrQ, "r + q": plus(r, libotrQ) + s,
		"swapped": s + r, "another r": plus(r, "01") + s, "another s": r + plus(s, "01"),
		"all bits": strings.Repeat("ff", 40), "ones": plus(zero, "01") + plus(zero, "01"),
	} {
		if err := k.Verify(m, unhex(sig)); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// In this signature s is so small that s + q has 20 bytes, too.
	m2, r, s := unhex(libotrMessage2), libotrSignature2[:40], libotrSignature2[40:]
	if err := k.Verify(m2, unhex(r+plus(s, libotrQ))); len(plus(s, libotrQ)) != 40 || !errors.Is(err, ErrSignature) {
		t.Errorf("s + q: %v", err)
	}
	if err := k.Verify(nil, unhex(good)); !errors.Is(err, ErrSignature) {
		t.Errorf("another message: %v", err)
	}
	if err := ourKey().Public().Verify(m, unhex(good)); !errors.Is(err, ErrSignature) {
		t.Errorf("another key: %v", err)
	}
}

// sized returns a public key whose p has the given length: libotr's p times a
// number that is 1 modulo q. It is not prime, which is not what is checked.
func sized(bits int) (p, q, g, y []byte) {
	bigP, bigQ := new(big.Int).SetBytes(unhex(libotrP)), new(big.Int).SetBytes(unhex(libotrQ))
	factor := new(big.Int).Lsh(big.NewInt(1), uint(bits-bigP.BitLen()))
	step := new(big.Int).Lsh(bigQ, 1)
	factor.Sub(factor, new(big.Int).Mod(factor, step))
	factor.Add(factor, big.NewInt(1))
	product := new(big.Int)
	for {
		if product.Mul(bigP, factor); product.BitLen() == bits {
			break
		}
		factor.Add(factor, step)
	}
	// An element of order q modulo p, and 1 modulo the factor.
	lift := func(v []byte) []byte {
		inverse := new(big.Int).ModInverse(factor, bigP)
		n := new(big.Int).SetBytes(v)
		n.Mod(n.Mul(n.Sub(n, big.NewInt(1)), inverse), bigP)
		return n.Add(n.Mul(n, factor), big.NewInt(1)).Bytes()
	}
	return product.Bytes(), unhex(libotrQ), lift(unhex(libotrG)), lift(unhex(libotrY))
}

func TestPublicKeysOf1024To3072BitsAreAccepted(t *testing.T) {
	for _, bits := range []int{1536, 2048, 3071, 3072} {
		b := encode(sized(bits))
		if k, err := ParseDSAPublicKey(b); err != nil || !bytes.Equal(k.Append(nil), b) {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
	if _, err := ParseDSAPublicKey(encode(sized(3073))); !errors.Is(err, ErrKey) {
		t.Errorf("3073 bits: %v", err)
	}
}

func TestPublicKeysThatAreNotOnesAreRefused(t *testing.T) {
	p, q, g, y := unhex(libotrP), unhex(libotrQ), unhex(libotrG), unhex(libotrY)
	plus := func(b []byte, n int64) []byte {
		return new(big.Int).Add(new(big.Int).SetBytes(b), big.NewInt(n)).Bytes()
	}
	minus := plus(p, -1)
	// A number of order 2q, not q: −g.
	negative := new(big.Int).Sub(new(big.Int).SetBytes(p), new(big.Int).SetBytes(g)).Bytes()
	// p = 3·2^1021 − … that is 1 modulo q, but one bit short.
	short := new(big.Int).Lsh(big.NewInt(3), 1021)
	short.Sub(short, new(big.Int).Mod(short, new(big.Int).SetBytes(q)))
	// Several checks refuse some of these: each is to have its turn.
	reasons := map[string]string{
		"a p of 1023 bits":        "p has 1023 bits, not 1024 to 3072",
		"an even p":               "p is even",
		"a p that q does not fit": "q does not divide p−1",
		"a q of 159 bits":         "q has 159 bits, not 160",
		"a q of 161 bits":         "q has 161 bits, not 160",
		"an even q":               "q is even",
		"g = 1":                   "g is out of range",
		"g = p":                   "g is out of range",
		"g of another order":      "g is not of order q",
		"y of twice the order":    "y is not of order q",
	}
	for name, b := range map[string][]byte{
		"an empty p":                encode(nil, q, g, y),
		"an empty q":                encode(p, nil, g, y),
		"an empty g":                encode(p, q, nil, y),
		"an empty y":                encode(p, q, g, nil),
		"a p of 1023 bits":          encode(plus(short.Bytes(), 1), q, g, y),
		"an even p":                 encode(minus, q, g, y),
		"a p that q does not fit":   encode(plus(p, 2), q, g, y),
		"a q of 159 bits":           encode(p, new(big.Int).Rsh(new(big.Int).SetBytes(q), 1).Bytes(), g, y),
		"a q of 161 bits":           encode(p, append([]byte{1}, q...), g, y),
		"an even q":                 encode(p, plus(q, 1), g, y),
		"another q":                 encode(p, plus(q, 2), g, y),
		"g = 1":                     encode(p, q, []byte{1}, y),
		"g = p−1":                   encode(p, q, minus, y),
		"g = p":                     encode(p, q, p, y),
		"g = p+1":                   encode(p, q, plus(p, 1), y),
		"g of another order":        encode(p, q, []byte{2}, y),
		"g of twice the order":      encode(p, q, negative, y),
		"y = 1":                     encode(p, q, g, []byte{1}),
		"y = p−1":                   encode(p, q, g, minus),
		"y = p":                     encode(p, q, g, p),
		"y of another order":        encode(p, q, g, plus(y, 1)),
		"y of twice the order":      encode(p, q, g, negative),
		"a number of 3080 bits":     encode(bytes.Repeat([]byte{0xff}, 385), q, g, y),
		"a number of 100 kilobytes": encode(p, q, g, bytes.Repeat([]byte{0xff}, 100000)),
	} {
		if k, err := ParseDSAPublicKey(b); !errors.Is(err, ErrKey) || k != nil {
			t.Errorf("%s: %v", name, err)
		} else if !strings.HasSuffix(err.Error(), reasons[name]) {
			t.Errorf("%s is refused for another reason: %v", name, err)
		}
	}
	good := encode(p, q, g, y)
	for n := range good {
		if k, err := ParseDSAPublicKey(good[:n]); !errors.Is(err, wire.ErrShort) || k != nil {
			t.Errorf("%d of %d bytes: %v", n, len(good), err)
		}
	}
	if _, err := ParseDSAPublicKey(append(good, 0)); !errors.Is(err, wire.ErrTrailing) {
		t.Errorf("a byte behind it: %v", err)
	}
	if _, err := ParseDSAPublicKey(append([]byte{0, 1}, good[2:]...)); !errors.Is(err, ErrKeyType) {
		t.Errorf("another type: %v", err)
	}
	padded := wire.AppendData([]byte{0, 0}, append([]byte{0}, p...))
	if _, err := ParseDSAPublicKey(append(padded, encode(nil, q, g, y)[6:]...)); !errors.Is(err, wire.ErrMPI) {
		t.Errorf("a leading zero: %v", err)
	}
}

func TestAPublicKeyIsReadOutOfAMessage(t *testing.T) {
	b := append(encode(unhex(libotrP), unhex(libotrQ), unhex(libotrG), unhex(libotrY)), "behind"...)
	r := wire.NewReader(b)
	k, err := ReadDSAPublicKey(&r)
	if err != nil || k.Fingerprint().String() != libotrFingerprint || string(r.Rest()) != "behind" {
		t.Errorf("%v, %d bytes read", err, r.Pos())
	}
	b[20] ^= 1
	if k.Fingerprint().String() != libotrFingerprint {
		t.Error("the key borrows from the message")
	}
}

func TestPrivateKeysThatAreNotOnesAreRefused(t *testing.T) {
	p, q, g, y, x := libotrKey(t).Parameters()
	add := func(b []byte, n int64) []byte {
		return new(big.Int).Add(new(big.Int).SetBytes(b), big.NewInt(n)).Bytes()
	}
	for name, numbers := range map[string][5][]byte{
		"no x":          {p, q, g, y, nil},
		"x = 0":         {p, q, g, y, make([]byte, 20)},
		"x = q":         {p, q, g, y, q},
		"x of 161 bits": {p, q, g, y, append([]byte{1}, x...)},
		"another x":     {p, q, g, y, add(x, 1)},
		"another y":     {p, q, g, g, x},
		"an even p":     {add(p, 1), q, g, y, x},
	} {
		k, err := NewDSAPrivateKey(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4])
		if !errors.Is(err, ErrKey) || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	zeros := make([]byte, 30)
	k, err := NewDSAPrivateKey(append(zeros, p...), append(zeros, q...), append(zeros, g...), append(zeros, y...), append(zeros, x...))
	if err != nil || !k.Public().Equal(libotrKey(t).Public()) {
		t.Errorf("leading zeros: %v", err)
	}
}

func TestAPrivateKeyWhoseQIsNotPrimeIsRefused(t *testing.T) {
	// The product of two primes, in whose group everything else is as it must be.
	a := new(big.Int).SetBytes(unhex("ffffffffffffffffffbf")) // 2^80 − 65
	b := new(big.Int).SetBytes(unhex("ffffffffffffffffffa3")) // 2^80 − 93
	q := new(big.Int).Mul(a, b)
	p, err := generateP(mathrand.NewChaCha8([32]byte{4}), q)
	if err != nil || !a.ProbablyPrime(20) || !b.ProbablyPrime(20) {
		t.Fatal(err)
	}
	g := new(big.Int).Sub(p, big.NewInt(1))
	g.Exp(big.NewInt(2), g.Quo(g, q), p)
	y := new(big.Int).Mul(g, g)
	y.Mod(y, p)
	if _, err := ParseDSAPublicKey(encode(p.Bytes(), q.Bytes(), g.Bytes(), y.Bytes())); err != nil {
		t.Errorf("as a public key: %v", err)
	}
	if _, err := NewDSAPrivateKey(p.Bytes(), q.Bytes(), g.Bytes(), y.Bytes(), []byte{2}); !errors.Is(err, ErrKey) {
		t.Errorf("as a private key: %v", err)
	}
}

// constantReader gives the same byte for ever.
type constantReader byte

func (c constantReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

func TestABrokenSourceOfRandomnessRepeatsNoNonce(t *testing.T) {
	k := libotrKey(t)
	rng := mathrand.NewChaCha8([32]byte{2})
	q := new(big.Int).SetBytes(unhex(libotrQ))
	for _, source := range []constantReader{0, 1, 0xff} {
		seen := map[string][]byte{}
		for range 100 {
			m := make([]byte, 32)
			rng.Read(m)
			m[0] &= 0x7f
			// The same number modulo q is signed with another nonce too.
			for _, m := range [][]byte{m, new(big.Int).Add(new(big.Int).SetBytes(m), q).Bytes(), m[:31], append([]byte{0}, m...)} {
				sig, err := k.Sign(source, m)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Public().Verify(m, sig); err != nil {
					t.Error(err)
				}
				if other := seen[string(sig[:20])]; other != nil {
					t.Errorf("source %d: %x and %x have the same nonce", source, m, other)
				}
				seen[string(sig[:20])] = m
			}
		}
	}
	other := ourKey()
	m := unhex(libotrMessage1)
	a, errA := k.Sign(constantReader(0), m)
	b, errB := k.Sign(constantReader(1), m)
	c, errC := other.Sign(constantReader(0), m)
	if errA != nil || errB != nil || errC != nil || bytes.Equal(a[:20], b[:20]) || bytes.Equal(a[:20], c[:20]) {
		t.Errorf("%x %x %x, %v %v %v", a, b, c, errA, errB, errC)
	}
}

func TestSigningWithoutRandomnessFails(t *testing.T) {
	if sig, err := libotrKey(t).Sign(bytes.NewReader(make([]byte, 31)), []byte("m")); !errors.Is(err, io.ErrUnexpectedEOF) || sig != nil {
		t.Errorf("%x, %v", sig, err)
	}
}

func TestAllRandomnessOfANewKeyIsReadFromTheSource(t *testing.T) {
	seed := [32]byte{3}
	one, err := GenerateDSA(mathrand.NewChaCha8(seed))
	if err != nil {
		t.Fatal(err)
	}
	two, err := GenerateDSA(mathrand.NewChaCha8(seed))
	if err != nil || !one.Public().Equal(two.Public()) {
		t.Errorf("the same source gave another key, %v", err)
	}
	if one.Public().Equal(ourKey().Public()) {
		t.Error("another source gave the same key")
	}
	for _, k := range []*DSAPrivateKey{one, ourKey()} {
		p, q, _, _, x := k.Parameters()
		bigP, bigQ := new(big.Int).SetBytes(p), new(big.Int).SetBytes(q)
		if bigP.BitLen() != 1024 || bigQ.BitLen() != 160 || !bigP.ProbablyPrime(20) || !bigQ.ProbablyPrime(20) || len(x) < 16 {
			t.Errorf("p %x, q %x, x of %d bytes", p, q, len(x))
		}
		if again, err := NewDSAPrivateKey(k.Parameters()); err != nil || !again.Public().Equal(k.Public()) {
			t.Error(err)
		}
	}
}

func TestAKeyCannotBeMadeFromABrokenSource(t *testing.T) {
	if k, err := GenerateDSA(constantReader(0)); !errors.Is(err, ErrRandom) || k != nil {
		t.Error(err)
	}
	for _, n := range []int{0, 19, 20} {
		if k, err := GenerateDSA(io.LimitReader(mathrand.NewChaCha8([32]byte{3}), int64(n))); err == nil || k != nil {
			t.Errorf("%d bytes were enough", n)
		}
	}
}

// counted counts what is read.
type counted struct {
	source io.Reader
	n      int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	c.n += int64(n)
	return n, err
}

// Wherever randomness runs out, in q, p or x, there is no key.
func TestWithoutRandomnessThereIsNoDSAKey(t *testing.T) {
	source := &counted{source: mathrand.NewChaCha8([32]byte{7})}
	if _, err := GenerateDSA(source); err != nil {
		t.Fatal(err)
	}
	const ofX = dsaScalarLen + 8
	for _, n := range []int64{0, dsaScalarLen - 1, source.n - ofX - dsaBits/8, source.n - ofX - 1, source.n - ofX, source.n - 1} {
		k, err := GenerateDSA(io.LimitReader(mathrand.NewChaCha8([32]byte{7}), n))
		if k != nil || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("of %d bytes from %d: %v, %v", n, source.n, k, err)
		}
	}
}

func TestTheSieveTakesAwayWhatSmallPrimesDivideAndNothingElse(t *testing.T) {
	slowtest.SkipShort(t)
	q := new(big.Int).SetBytes(unhex(libotrQ))
	step := new(big.Int).Lsh(q, 1)
	start := new(big.Int).Lsh(q, 864)
	start.Add(start, big.NewInt(1))
	n := new(big.Int).Set(start)
	for i, composite := range sieve(start, step) {
		want := false
		for prime := int64(3); prime < sieveLimit && !want; prime += 2 {
			want = new(big.Int).Mod(n, big.NewInt(prime)).Sign() == 0
		}
		if composite != want {
			t.Fatalf("number %d: %v, want %v", i, composite, want)
		}
		n.Add(n, step)
	}
}

func TestAPrivateKeyPrintsAsAPlaceholder(t *testing.T) {
	k := libotrKey(t)
	secret := new(big.Int).SetBytes(unhex(libotrX))
	for _, v := range []any{k, *k, struct{ Key *DSAPrivateKey }{k}, struct{ key *DSAPrivateKey }{k}, []*DSAPrivateKey{k}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
			text := fmt.Sprintf(verb, v)
			for _, leak := range []string{libotrX, strings.ToUpper(libotrX), secret.String(), "151 176 80", "0x97, 0xb0"} {
				if strings.Contains(text, leak) {
					t.Errorf("%s of %T shows %s", verb, v, leak)
				}
			}
		}
	}
	if k.String() != "[DSA private key]" || fmt.Sprintf("%#v", k) != "[DSA private key]" {
		t.Errorf("%v", k)
	}
}

func TestAWipedKeyIsGone(t *testing.T) {
	k := libotrKey(t)
	memory := k.x
	k.Wipe()
	if *memory != [20]byte{} {
		t.Error("the private number is still there")
	}
	if sig, err := k.Sign(rand.Reader, []byte("m")); !errors.Is(err, ErrWiped) || sig != nil {
		t.Errorf("%x, %v", sig, err)
	}
	if _, _, _, _, x := k.Parameters(); len(x) != 0 {
		t.Errorf("x is %x", x)
	}
	if k.Public().Fingerprint().String() != libotrFingerprint {
		t.Error("the public part is gone")
	}
	k.Wipe()
}

func FuzzDSAPublicKey(f *testing.F) {
	f.Add(encode(unhex(libotrP), unhex(libotrQ), unhex(libotrG), unhex(libotrY)))
	f.Add(encode(sized(1536)))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseDSAPublicKey(b)
		if err != nil {
			return
		}
		if got := k.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("read %x, wrote %x", b, got)
		}
	})
}

// FuzzVerify holds Verify against crypto/dsa for whatever is taken as message
// and signature.
func FuzzVerify(f *testing.F) {
	k := libotrKey(f).Public()
	theirs := dsa.PublicKey{Parameters: dsa.Parameters{P: k.p, Q: k.q, G: k.g}, Y: k.y}
	f.Add(unhex(libotrMessage1), unhex(libotrSignature1))
	f.Add(unhex(libotrMessage2), unhex(libotrSignature2))
	f.Add([]byte{}, make([]byte, 40))
	f.Fuzz(func(t *testing.T, m, sig []byte) {
		want := len(sig) == DSASignatureLen && dsa.Verify(&theirs, m, new(big.Int).SetBytes(sig[:20]), new(big.Int).SetBytes(sig[20:]))
		if err := k.Verify(m, sig); (err == nil) != want {
			t.Errorf("%x, %x: %v", m, sig, err)
		}
	})
}

func BenchmarkGenerateDSA(b *testing.B) {
	for b.Loop() {
		if _, err := GenerateDSA(rand.Reader); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSign(b *testing.B) {
	k, m := libotrKey(b), unhex(libotrMessage1)
	for b.Loop() {
		if _, err := k.Sign(rand.Reader, m); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k, m, sig := libotrKey(b).Public(), unhex(libotrMessage1), unhex(libotrSignature1)
	for b.Loop() {
		if err := k.Verify(m, sig); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseDSAPublicKey(b *testing.B) {
	encoded := libotrKey(b).Public().Append(nil)
	for b.Loop() {
		if _, err := ParseDSAPublicKey(encoded); err != nil {
			b.Fatal(err)
		}
	}
}
