package keyfile

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// The kinds of our files, as written in them.
const (
	kindIdentity = "identity"
	kindPublic   = "public identity"
	kindContacts = "contacts"
)

// The versions of the formats. A file without the additions of a newer version is written in
// the older one, so that files do not change unless their content does.
const (
	identityWithDSA      = 1 // the DSA key; in the public file its fingerprint
	identityWithEd448    = 2 // also the keys of OTR version 4
	contactsWithKeys     = 1 // contacts and their keys
	contactsWithProfiles = 2 // also their client profiles
	contactsWithClients  = 3 // also the client that was last met
	contactsWithTold     = 4 // also the keys that they have told
	contactsWithAddress  = 5 // also their addresses; a contact with an address need not have a key
)

// contactsVersion returns the format version for a contacts file.
func contactsVersion(contacts []Contact) int {
	version := contactsWithKeys
	for _, contact := range contacts {
		if !contact.Address.IsZero() {
			return contactsWithAddress
		}
		for _, key := range contact.Keys {
			switch {
			case !key.Told.IsZero():
				version = contactsWithTold
			case key.Client != (Client{}):
				version = max(version, contactsWithClients)
			case key.Profile != (Profile{}):
				version = max(version, contactsWithProfiles)
			}
		}
	}
	return version
}

// identityVersion returns the format version for both files of an identity.
func identityVersion(ed448 bool) int {
	if ed448 {
		return identityWithEd448
	}
	return identityWithDSA
}

// The files are JSON, but written without an encoder, so that no secret stays in an encoder's
// buffers and the bytes do not depend on an encoder's version. Reading compares a file with
// what we would write. That rejects everything that a JSON decoder would tolerate: duplicate,
// unknown or misspelled fields, other forms of numbers, and text after the object.

// appendIdentity appends the text of a private key file. The buffer is allocated once, so
// that wiping it leaves no copy behind.
func appendIdentity(b []byte, id *Identity) []byte {
	if b == nil {
		b = make([]byte, 0, maxPrivate)
	}
	b = appendHead(b, kindIdentity, identityVersion(id.Ed448 != nil))
	b = appendNameAndTag(b, id.Name, id.InstanceTag)
	b = append(b, "  \"keys\": [\n"...)
	p, q, g, y, x := id.DSA.Parameters()
	defer clear(x)
	b = appendKey(b, 3, "dsa", number{"p", p}, number{"q", q}, number{"g", g}, number{"y", y}, number{"x", x})
	if id.Ed448 != nil {
		symmetric := id.Ed448.Symmetric()
		defer clear(symmetric)
		numbers := []number{{"symmetric", symmetric}, {"forging", id.Forging.Point().Append(nil)}}
		if id.ForgingPrivate != nil {
			symmetric := id.ForgingPrivate.Symmetric()
			defer clear(symmetric)
			numbers = append(numbers, number{"forging_symmetric", symmetric})
		}
		b = appendKey(append(b, ",\n"...), 4, "ed448", numbers...)
	}
	return append(b, "\n  ]\n}\n"...)
}

// A number is a named part of a key, as bytes.
type number struct {
	name  string
	value []byte
}

func appendKey(b []byte, otr int, kind string, numbers ...number) []byte {
	b = fmt.Appendf(b, "    {\n      \"otr\": %d,\n      \"type\": %q", otr, kind)
	for _, n := range numbers {
		b = fmt.Appendf(b, ",\n      %q: \"", n.name)
		b = append(hex.AppendEncode(b, n.value), '"')
	}
	return append(b, "\n    }"...)
}

// A keyText is a key in a private key file, of any kind.
type keyText struct {
	P, Q, G, Y, X    hexText // a DSA key
	Symmetric        hexText // an Ed448 key: its symmetric key, 57 bytes
	Forging          hexText // the forging key: a POINT, 57 bytes
	ForgingSymmetric hexText `json:"forging_symmetric"` // its symmetric key, if it was kept
}

func (k *keyText) wipe() {
	clear(k.X)
	clear(k.Symmetric)
	clear(k.ForgingSymmetric)
}

