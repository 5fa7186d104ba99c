package group

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"

	"otrpipe/testscripts/slowtest"
)

var (
	one = big.NewInt(1)
	two = big.NewInt(2)
)

// prime returns p and q as package math/big has them.
func prime(g *MODP) (p, q *big.Int) {
	p = new(big.Int).SetBytes(g.p.Nat().Bytes(g.p))
	return p, new(big.Int).Rsh(p, 1)
}

// numbers returns numbers that arithmetic tends to get wrong, and random ones.
func numbers(g *MODP, random int) []*big.Int {
	p, q := prime(g)
	var list []*big.Int
	for _, around := range []*big.Int{big.NewInt(2), q, p, new(big.Int).Lsh(one, 64), new(big.Int).Lsh(one, 320), new(big.Int).Lsh(one, 1528), new(big.Int).Lsh(one, 1535), new(big.Int).Lsh(one, 1536)} {
		for d := int64(-2); d <= 2; d++ {
			list = append(list, new(big.Int).Add(around, big.NewInt(d)))
		}
	}
	rng := rand.NewChaCha8([32]byte{1})
	for i := range random {
		b := make([]byte, []int{16, 32, 40, 191, 192, 193, 400}[i%7])
		rng.Read(b)
		list = append(list, new(big.Int).SetBytes(b))
	}
	return list
}

// RFC 3526 does not only print the prime, it says how it was made:
// 2^1536 − 2^1472 − 1 + 2^64·(⌊2^1406·π⌋ + 741804).
func TestThePrimeIsMadeOfPiAsRFC3526Says(t *testing.T) {
	// π = 16·arctan(1/5) − 4·arctan(1/239), with 64 bits to spare.
	arctan := func(n int64) *big.Int {
		sum := new(big.Int)
		term := new(big.Int).Lsh(one, 1406+64)
		term.Quo(term, big.NewInt(n))
		for k := int64(1); term.Sign() != 0; k += 2 {
			part := new(big.Int).Quo(term, big.NewInt(k))
			if k%4 == 1 {
				sum.Add(sum, part)
			} else {
				sum.Sub(sum, part)
			}
			term.Quo(term, big.NewInt(n*n))
		}
		return sum
	}
	pi := new(big.Int).Lsh(arctan(5), 4)
	pi.Sub(pi, new(big.Int).Lsh(arctan(239), 2))
	pi.Rsh(pi, 64)
	want := pi.Add(pi, big.NewInt(741804))
	want.Lsh(want, 64)
	want.Add(want, new(big.Int).Lsh(one, 1536))
	want.Sub(want, new(big.Int).Lsh(one, 1472))
	want.Sub(want, one)
	p, q := prime(MODP1536())
	if p.Cmp(want) != 0 {
		t.Fatalf("the prime is %x, want %x", p, want)
	}
	if !p.ProbablyPrime(1) || !q.ProbablyPrime(1) {
		t.Error("it is no safe prime")
	}
	if new(big.Int).Exp(two, q, p).Cmp(one) != 0 {
		t.Error("2 does not generate the subgroup of order q")
	}
}

func TestCheckAcceptsTwoToPMinusTwo(t *testing.T) {
	g := MODP1536()
	p, _ := prime(g)
	top := new(big.Int).Sub(p, two)
	for _, n := range numbers(g, 20) {
		want := n.Cmp(two) >= 0 && n.Cmp(top) <= 0
		for _, b := range [][]byte{n.Bytes(), append(make([]byte, 200), n.Bytes()...)} {
			if err := g.Check(b); (err == nil) != want || err != nil && !errors.Is(err, ErrElement) {
				t.Errorf("Check(%x): %v", b, err)
			}
		}
	}
}

func TestCheckScalarAcceptsOneToQMinusOne(t *testing.T) {
	g := MODP1536()
	_, q := prime(g)
	for _, n := range numbers(g, 20) {
		want := n.Sign() > 0 && n.Cmp(q) < 0
		for _, b := range [][]byte{n.Bytes(), append(make([]byte, 200), n.Bytes()...)} {
			if err := g.CheckScalar(b); (err == nil) != want || err != nil && !errors.Is(err, ErrScalar) {
				t.Errorf("CheckScalar(%x): %v", b, err)
			}
		}
	}
}

