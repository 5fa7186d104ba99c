package group

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"os"
	"testing"
)

// hexBytes is a byte string of a vector file.
type hexBytes []byte

func (h *hexBytes) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := hex.DecodeString(s)
	*h = v
	return err
}

// readVectors decodes a file of testdata; testdata/README.md says what the fields are.
func readVectors(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatal(err)
	}
}

type ed448Vectors struct {
	KDF []struct {
		Usage  Usage
		Name   string
		Input  hexBytes
		Size   int
		Output hexBytes
	}
	HashToScalar []struct {
		Usage         Usage
		Input, Scalar hexBytes
	} `json:"hash_to_scalar"`
	Prune  []struct{ Input, Output hexBytes }
	Draw   []struct{ Random, Pruned, Scalar hexBytes } `json:"random_scalar"`
	ECDH   []struct{ Random, Secret, Public hexBytes } `json:"generate_ecdh"`
	Decode []struct{ Bytes, Scalar hexBytes }          `json:"scalar_decode"`
	Mult   []struct{ Scalar, Point, Result hexBytes }  `json:"scalar_mult"`
	Add    []struct{ A, B, Sum hexBytes }              `json:"point_add"`
	Points []struct {
		Comment string
		Bytes   hexBytes
		Valid   bool
	}
}

func loadEd448(t testing.TB) (v ed448Vectors) {
	t.Helper()
	readVectors(t, "ed448.json", &v)
	return v
}

// q is the order of the base point, as the specification prints it.
var q, _ = new(big.Int).SetString("181709681073901722637330951972001133588410340171829515070372549795146003961539585716195755291692375963310293709091662304773755859649779", 10)

// little is the number that little-endian bytes are.
func little(b []byte) *big.Int {
	r := bytes.Clone(b)
	for i, j := 0, len(r)-1; i < j; i, j = i+1, j-1 {
		r[i], r[j] = r[j], r[i]
	}
	return new(big.Int).SetBytes(r)
}

// encodeScalar is n modulo q as a SCALAR.
func encodeScalar(n *big.Int) []byte {
	b := new(big.Int).Mod(n, q).FillBytes(make([]byte, ScalarLen))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

// draws is a source of bytes that differ from test to test in nothing.
func draws(seed uint64) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}) }