// parseIdentity parses the output of appendIdentity.
func parseIdentity(b []byte) (*Identity, error) {
	if err := checkHead(b, kindIdentity, identityWithEd448); err != nil {
		return nil, err
	}
	var file struct {
		Identity string
		Instance tagText
		Keys     []keyText
	}
	defer func() {
		for i := range file.Keys {
			file.Keys[i].wipe()
		}
	}()
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, jsonError(err)
	}
	if len(file.Keys) != 1 && len(file.Keys) != 2 {
		return nil, fmt.Errorf("%w: %d keys, not 1 or 2", ErrFormat, len(file.Keys))
	}
	// A key that comes from libotr's file has no tag yet.
	if tag := uint32(file.Instance); tag != 0 && tag < minInstanceTag {
		return nil, fmt.Errorf("%w: instance tag %08x is below %08x", ErrFormat, tag, minInstanceTag)
	}
	k := &file.Keys[0]
	key, err := keys.NewDSAPrivateKey(k.P, k.Q, k.G, k.Y, k.X)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	id := &Identity{Name: file.Identity, InstanceTag: uint32(file.Instance), DSA: key}
	if len(file.Keys) == 2 {
		err = parseVersion4(id, &file.Keys[1])
	}
	if err == nil {
		again := appendIdentity(nil, id)
		defer clear(again)
		err = checkNames(b, again, id.Name)
	}
	if err != nil {
		id.Wipe()
		return nil, err
	}
	return id, nil
}

func parseVersion4(id *Identity, k *keyText) (err error) {
	if id.Ed448, err = keys.NewEd448PrivateKey(k.Symmetric); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if id.Forging, err = keys.ParseForgingKey(k.Forging); err != nil {
		return fmt.Errorf("%w: forging key: %w", ErrFormat, err)
	}
	if k.ForgingSymmetric == nil {
		return nil
	}
	if id.ForgingPrivate, err = keys.NewEd448PrivateKey(k.ForgingSymmetric); err != nil {
		return fmt.Errorf("%w: forging key: %w", ErrFormat, err)
	}
	if !id.ForgingPrivate.Public().Equal(&id.Forging.Ed448PublicKey) {
		return fmt.Errorf("%w: the halves of the forging key do not belong together", ErrFormat)
	}
	return nil
}

// appendPublic appends the text of a public file.
func appendPublic(b []byte, public Public) []byte {
	b = appendHead(b, kindPublic, identityVersion(len(public.Keys) > 1))
	b = appendNameAndTag(b, public.Name, public.InstanceTag)
	b = append(b, "  \"keys\": ["...)
	for i, fp := range public.Keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, "\n    {\n      \"otr\": %d,\n      \"fingerprint\": \"%s\"\n    }", fp.OTR(), fp.Hex())
	}
	return append(b, "\n  ]\n}\n"...)
}

// parsePublic parses the output of appendPublic.
func parsePublic(b []byte) (Public, error) {
	if err := checkHead(b, kindPublic, identityWithEd448); err != nil {
		return Public{}, err
	}
	var file struct {
		Identity string
		Instance tagText
		Keys     []struct{ Fingerprint fingerprintText }
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return Public{}, jsonError(err)
	}
	public := Public{Name: file.Identity, InstanceTag: uint32(file.Instance)}
	for _, key := range file.Keys {
		public.Keys = append(public.Keys, key.Fingerprint.Fingerprint)
	}
	for i, fp := range public.Keys {
		if i > 1 || fp.OTR() != 3+i {
			return Public{}, fmt.Errorf("%w: key %d is of version %d", ErrFormat, i+1, fp.OTR())
		}
	}
	if len(public.Keys) == 0 {
		return Public{}, fmt.Errorf("%w: no key", ErrFormat)
	}
	return public, checkNames(b, appendPublic(nil, public), public.Name)
}

