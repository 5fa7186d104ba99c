package group

import "crypto/sha3"

// A Usage separates the purposes for which version 4 uses its one hash function, so that an
// output for one purpose cannot replace an output for another (version 4, "Key Derivation
// Function, Hash Function and MAC Function").
type Usage byte

// The usages of version 4, with the names and in the order of its specification.
const (
	UsageFingerprint Usage = iota
	UsageThirdBraceKey
	UsageBraceKey
	UsageSharedSecret
	UsageSSID
	UsageAuthRBobClientProfile
	UsageAuthRAliceClientProfile
	UsageAuthRPhi
	UsageAuthIBobClientProfile
	UsageAuthIAliceClientProfile
	UsageAuthIPhi
	UsageFirstRootKey
	UsageTmpKey
	UsageAuthMACKey
	UsageNonIntAuthBobClientProfile
	UsageNonIntAuthAliceClientProfile
	UsageNonIntAuthPhi
	UsageAuthMAC
	UsageRootKey
	UsageChainKey
	UsageNextChainKey
	UsageMessageKey
	UsageMACKey
	UsageExtraSymmKey
	UsageAuthenticator
	UsageSMPSecret
	UsageAuth
)

// KDF fills dst with the first len(dst) bytes of SHAKE-256("OTRv4" || usage || parts…). The
// specification calls it KDF, HWC or HCMAC, depending on the purpose of the output; the three
// are the same function. dst may be one of the parts.
func KDF(dst []byte, usage Usage, parts ...[]byte) {
	var h sha3.SHAKE
	h.Write([]byte{'O', 'T', 'R', 'v', '4', byte(usage)})
	for _, p := range parts {
		h.Write(p)
	}
	h.Read(dst)
	h.Reset() // the state would reveal the input
}

// HashToScalar hashes the parts to a number modulo q (version 4, "HashToScalar"). The
// socialist millionaires' protocol numbers its hashes 1 to 8 instead of using a Usage from
// the list: convert the number.
func HashToScalar(usage Usage, parts ...[]byte) Scalar {
	var h [ScalarLen]byte
	KDF(h[:], usage, parts...)
	return ReduceScalar(h[:])
}
