package group

import (
	"bytes"
	"math/big"
	"testing"
)

type modp3072Vectors struct {
	DH struct {
		Public     []struct{ Secret, Public hexBytes }
		Membership []struct {
			Comment string
			Value   hexBytes
			Valid   bool
		}
		Shared []struct {
			A, B  hexBytes
			KDH   hexBytes `json:"k_dh"`
			Brace hexBytes `json:"brace_key"`
		}
	}
}

func loadMODP3072(t testing.TB) (v modp3072Vectors) {
	t.Helper()
	readVectors(t, "modp3072.json", &v)
	return v
}

// padded is a number in the length that elements of the 3072-bit group have.
func padded(b []byte) []byte { return append(make([]byte, 384-len(b)), b...) }

func TestMODP3072PublicKeys(t *testing.T) {
	for _, v := range loadMODP3072(t).DH.Public {
		if got := MODP3072().ExpBase(v.Secret); !bytes.Equal(got, padded(v.Public)) {
			t.Errorf("2^%x = %x, want %x", v.Secret, got, v.Public)
		}
	}
}

func TestMODP3072SharedSecretsAndTheirBraceKeys(t *testing.T) {
	for _, v := range loadMODP3072(t).DH.Shared {
		shared, err := MODP3072().Exp(v.B, v.A)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(shared, padded(v.KDH)) {
			t.Errorf("B^a = %x, want %x", shared, v.KDH)
		}
		var brace [32]byte
		KDF(brace[:], UsageThirdBraceKey, bytes.TrimLeft(shared, "\x00"))
		if !bytes.Equal(brace[:], v.Brace) {
			t.Errorf("brace key %x, want %x", brace, v.Brace)
		}
	}
}

func TestOnlyTheSubgroupOfPrimeOrderIsMember(t *testing.T) {
	for _, v := range loadMODP3072(t).DH.Membership {
		if err := MODP3072().CheckMember(v.Value); (err == nil) != v.Valid {
			t.Errorf("%s: error %v, want valid %v", v.Comment, err, v.Valid)
		}
	}
}

func TestTheJacobiSymbolTellsWhatTheSpecificationComputes(t *testing.T) {
	g := MODP3072()
	p := new(big.Int).Add(new(big.Int).SetBytes(g.top), big.NewInt(2))
	half := new(big.Int).Rsh(p, 1)
	r := draws(7)
	members := 0
	for range 12 {
		b := make([]byte, 384)
		r.Read(b)
		b[0] &= 0x7f // below p
		power := new(big.Int).Exp(new(big.Int).SetBytes(b), half, p)
		want := power.Cmp(big.NewInt(1)) == 0
		if err := g.CheckMember(b); (err == nil) != want {
			t.Errorf("%x: error %v, but y^q = 1 is %v", b, err, want)
		}
		if want {
			members++
		}
	}
	if members == 0 || members == 12 {
		t.Errorf("%d of 12 numbers are members: nothing was compared", members)
	}
}

func BenchmarkMODP3072(b *testing.B) {
	g := MODP3072()
	r := draws(8)
	secret := make([]byte, 80)
	r.Read(secret)
	y := g.ExpBase(secret)
	b.Run("ExpBase", func(b *testing.B) {
		for b.Loop() {
			g.ExpBase(secret)
		}
	})
	b.Run("Exp", func(b *testing.B) {
		for b.Loop() {
			g.Exp(y, secret)
		}
	})
	b.Run("CheckMember", func(b *testing.B) {
		for b.Loop() {
			g.CheckMember(y)
		}
	})
}
