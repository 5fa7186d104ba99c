package otr

// A Policy is any combination of the flags of the specification's section
// "Policies".
type Policy uint16

// The specification's flags, and RestartAKE, which is ours.
const (
	AllowV2            Policy = 1 << iota // speak version 2
	AllowV3                               // speak version 3
	AllowV4                               // speak version 4
	RequireEncryption                     // never send a text unencrypted
	SendWhitespaceTag                     // advertise OTR by the whitespace tag
	WhitespaceStartAKE                    // start the key exchange on a whitespace tag
	ErrorStartAKE                         // start it on an error message
	RestartAKE                            // start it when the peer writes under keys that we do not have
)

// Has reports whether p contains all flags of q.
func (p Policy) Has(q Policy) bool { return p&q == q }

// Allows reports whether p contains the flag of a version.
func (p Policy) Allows(version int) bool {
	switch version {
	case 2:
		return p.Has(AllowV2)
	case 3:
		return p.Has(AllowV3)
	case 4:
		return p.Has(AllowV4)
	}
	return false
}