func drawScalar(t testing.TB, r *rand.ChaCha8) Scalar {
	t.Helper()
	k, err := DrawScalar(r)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKDFVectors(t *testing.T) {
	for _, v := range loadEd448(t).KDF {
		got := make([]byte, v.Size)
		KDF(got, v.Usage, v.Input)
		if !bytes.Equal(got, v.Output) {
			t.Errorf("%s: %x, want %x", v.Name, got, v.Output)
		}
		half := len(v.Input) / 2
		KDF(got, v.Usage, v.Input[:half], nil, v.Input[half:])
		if !bytes.Equal(got, v.Output) {
			t.Errorf("%s in two parts: %x, want %x", v.Name, got, v.Output)
		}
	}
}

func TestTheUsagesAreNumberedAsInTheSpecification(t *testing.T) {
	for usage, number := range map[Usage]byte{
		UsageFingerprint: 0x00, UsageSSID: 0x04, UsageFirstRootKey: 0x0b,
		UsageAuthMAC: 0x11, UsageExtraSymmKey: 0x17, UsageSMPSecret: 0x19, UsageAuth: 0x1a,
	} {
		if byte(usage) != number {
			t.Errorf("usage %#x, want %#x", byte(usage), number)
		}
	}
}

func TestHashToScalarVectors(t *testing.T) {
	for _, v := range loadEd448(t).HashToScalar {
		if got := HashToScalar(v.Usage, v.Input).Append(nil); !bytes.Equal(got, v.Scalar) {
			t.Errorf("usage %#x: %x, want %x", v.Usage, got, v.Scalar)
		}
	}
}

func TestPruneScalarVectors(t *testing.T) {
	for _, v := range loadEd448(t).Prune {
		in := bytes.Clone(v.Input)
		want := encodeScalar(little(v.Output))
		if got := PruneScalar(in).Append(nil); !bytes.Equal(got, want) {
			t.Errorf("%x: %x, want %x", v.Input, got, want)
		}
		if !bytes.Equal(in, v.Input) {
			t.Error("the input was changed")
		}
	}
}

func TestDrawnScalarsAreHashedAndPruned(t *testing.T) {
	for _, v := range loadEd448(t).Draw {
		k, err := DrawScalar(bytes.NewReader(v.Random))
		if err != nil {
			t.Fatal(err)
		}
		if got := k.Append(nil); !bytes.Equal(got, v.Scalar) {
			t.Errorf("%x, want %x", got, v.Scalar)
		}
	}
}

func TestDrawScalarFailsWithItsSource(t *testing.T) {
	if _, err := DrawScalar(bytes.NewReader(make([]byte, ScalarLen-1))); err == nil {
		t.Error("56 bytes made a scalar")
	}
}

func TestGeneratingAnECDHKey(t *testing.T) {
	for _, v := range loadEd448(t).ECDH {
		k := ScalarFromSeed(v.Random)
		if got, want := k.Append(nil), encodeScalar(little(v.Secret)); !bytes.Equal(got, want) {
			t.Errorf("secret %x, want %x", got, want)
		}
		if got := MulBase(k).Append(nil); !bytes.Equal(got, v.Public) {
			t.Errorf("public %x, want %x", got, v.Public)
		}
	}
}

func TestReduceScalarVectors(t *testing.T) {
	for _, v := range loadEd448(t).Decode {
		if got := ReduceScalar(v.Bytes).Append(nil); !bytes.Equal(got, v.Scalar) {
			t.Errorf("%x: %x, want %x", v.Bytes, got, v.Scalar)
		}
	}
}

func TestReduceScalarTakesAnyLength(t *testing.T) {
	r := draws(1)
	for n := range 130 {
		b := make([]byte, n)
		r.Read(b)
		if n%3 == 0 {
			for i := range b {
				b[i] = 0xff
			}
		}
		if got, want := ReduceScalar(b).Append(nil), encodeScalar(little(b)); !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

func TestAScalarHasOneEncoding(t *testing.T) {
	for _, c := range []struct {
		name string
		n    *big.Int
		ok   bool
	}{
		{"0", big.NewInt(0), true},
		{"1", big.NewInt(1), true},
		{"q − 1", new(big.Int).Sub(q, big.NewInt(1)), true},
		{"q", q, false},
		{"q + 1", new(big.Int).Add(q, big.NewInt(1)), false},
		{"2^446", new(big.Int).Lsh(big.NewInt(1), 446), false},
		{"2^448", new(big.Int).Lsh(big.NewInt(1), 448), false},
		{"2^456 − 1", new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 456), big.NewInt(1)), false},
	} {
		b := c.n.FillBytes(make([]byte, ScalarLen))
		for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
		k, err := ParseScalar(b)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && !bytes.Equal(k.Append(nil), b) {
			t.Errorf("%s: came back as %x", c.name, k.Append(nil))
		}
	}
	for _, n := range []int{0, 56, 58, 114} {
		if _, err := ParseScalar(make([]byte, n)); err == nil {
			t.Errorf("%d bytes made a scalar", n)
		}
	}
}

func TestScalarArithmeticIsModuloQ(t *testing.T) {
	r := draws(2)
	edges := []Scalar{ReduceScalar(nil), ReduceScalar([]byte{1}), ReduceScalar([]byte{2})}
	edges = append(edges, edges[0].Sub(edges[1]), drawScalar(t, r), drawScalar(t, r))
	for _, a := range edges {
		for _, b := range edges {
			na, nb := little(a.Append(nil)), little(b.Append(nil))
			for name, c := range map[string][2][]byte{
				"+": {a.Add(b).Append(nil), encodeScalar(new(big.Int).Add(na, nb))},
				"−": {a.Sub(b).Append(nil), encodeScalar(new(big.Int).Sub(na, nb))},
				"·": {a.Mul(b).Append(nil), encodeScalar(new(big.Int).Mul(na, nb))},
			} {
				if !bytes.Equal(c[0], c[1]) {
					t.Errorf("%v %s %v = %x, want %x", na, name, nb, c[0], c[1])
				}
			}
			if a.Equal(b) != (na.Cmp(nb) == 0) {
				t.Errorf("Equal(%v, %v) = %v", na, nb, a.Equal(b))
			}
			if !SelectScalar(1, a, b).Equal(a) || !SelectScalar(0, a, b).Equal(b) {
				t.Error("SelectScalar took the wrong one")
			}
		}
	}
}

func TestAScalarPrintsAPlaceholderAndCanBeWiped(t *testing.T) {
	k := drawScalar(t, draws(3))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		if got := fmt.Sprintf(verb, k); got != "group.Scalar(…)" {
			t.Errorf("%s prints %q", verb, got)
		}
	}
	k.Wipe()
	if !k.Equal(Scalar{}) {
		t.Error("the scalar is still there")
	}
}

func TestOnlyCanonicalPointsOfPrimeOrderPass(t *testing.T) {
	for _, v := range loadEd448(t).Points {
		p, err := ParsePoint(v.Bytes)
		if (err == nil) != v.Valid {
			t.Errorf("%s: error %v, want valid %v", v.Comment, err, v.Valid)
		}
		if err == nil && !bytes.Equal(p.Append(nil), v.Bytes) {
			t.Errorf("%s: came back as %x", v.Comment, p.Append(nil))
		}
	}
}