func TestPowersAgreeWithMathBig(t *testing.T) {
	g := MODP1536()
	p, _ := prime(g)
	list := numbers(g, 14)
	for i, x := range list {
		want := new(big.Int).Exp(two, x, p).FillBytes(make([]byte, 192))
		if got := g.ExpBase(x.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("2^%x = %x, want %x", x, got, want)
		}
		y := list[(i*7+3)%len(list)]
		got, err := g.Exp(y.Bytes(), x.Bytes())
		if y.Sign() == 0 || y.Cmp(p) >= 0 {
			if !errors.Is(err, ErrElement) {
				t.Errorf("Exp of %x: %v", y, err)
			}
			continue
		}
		want = new(big.Int).Exp(y, x, p).FillBytes(make([]byte, 192))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x^%x = %x, %v, want %x", y, x, got, err, want)
		}
		if padded, err := g.Exp(append(make([]byte, 300), y.Bytes()...), x.Bytes()); err != nil || !bytes.Equal(padded, want) {
			t.Errorf("with leading zeros %x^%x = %x, %v, want %x", y, x, padded, err, want)
		}
	}
}

func TestExponentsOfEveryLengthAndLeadingZeros(t *testing.T) {
	slowtest.SkipShort(t)
	g := MODP1536()
	p, _ := prime(g)
	rng := rand.NewChaCha8([32]byte{2})
	for n := range 130 {
		x := make([]byte, n)
		rng.Read(x)
		want := new(big.Int).Exp(two, new(big.Int).SetBytes(x), p).FillBytes(make([]byte, 192))
		if got := g.ExpBase(x); !bytes.Equal(got, want) {
			t.Errorf("2^%x = %x, want %x", x, got, want)
		}
		if got := g.ExpBase(append(make([]byte, n), x...)); !bytes.Equal(got, want) {
			t.Errorf("with %d leading zeros 2^%x = %x, want %x", n, x, got, want)
		}
	}
}

// Every table entry is used by some exponent of this test.
func TestEveryEntryOfTheTableIsRight(t *testing.T) {
	g := MODP1536()
	p, _ := prime(g)
	for column := range columns {
		for choice := range 1 << teeth {
			x := make([]byte, chunkBytes)
			for tooth := range teeth {
				x[chunkBytes-1-(tooth*columns+column)] = byte(choice >> tooth & 1)
			}
			want := new(big.Int).Exp(two, new(big.Int).SetBytes(x), p).FillBytes(make([]byte, 192))
			if got := g.ExpBase(x); !bytes.Equal(got, want) {
				t.Errorf("column %d, choice %05b: 2^%x = %x, want %x", column, choice, x, got, want)
			}
		}
	}
}

func TestProductsAndQuotientsAgreeWithMathBig(t *testing.T) {
	g := MODP1536()
	p, _ := prime(g)
	list := numbers(g, 14)
	for i, a := range list {
		b := list[(i*5+1)%len(list)]
		valid := a.Sign() > 0 && a.Cmp(p) < 0 && b.Sign() > 0 && b.Cmp(p) < 0
		product, mulErr := g.Mul(a.Bytes(), b.Bytes())
		quotient, divErr := g.Div(a.Bytes(), b.Bytes())
		if !valid {
			if !errors.Is(mulErr, ErrElement) || !errors.Is(divErr, ErrElement) {
				t.Errorf("%x and %x: %v, %v", a, b, mulErr, divErr)
			}
			continue
		}
		want := new(big.Int).Mul(a, b)
		want.Mod(want, p)
		if mulErr != nil || !bytes.Equal(product, want.FillBytes(make([]byte, 192))) {
			t.Errorf("%x · %x = %x, %v, want %x", a, b, product, mulErr, want)
		}
		want.Mul(a, want.ModInverse(b, p))
		want.Mod(want, p)
		if divErr != nil || !bytes.Equal(quotient, want.FillBytes(make([]byte, 192))) {
			t.Errorf("%x / %x = %x, %v, want %x", a, b, quotient, divErr, want)
		}
	}
}

func TestScalarsAgreeWithMathBig(t *testing.T) {
	g := MODP1536()
	_, q := prime(g)
	list := numbers(g, 14)
	for i, r := range list {
		want := new(big.Int).Mod(r, q).FillBytes(make([]byte, 192))
		if got := g.ReduceScalar(r.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("%x modulo q = %x, want %x", r, got, want)
		}
		a, c := list[(i*5+1)%len(list)], list[(i*3+2)%len(list)]
		n := new(big.Int).Mul(a, c)
		n.Mod(n.Sub(r, n), q)
		want = n.FillBytes(make([]byte, 192))
		if got := g.MulSub(r.Bytes(), a.Bytes(), c.Bytes()); !bytes.Equal(got, want) {
			t.Errorf("%x − %x·%x modulo q = %x, want %x", r, a, c, got, want)
		}
	}
}

