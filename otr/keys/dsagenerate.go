package keys

import (
	"errors"
	"fmt"
	"io"
	"math/big"
)

const (
	// dsaBits is the length of p in new keys, in bits. Every client of versions 2 and 3 makes
	// and expects keys of this length.
	dsaBits = 1024

	// The rounds of the Miller-Rabin test that FIPS 186-4, table C.1, requires for primes of
	// these lengths if a Lucas test follows, as it does in package math/big.
	roundsP = 3
	roundsQ = 19

	// sieveSize is the number of candidates for p in one sieve. About one in 355 is prime.
	sieveSize = 2048
	// sieveLimit is the upper limit for the small primes of the sieve. They leave one
	// candidate in seven, and each candidate that they remove saves an exponentiation modulo
	// p.
	sieveLimit = 1 << 12

	// drawsQ and drawsP bound the number of random draws for a prime. On average q takes 55
	// draws, and only one key in 300 needs a second draw for p. If these limits are reached,
	// the source of randomness repeats itself.
	drawsQ = 10000
	drawsP = 20
)

// ErrRandom reports a source of randomness that repeats itself, so that no key can be made
// from it.
var ErrRandom = errors.New("keys: the source of randomness repeats itself")

// GenerateDSA makes a key with its own parameters: p of 1024 bits and q of 160. It takes some
// hundredths of a second, occasionally some tenths. It reads all randomness from rand.
func GenerateDSA(rand io.Reader) (*DSAPrivateKey, error) {
	p, q, g, err := generateParameters(rand)
	if err != nil {
		return nil, fmt.Errorf("keys: generating a DSA key: %w", err)
	}
	k, err := newDSADomain(p.Bytes(), q.Bytes(), g.Bytes())
	if err != nil {
		return nil, err
	}
	// FIPS 186-4, B.1.1: 64 bits more than q, so that all remainders are practically equally
	// likely.
	wide := make([]byte, dsaScalarLen+8)
	defer clear(wide)
	if _, err := io.ReadFull(rand, wide); err != nil {
		return nil, fmt.Errorf("keys: generating a DSA key: %w", err)
	}
	x := k.scalar(wide)
	defer clear(x.Bits())
	k.x = (*[dsaScalarLen]byte)(x.Bytes(k.q))
	y := k.power(k.x[:]).Bytes(k.p)
	if k.public, err = newDSAPublicKey(p.Bytes(), q.Bytes(), g.Bytes(), y); err != nil {
		return nil, err
	}
	return k, nil
}

// generateParameters returns primes p and q, where q divides p−1, and a generator g of the
// subgroup of order q. They are public. (Package crypto/dsa can do the same, but takes seven
// times as long.)
func generateParameters(rand io.Reader) (p, q, g *big.Int, err error) {
	if q, err = generateQ(rand); err != nil {
		return nil, nil, nil, err
	}
	if p, err = generateP(rand, q); err != nil {
		return nil, nil, nil, err
	}
	// FIPS 186-4, A.2.1
	one := big.NewInt(1)
	cofactor := new(big.Int).Sub(p, one)
	cofactor.Quo(cofactor, q)
	g = new(big.Int)
	for h := big.NewInt(2); ; h.Add(h, one) {
		if g.Exp(h, cofactor, p).Cmp(one) > 0 {
			return p, q, g, nil
		}
	}
}

func generateQ(rand io.Reader) (*big.Int, error) {
	b := make([]byte, dsaScalarLen)
	q := new(big.Int)
	for range drawsQ {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		b[0] |= 0x80
		b[len(b)-1] |= 1
		if q.SetBytes(b).ProbablyPrime(roundsQ) {
			return q, nil
		}
	}
	return nil, ErrRandom
}

// generateP returns a prime of dsaBits bits that is 1 modulo the prime q: the first such
// prime from a random number upwards.
func generateP(rand io.Reader, q *big.Int) (*big.Int, error) {
	step := new(big.Int).Lsh(q, 1) // p is odd, so it is 1 modulo 2q as well
	b := make([]byte, dsaBits/8)
	p := new(big.Int)
	for range drawsP {
		if _, err := io.ReadFull(rand, b); err != nil {
			return nil, err
		}
		b[0] |= 0x80
		p.SetBytes(b)
		p.Sub(p, new(big.Int).Mod(p, step))
		p.Add(p, big.NewInt(1))
		for _, composite := range sieve(p, step) {
			if !composite && p.BitLen() == dsaBits && p.ProbablyPrime(roundsP) {
				return p, nil
			}
			p.Add(p, step)
		}
	}
	return nil, ErrRandom
}

// sieve reports which of the numbers start, start + step, start + 2·step, … have a small
// prime factor. step has no small prime factor except 2.
func sieve(start, step *big.Int) *[sieveSize]bool {
	composite := new([sieveSize]bool)
	var seen [sieveLimit]bool // multiples of smaller primes
	n, first := new(big.Int), new(big.Int)
	for prime := 3; prime < sieveLimit; prime += 2 {
		if seen[prime] {
			continue
		}
		for i := prime * prime; i < sieveLimit; i += 2 * prime {
			seen[i] = true
		}
		// The prime divides start + i·step where i is −start/step modulo it.
		n.SetInt64(int64(prime))
		first.ModInverse(step, n)
		first.Mod(first.Mul(first.Neg(first), start), n)
		for i := int(first.Int64()); i < sieveSize; i += prime {
			composite[i] = true
		}
	}
	return composite
}