func TestScalarMultVectors(t *testing.T) {
	small := 0
	for _, v := range loadEd448(t).Mult {
		k := ReduceScalar(v.Scalar)
		p, err := ParsePoint(v.Point)
		if err != nil {
			small++ // the vectors multiply a point of order 4, which never gets that far
			continue
		}
		if got := p.Mul(k).Append(nil); !bytes.Equal(got, v.Result) {
			t.Errorf("%x · %x = %x, want %x", v.Scalar, v.Point, got, v.Result)
		}
		if got := p.MulAddBaseVarTime(Scalar{}, k).Append(nil); !bytes.Equal(got, v.Result) {
			t.Errorf("0·G + %x · %x = %x, want %x", v.Scalar, v.Point, got, v.Result)
		}
		if p.Equal(Generator()) {
			if got := MulBase(k).Append(nil); !bytes.Equal(got, v.Result) {
				t.Errorf("%x · G = %x, want %x", v.Scalar, got, v.Result)
			}
		}
	}
	if small != 2 {
		t.Errorf("%d points refused, want the 2 of order 4", small)
	}
}

func TestPointAddVectors(t *testing.T) {
	for _, v := range loadEd448(t).Add {
		a, errA := ParsePoint(v.A)
		b, errB := ParsePoint(v.B)
		if errA != nil || errB != nil {
			continue // the identity and small orders as operands, which are refused before
		}
		sum := a.Add(b)
		if got := sum.Append(nil); !bytes.Equal(got, v.Sum) {
			t.Errorf("sum %x, want %x", got, v.Sum)
		}
		if !sum.Sub(b).Equal(a) {
			t.Error("a + b − b is not a")
		}
	}
}

func TestTheGroupLawHolds(t *testing.T) {
	r := draws(4)
	for range 4 {
		a, b := drawScalar(t, r), drawScalar(t, r)
		p := MulBase(drawScalar(t, r))
		if !p.Mul(a).Add(p.Mul(b)).Equal(p.Mul(a.Add(b))) {
			t.Error("a·P + b·P is not (a + b)·P")
		}
		if !p.Mul(a).Mul(b).Equal(p.Mul(a.Mul(b))) {
			t.Error("b·(a·P) is not (a·b)·P")
		}
		if !p.MulAddBaseVarTime(a, b).Equal(MulBase(a).Add(p.Mul(b))) {
			t.Error("the combined product is another")
		}
		if !p.Sub(p).IsIdentity() || !p.Mul(Scalar{}).IsIdentity() || p.IsIdentity() {
			t.Error("IsIdentity is wrong")
		}
		if !p.Add(p.Sub(p)).Equal(p) {
			t.Error("P + 0 is not P")
		}
	}
}

func TestAPointIsNotChangedByReadingIt(t *testing.T) {
	k := drawScalar(t, draws(5))
	p := MulBase(k).Add(Generator()) // not normalised
	before := *p
	p.Append(nil)
	p.Equal(Generator())
	p.IsIdentity()
	p.Mul(k)
	p.Sub(p)
	p.MulAddBaseVarTime(k, k)
	if *p != before {
		t.Error("a method wrote to its receiver")
	}
}

func FuzzParsePoint(f *testing.F) {
	for _, v := range loadEd448(f).Points {
		f.Add([]byte(v.Bytes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParsePoint(b)
		if err != nil {
			return
		}
		if !bytes.Equal(p.Append(nil), b) {
			t.Errorf("%x came back as %x", b, p.Append(nil))
		}
		if !p.Mul(ReduceScalar([]byte{2})).Equal(p.Add(p)) {
			t.Error("2·P is not P + P")
		}
	})
}

func FuzzParseScalar(f *testing.F) {
	f.Add(make([]byte, ScalarLen))
	f.Add(encodeScalar(big.NewInt(-1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseScalar(b)
		if err == nil && !bytes.Equal(k.Append(nil), b) {
			t.Errorf("%x came back as %x", b, k.Append(nil))
		}
		if reduced := ReduceScalar(b); err == nil && !reduced.Equal(k) {
			t.Errorf("%x reduces to another number", b)
		}
	})
}

func BenchmarkEd448(b *testing.B) {
	r := draws(6)
	k, m := drawScalar(b, r), drawScalar(b, r)
	p := MulBase(k)
	enc := p.Append(nil)
	b.Run("MulBase", func(b *testing.B) {
		for b.Loop() {
			MulBase(k)
		}
	})
	b.Run("Mul", func(b *testing.B) {
		for b.Loop() {
			p.Mul(k)
		}
	})
	b.Run("MulAddBaseVarTime", func(b *testing.B) {
		for b.Loop() {
			p.MulAddBaseVarTime(k, m)
		}
	})
	b.Run("ParsePoint", func(b *testing.B) {
		for b.Loop() {
			ParsePoint(enc)
		}
	})
	b.Run("Append", func(b *testing.B) {
		for b.Loop() {
			p.Append(enc[:0])
		}
	})
}