// appendContacts appends the text of the contacts file.
func appendContacts(b []byte, contacts []Contact) []byte {
	b = appendHead(b, kindContacts, contactsVersion(contacts))
	b = append(b, "  \"contacts\": ["...)
	for i, contact := range contacts {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, "\n    {\n      \"contact\": "...)
		b = appendString(b, contact.Name)
		b = appendAddress(b, contact.Address)
		b = append(b, ",\n      \"keys\": ["...)
		for j, key := range contact.Keys {
			if j > 0 {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, "\n        {\n          \"otr\": %d,\n          \"fingerprint\": \"%s\",\n          \"trust\": \"%v\",\n",
				key.Fingerprint.OTR(), key.Fingerprint.Hex(), key.Trust)
			b = fmt.Appendf(b, "          \"first_seen\": \"%s\",\n          \"last_seen\": \"%s\"",
				FormatTime(key.FirstSeen), FormatTime(key.LastSeen))
			if p := key.Profile; p != (Profile{}) {
				b = fmt.Appendf(b, ",\n          \"profile\": {\n            \"versions\": \"%s\",\n            \"expires\": \"%s\"\n          }",
					p.Versions.Digits(), FormatTime(p.Expires))
			}
			if c := key.Client; c != (Client{}) {
				b = fmt.Appendf(b, ",\n          \"client\": {\n            \"otr\": %d,\n            \"instance\": %d\n          }", c.OTR, c.Instance)
			}
			if !key.Told.IsZero() {
				b = fmt.Appendf(b, ",\n          \"told\": \"%s\"", key.Told.Hex())
			}
			b = append(b, "\n        }"...)
		}
		b = append(b, "\n      ]\n    }"...)
	}
	return append(b, "\n  ]\n}\n"...)
}

// appendAddress appends a contact's address, if there is one.
func appendAddress(b []byte, a Address) []byte {
	switch {
	case a.TCP != "":
		b = append(b, ",\n      \"tcp\": "...)
		b = appendString(b, a.TCP)
	case len(a.Command) > 0:
		b = append(b, ",\n      \"command\": ["...)
		for i, word := range a.Command {
			if i > 0 {
				b = append(b, ", "...)
			}
			b = appendString(b, word)
		}
		b = append(b, ']')
	}
	return b
}

// A profileInFile is a Profile as it is encoded in a file.
type profileInFile struct {
	Versions string // a digit each, ascending
	Expires  time.Time
}

// parseContacts parses the output of appendContacts. The contacts are ordered by name and
// unique, and each has at least one key or an address.
func parseContacts(b []byte) ([]Contact, error) {
	if err := checkHead(b, kindContacts, contactsWithAddress); err != nil {
		return nil, err
	}
	var file struct {
		Contacts []struct {
			Contact string
			TCP     string   `json:"tcp"`
			Command []string `json:"command"`
			Keys    []struct {
				Fingerprint fingerprintText
				Trust       Trust
				FirstSeen   time.Time `json:"first_seen"`
				LastSeen    time.Time `json:"last_seen"`
				Profile     *profileInFile
				Client      *Client
				Told        fingerprintText
			}
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		return nil, jsonError(err)
	}
	var contacts []Contact
	var names []string
	for i, c := range file.Contacts {
		if i > 0 && c.Contact <= names[i-1] {
			return nil, fmt.Errorf("%w: contact %q is out of order", ErrFormat, c.Contact)
		}
		contact := Contact{Name: c.Contact, Address: Address{TCP: c.TCP, Command: c.Command}}
		if err := contact.Address.check(); err != nil {
			return nil, fmt.Errorf("%w: contact %q", err, c.Contact)
		}
		if len(c.Keys) == 0 && contact.Address.IsZero() {
			return nil, fmt.Errorf("%w: contact %q has no key", ErrFormat, c.Contact)
		}
		seen := make(map[keys.Fingerprint]bool, len(c.Keys))
		for _, key := range c.Keys {
			fp := key.Fingerprint.Fingerprint
			if seen[fp] {
				return nil, fmt.Errorf("%w: contact %q has a key twice", ErrFormat, c.Contact)
			}
			seen[fp] = true
			known := ContactKey{Fingerprint: fp, Trust: key.Trust, FirstSeen: key.FirstSeen, LastSeen: key.LastSeen, Told: key.Told.Fingerprint}
			if key.Profile != nil {
				versions, _ := wire.ParseVersions(key.Profile.Versions)
				known.Profile = Profile{Versions: versions, Expires: key.Profile.Expires}
			}
			if key.Client != nil {
				known.Client = *key.Client
			}
			if err := known.check(); err != nil {
				return nil, err
			}
			contact.Keys = append(contact.Keys, known)
		}
		contacts = append(contacts, contact)
		names = append(names, contact.Name)
	}
	dropTold(contacts) // does nothing to a file that we have written
	return contacts, checkNames(b, appendContacts(nil, contacts), names...)
}

// appendHead appends the beginning of a file: its kind and format version.
func appendHead(b []byte, kind string, version int) []byte {
	return fmt.Appendf(b, "{\n  \"otrpipe\": %q,\n  \"version\": %d,\n", kind, version)
}

// checkHead checks the kind and version of a file before anything else is read: a newer
// version may have changed everything except these.
func checkHead(b []byte, kind string, version int) error {
	var head struct {
		Otrpipe *string
		Version *int
	}
	err := json.Unmarshal(b, &head)
	switch {
	case err != nil && !bytes.Contains(b, []byte(`"otrpipe"`)):
		return fmt.Errorf("%w: not a file of otrpipe", ErrFormat)
	case err != nil:
		return jsonError(err)
	case head.Otrpipe == nil || head.Version == nil:
		return fmt.Errorf("%w: not a file of otrpipe", ErrFormat)
	case *head.Otrpipe != kind:
		return fmt.Errorf("%w: it says it is %q, not %q", ErrFormat, *head.Otrpipe, kind)
	case *head.Version > version:
		return fmt.Errorf("%w: version %d of its format; this one knows %d", ErrNewer, *head.Version, version)
	}
	return nil
}

// jsonError returns the error for JSON that cannot be read. It does not quote the text, unlike the
// errors of package json, because it might be part of a secret.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var other *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: it is damaged at byte %d, or ends too early", ErrFormat, syntax.Offset)
	case errors.As(err, &other):
		return fmt.Errorf("%w: the value at byte %d is of the wrong type", ErrFormat, other.Offset)
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// checkNames completes the reading of a file: its names must be valid, and it must equal,
// byte for byte, what we would write.
func checkNames(b, again []byte, names ...string) error {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
	}
	if subtle.ConstantTimeCompare(b, again) != 1 {
		return fmt.Errorf("%w: not as otrpipe writes it", ErrFormat)
	}
	return nil
}