func TestArgumentsAreLeftAsTheyWere(t *testing.T) {
	g := MODP1536()
	a, b, c := []byte{0, 7, 1}, []byte{0, 0, 3}, []byte{0, 9}
	_, _ = g.Exp(a, b)
	_, _ = g.Mul(a, b)
	_, _ = g.Div(a, b)
	g.ExpBase(b)
	g.ReduceScalar(a)
	g.MulSub(a, b, c)
	if !bytes.Equal(a, []byte{0, 7, 1}) || !bytes.Equal(b, []byte{0, 0, 3}) || !bytes.Equal(c, []byte{0, 9}) {
		t.Errorf("%x %x %x", a, b, c)
	}
}

func TestDiffieHellmanAgreesWhileTheTablesGrowInSeveralGoroutines(t *testing.T) {
	g := newMODP(fmt.Sprintf("%X", MODP1536().p.Nat().Bytes(MODP1536().p)))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			rng := rand.NewChaCha8([32]byte{byte(i)})
			x, y := make([]byte, 40), make([]byte, 40*(i%4+1))
			rng.Read(x)
			rng.Read(y)
			ours, err := g.Exp(g.ExpBase(y), x)
			if err != nil {
				t.Error(err)
			}
			theirs, err := g.Exp(g.ExpBase(x), y)
			if err != nil || !bytes.Equal(ours, theirs) {
				t.Errorf("%x, %x, %v", ours, theirs, err)
			}
		})
	}
	wg.Wait()
}

// FuzzScalars compares the reduction of numbers of any length, which works in
// chunks, with package math/big's.
func FuzzScalars(f *testing.F) {
	g := MODP1536()
	_, q := prime(g)
	f.Add([]byte{}, []byte{1}, []byte{0})
	f.Add(q.Bytes(), q.Bytes(), bytes.Repeat([]byte{0xff}, 400))
	f.Fuzz(func(t *testing.T, r, a, c []byte) {
		n := new(big.Int).Mul(new(big.Int).SetBytes(a), new(big.Int).SetBytes(c))
		n.Mod(n.Sub(new(big.Int).SetBytes(r), n), q)
		if got, want := g.MulSub(r, a, c), n.FillBytes(make([]byte, 192)); !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}

// FuzzExpBase compares the two ways to a power of 2.
func FuzzExpBase(f *testing.F) {
	g := MODP1536()
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, 192))
	f.Fuzz(func(t *testing.T, x []byte) {
		x = x[:min(len(x), 256)]
		want, err := g.Exp([]byte{2}, x)
		if got := g.ExpBase(x); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x, %v", got, want, err)
		}
	})
}

func BenchmarkExp(b *testing.B) {
	benchmarkLengths(b, func(g *MODP, x []byte) { _, _ = g.Exp([]byte{2}, x) })
}
func BenchmarkExpBase(b *testing.B) { benchmarkLengths(b, func(g *MODP, x []byte) { g.ExpBase(x) }) }

func benchmarkLengths(b *testing.B, exp func(g *MODP, x []byte)) {
	g := MODP1536()
	for _, bits := range []int{320, 1536} {
		b.Run(fmt.Sprint(bits), func(b *testing.B) {
			x := bytes.Repeat([]byte{0xa5}, bits/8)
			g.ExpBase(x) // the tables are there
			for b.Loop() {
				exp(g, x)
			}
		})
	}
}

func BenchmarkTables(b *testing.B) {
	g := MODP1536()
	for b.Loop() {
		t := fixedBase{m: g.field}
		t.grow(1)
	}
}

func BenchmarkDiv(b *testing.B) {
	g := MODP1536()
	y := g.ExpBase(bytes.Repeat([]byte{0xa5}, 40))
	for b.Loop() {
		_, _ = g.Div(y, y)
	}
}

func BenchmarkMulSub(b *testing.B) {
	g := MODP1536()
	x := bytes.Repeat([]byte{0xa5}, 192)
	for b.Loop() {
		g.MulSub(x, x, x)
	}
}
