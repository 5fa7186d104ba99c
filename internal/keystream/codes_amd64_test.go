//go:build amd64 && !purego

package keystream

func codes() []code {
	use := func(avx2, avx512, aesni, vaes bool) (restore func()) {
		was := [...]bool{hasAVX2, hasAVX512, hasAESNI, hasVAES}
		hasAVX2, hasAVX512, hasAESNI, hasVAES = avx2, avx512, aesni, vaes
		return func() { hasAVX2, hasAVX512, hasAESNI, hasVAES = was[0], was[1], was[2], was[3] }
	}
	all := []code{{"library", false, func() func() { return use(false, false, false, false) }}}
	if hasAVX2 && hasAESNI {
		all = append(all, code{"AVX2 and AES-NI", true, func() func() { return use(true, false, true, false) }})
	}
	if hasAVX512 && hasVAES {
		all = append(all, code{"AVX-512 and VAES", true, func() func() { return use(true, true, true, true) }})
	}
	return all
}