func appendNameAndTag(b []byte, name string, tag uint32) []byte {
	b = appendString(append(b, "  \"identity\": "...), name)
	return fmt.Appendf(b, ",\n  \"instance\": \"%08x\",\n", tag)
}

// stringEscaper does all the escaping that a name needs, because CheckName rejects control
// characters.
var stringEscaper = strings.NewReplacer(`"`, `\"`, `\`, `\\`)

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	b = append(b, stringEscaper.Replace(s)...)
	return append(b, '"')
}

// FormatTime formats a time as in our files and JSON output: RFC 3339, UTC, whole seconds.
func FormatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// hexText is bytes in a JSON string of hexadecimal digits. It is decoded directly from the
// file's bytes, so that no secret becomes a Go string.
type hexText []byte

func (h *hexText) UnmarshalJSON(b []byte) error {
	b, err := inQuotes(b)
	if err != nil {
		return err
	}
	*h = make([]byte, hex.DecodedLen(len(b)))
	_, err = hex.Decode(*h, b)
	if err != nil {
		return fmt.Errorf("not hexadecimal: %w", errHex)
	}
	return nil
}

// errHex does not quote the wrong digit, unlike the errors of package hex, because it might
// be part of a secret.
var errHex = fmt.Errorf("a digit is wrong or missing")

type tagText uint32

func (t *tagText) UnmarshalJSON(b []byte) error {
	b, err := inQuotes(b)
	if err != nil {
		return err
	}
	tag, err := parseTag(string(b))
	if err != nil {
		return err
	}
	*t = tagText(tag)
	return nil
}

type fingerprintText struct{ keys.Fingerprint }

func (f *fingerprintText) UnmarshalJSON(b []byte) error {
	b, err := inQuotes(b)
	if err != nil {
		return err
	}
	f.Fingerprint, err = keys.ParseFingerprint(string(b))
	return err
}

// inQuotes returns the content of a JSON string without escapes.
func inQuotes(b []byte) ([]byte, error) {
	if len(b) < 2 || b[0] != '"' || bytes.IndexByte(b, '\\') >= 0 {
		return nil, fmt.Errorf("not a plain string")
	}
	return b[1 : len(b)-1], nil
}
