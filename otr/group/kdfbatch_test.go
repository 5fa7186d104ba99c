package group

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cloudflare/circl/simd/keccakf1600"
)

// checkKDFs compares KDFs with as many calls of KDF.
func checkKDFs(t *testing.T, keys, texts [][]byte, size int) {
	t.Helper()
	dst := make([][]byte, len(keys))
	for i := range dst {
		dst[i] = make([]byte, size)
	}
	KDFs(dst, UsageAuthenticator, keys, texts)
	for i := range dst {
		want := make([]byte, size)
		KDF(want, UsageAuthenticator, keys[i], texts[i])
		if !bytes.Equal(dst[i], want) {
			t.Fatalf("hash %d of %d over %d bytes is %x, want %x", i, len(dst), len(texts[i]), dst[i], want)
		}
	}
}

func TestHashesAtOnceAreThoseOfKDF(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{3})
	draw := func(n int) []byte {
		b := make([]byte, n)
		rng.Read(b)
		return b
	}
	for count := range 10 {
		for size := range 450 {
			var keys, texts [][]byte
			for range count {
				keys, texts = append(keys, draw(64)), append(texts, draw(size))
			}
			checkKDFs(t, keys, texts, 64)
			if count > 0 && size%7 == 0 {
				texts[count/2] = draw(size + 1) // of another length than the others
				checkKDFs(t, keys, texts, 32)
			}
		}
	}
}

func TestShortHashesAtOnceAreThoseOfKDF(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{4})
	for count := range KDFLanes + 1 {
		for size := range MaxShortInput + 1 {
			var dst, inputs [][]byte
			var usages []Usage
			for i := range count {
				input := make([]byte, (size+i*i)%(MaxShortInput+1))
				rng.Read(input)
				inputs, usages = append(inputs, input), append(usages, Usage(size+i))
				dst = append(dst, make([]byte, (size*5+i)%(shakeRate+1)))
			}
			ShortKDFs(dst, usages, inputs)
			for i := range dst {
				want := make([]byte, len(dst[i]))
				KDF(want, usages[i], inputs[i])
				if !bytes.Equal(dst[i], want) {
					t.Fatalf("hash %d of %d over %d bytes is %x, want %x", i, count, len(inputs[i]), dst[i], want)
				}
			}
		}
	}
}

// TestVectorCodesAbsorbAlike compares what this processor runs with the code for processors
// without AVX-512, which the other tests never reach where it has that.
func TestVectorCodesAbsorbAlike(t *testing.T) {
	if !keccakf1600.IsEnabledX4() {
		t.Skip("the processor has no vector code")
	}
	rng := rand.NewChaCha8([32]byte{5})
	for blocks := range 5 {
		var inputs [KDFLanes][]byte
		for i := range inputs {
			inputs[i] = make([]byte, blocks*shakeRate+blocks) // the bytes behind the last block are left
			rng.Read(inputs[i])
		}
		var got, want keccakf1600.StateX4
		a, b := got.Initialize(false), want.Initialize(false)
		for i := range a {
			a[i] = rng.Uint64()
		}
		copy(b, a)
		absorb(&got, a, inputs[0], inputs[1], inputs[2], inputs[3])
		absorbX4(&want, b, inputs[0], inputs[1], inputs[2], inputs[3])
		if !slices.Equal(a, b) {
			t.Fatalf("%d blocks: states differ:\n%x\n%x", blocks, a, b)
		}
	}
}

func FuzzKDFs(f *testing.F) {
	f.Add([]byte("key"), []byte("text"), 4)
	f.Fuzz(func(t *testing.T, key, text []byte, count int) {
		var keys, texts [][]byte
		for i := range min(max(count, 0), 9) {
			keys = append(keys, key)
			texts = append(texts, append([]byte{byte(i)}, text...))
		}
		checkKDFs(t, keys, texts, 64)
	})
}

func BenchmarkKDFs(b *testing.B) {
	const size = 64 << 10
	dst, keys, texts := make([][]byte, 4), make([][]byte, 4), make([][]byte, 4)
	for i := range dst {
		dst[i], keys[i], texts[i] = make([]byte, 64), make([]byte, 64), make([]byte, size)
	}
	b.Run("four", func(b *testing.B) {
		b.SetBytes(4 * size)
		b.ReportAllocs()
		for b.Loop() {
			KDFs(dst, UsageAuthenticator, keys, texts)
		}
	})
	b.Run("one", func(b *testing.B) {
		b.SetBytes(size)
		b.ReportAllocs()
		for b.Loop() {
			KDFs(dst[:1], UsageAuthenticator, keys, texts)
		}
	})
}
