//go:build amd64 && !purego

package keystream

func codes() (all []code) {
	chacha := func(name string, avx2, avx512 bool) {
		if avx2 && !hasAVX2 || avx512 && !hasAVX512 {
			return
		}
		all = append(all, code{name, func() (restore func()) {
			was2, was512 := hasAVX2, hasAVX512
			hasAVX2, hasAVX512 = avx2, avx512
			return func() { hasAVX2, hasAVX512 = was2, was512 }
		}})
	}
	chacha("library", false, false)
	chacha("AVX2", true, false)
	chacha("AVX-512", true, true)
	return all
}
