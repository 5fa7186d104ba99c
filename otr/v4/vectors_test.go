package v4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

func keyOf(b []byte) (k key) {
	copy(k[:], b)
	return k
}

func TestChaCha20Vectors(t *testing.T) {
	var v struct {
		ChaCha20 []struct{ Key, Input, Output hexBytes }
	}
	readVectors(t, "primitives.json", &v)
	for _, c := range v.ChaCha20 {
		enc := keyOf(append(bytes.Clone(c.Key), bytes.Repeat([]byte{0xaa}, 32)...)) // the second half is not used
		got := bytes.Clone(c.Input)
		crypt(&enc, got)
		if !bytes.Equal(got, c.Output) {
			t.Errorf("%d bytes: %x, want %x", len(c.Input), got, []byte(c.Output))
		}
	}
	if len(v.ChaCha20) == 0 {
		t.Error("no vectors")
	}
}

func TestRatchetVectors(t *testing.T) {
	var v struct {
		Ratchet struct {
			KECDH        hexBytes `json:"K_ecdh"`
			Brace        hexBytes `json:"brace_key"`
			K            hexBytes
			NextBrace    hexBytes `json:"next_brace_key"`
			SSID         hexBytes `json:"ssid_of_mixed"`
			FirstRoot    hexBytes `json:"first_root_key_of_mixed"`
			PrevRoot     hexBytes `json:"prev_root_key"`
			Mixed        hexBytes
			Root         hexBytes `json:"root_key"`
			ChainKey     hexBytes `json:"chain_key"`
			Chain        hexBytes
			NextChain    hexBytes `json:"next_chain_key"`
			MKenc, MKmac hexBytes
			Extra        hexBytes `json:"extra_symm_key"`
			Context      hexBytes `json:"extra_context"`
			Derived      hexBytes `json:"extra_derived_key"`
			Context2     hexBytes `json:"second_extra_context"`
			Derived2     hexBytes `json:"second_extra_derived_key"`
			Plaintext    hexBytes
			Ciphertext   hexBytes
			MAC          hexBytes `json:"authenticator_of_plaintext"`
		}
	}
	readVectors(t, "primitives.json", &v)
	w := v.Ratchet
	var brace braceKey
	copy(brace[:], w.Brace)
	mixed, root, chain, enc := keyOf(w.Mixed), keyOf(w.PrevRoot), keyOf(w.Chain), keyOf(w.MKenc)

	kdf := func(size int, usage group.Usage, parts ...[]byte) []byte {
		b := make([]byte, size)
		group.KDF(b, usage, parts...)
		return b
	}
	next := brace.next()
	firstRoot := mixed.derive(group.UsageFirstRootKey)
	newRoot, newChain := ratchetKeys(&root, &mixed)
	step := chain
	message := nextKeys(&step)
	mac := enc.derive(group.UsageMACKey)
	encrypted := bytes.Clone(w.Plaintext)
	crypt(&enc, encrypted)
	extra := appendExtraKeys(nil, &message.extra, []wire.TLV{
		{Type: 1},
		{Type: TLVExtraKey, Value: append(bytes.Clone(w.Context), "more"...)},
		{Type: TLVExtraKey - 1, Value: []byte("abc")}, // of another type: no key, but it counts
		{Type: TLVExtraKey, Value: w.Context2},
	})
	for name, c := range map[string][2][]byte{
		"K":              {kdf(64, group.UsageSharedSecret, w.KECDH, w.Brace), w.K},
		"next brace key": {next[:], w.NextBrace},
		"SSID":           {kdf(8, group.UsageSSID, w.Mixed), w.SSID},
		"first root key": {firstRoot[:], w.FirstRoot},
		"root key":       {newRoot[:], w.Root},
		"chain key":      {newChain[:], w.ChainKey},
		"next chain key": {step[:], w.NextChain},
		"MKenc":          {message.enc[:], w.MKenc},
		"MKmac":          {mac[:], w.MKmac},
		"extra":          {message.extra[:], w.Extra},
		"ciphertext":     {encrypted, w.Ciphertext},
		"authenticator":  {authenticatorOf(&mac, w.Plaintext), w.MAC},
		"extra key 1":    {extra[0].Key[:], w.Derived},
		"extra key 2":    {extra[1].Key[:], w.Derived2},
	} {
		if !bytes.Equal(c[0], c[1]) {
			t.Errorf("%s: %x, want %x", name, c[0], c[1])
		}
	}
	if len(extra) != 2 || extra[0].TLV != 1 || extra[1].TLV != 3 {
		t.Errorf("%d extra keys", len(extra))
	}
}

func TestPhiVectors(t *testing.T) {
	var v struct {
		Phi []struct {
			Comment          string
			Account, Contact *string
			OurTag           uint32   `json:"our_tag"`
			TheirTag         uint32   `json:"their_tag"`
			OurECDH          hexBytes `json:"our_ecdh_first"`
			TheirECDH        hexBytes `json:"their_ecdh_first"`
			OurDH            hexBytes `json:"our_dh_first"`
			TheirDH          hexBytes `json:"their_dh_first"`
			WeSign           hexBytes `json:"phi_when_we_sign"`
			HashWeSign       hexBytes `json:"auth_r_phi_when_we_sign"`
			TheySign         hexBytes `json:"phi_when_they_sign"`
			HashTheySign     hexBytes `json:"auth_i_phi_when_they_sign"`
		}
	}
	readVectors(t, "primitives.json", &v)
	if len(v.Phi) == 0 {
		t.Error("no vectors")
	}
	for _, c := range v.Phi {
		us := &public{tag: c.OurTag, firstECDH: c.OurECDH, firstDH: c.OurDH, account: c.Account}
		them := &public{tag: c.TheirTag, firstECDH: c.TheirECDH, firstDH: c.TheirDH}
		if c.Account != nil {
			them.account = c.Contact
		}
		if got := phi(us, them); !bytes.Equal(got, c.WeSign) {
			t.Errorf("%s: phi %x, want %x", c.Comment, got, []byte(c.WeSign))
		}
		if got := phi(them, us); !bytes.Equal(got, c.TheySign) {
			t.Errorf("%s: their phi %x, want %x", c.Comment, got, []byte(c.TheySign))
		}
		if got := hashPhi(group.UsageAuthRPhi, us, them); !bytes.Equal(got, c.HashWeSign) {
			t.Errorf("%s: hash %x, want %x", c.Comment, got, []byte(c.HashWeSign))
		}
		if got := hashPhi(group.UsageAuthIPhi, them, us); !bytes.Equal(got, c.HashTheySign) {
			t.Errorf("%s: their hash %x, want %x", c.Comment, got, []byte(c.HashTheySign))
		}
	}
}

func TestTheHashThatDecidesBetweenCrossingIdentities(t *testing.T) {
	var v struct {
		Collision []struct{ B, Hash hexBytes } `json:"identity_collision"`
	}
	readVectors(t, "primitives.json", &v)
	if len(v.Collision) == 0 {
		t.Error("no vectors")
	}
	for _, c := range v.Collision {
		if got := hashedDH(c.B); got != string(c.Hash) {
			t.Errorf("%x, want %x", got, []byte(c.Hash))
		}
	}
}

type profileVectors struct {
	Profiles []struct {
		Comment   string
		Bytes     hexBytes
		SenderTag uint32 `json:"sender_tag"`
		Now       int64
		Valid     any
		Why       string
		Parsed    *struct {
			Tag         uint32
			H, F        hexBytes
			Versions    string
			Expires     int64
			DSA         bool
			Signed      hexBytes
			Signature   hexBytes
			Fingerprint string
		}
		Identity hexBytes `json:"identity_symmetric"`
		Forging  hexBytes `json:"forging_symmetric"`
		DSA      *struct {
			P, Q, G, X, Y hexBytes
			Message       hexBytes
			Signature     hexBytes
		}
	}
}

func loadProfiles(t testing.TB) (v profileVectors) {
	t.Helper()
	readVectors(t, "primitives.json", &v)
	return v
}

// readProfile parses and validates a profile that is alone in its message.
func readProfile(b []byte, sender uint32, now int64) (*Profile, *PeerKey, error) {
	r := wire.NewReader(b)
	p, err := ReadProfile(&r)
	if err != nil {
		return nil, nil, err
	}
	if err := r.End(); err != nil {
		return nil, nil, err
	}
	k, err := p.Validate(sender, time.Unix(now, 0))
	return p, k, err
}

func TestProfileVectors(t *testing.T) {
	undecided := 0
	for _, v := range loadProfiles(t).Profiles {
		p, k, err := readProfile(v.Bytes, v.SenderTag, v.Now)
		if valid, decided := v.Valid.(bool); !decided {
			undecided++
			if v.Why != "" && err == nil { // like the peer, we take an expiry of now for expired
				t.Errorf("%s: accepted", v.Comment)
			}
		} else if valid != (err == nil) {
			t.Errorf("%s: %v, want valid %v", v.Comment, err, valid)
		}
		if err != nil || v.Parsed == nil {
			continue
		}
		if !bytes.Equal(p.Append(nil), v.Bytes) {
			t.Errorf("%s: came back as %x", v.Comment, p.Append(nil))
		}
		w := v.Parsed
		if p.InstanceTag != w.Tag || string(p.Versions) != w.Versions || p.Expires != w.Expires || (p.DSA != nil) != w.DSA {
			t.Errorf("%s: %+v", v.Comment, p)
		}
		for name, c := range map[string][2][]byte{
			"H": {p.PublicKey, w.H}, "F": {p.ForgingKey, w.F},
			"signed part": {p.signed(), w.Signed}, "signature": {p.Signature, w.Signature},
		} {
			if !bytes.Equal(c[0], c[1]) {
				t.Errorf("%s: %s %x, want %x", v.Comment, name, c[0], c[1])
			}
		}
		if k.Fingerprint().Hex() != w.Fingerprint {
			t.Errorf("%s: fingerprint %s, want %s", v.Comment, k.Fingerprint().Hex(), w.Fingerprint)
		}
		if (k.DSA != nil) != w.DSA {
			t.Errorf("%s: DSA key trusted: %v", v.Comment, k.DSA != nil)
		}
	}
	if undecided != 2 {
		t.Errorf("%d undecided vectors, want 2", undecided)
	}
}

func TestMakingTheProfilesOfTheVectors(t *testing.T) {
	made := 0
	for _, v := range loadProfiles(t).Profiles {
		if v.Identity == nil {
			continue
		}
		identity, err := keys.NewEd448PrivateKey(v.Identity)
		if err != nil {
			t.Fatal(err)
		}
		forging, err := keys.NewEd448PrivateKey(v.Forging)
		if err != nil {
			t.Fatal(err)
		}
		expires := time.Unix(v.Parsed.Expires, 0)
		if v.DSA == nil {
			made++
			p, err := newProfile(v.Parsed.Tag, identity, forging.ForgingKey(), nil, expires, nil)
			if err != nil || !bytes.Equal(p.Append(nil), v.Bytes) {
				t.Errorf("%s: made %x (%v), want %x", v.Comment, p.Append(nil), err, []byte(v.Bytes))
			}
			continue
		}
		// DSA signatures are random: compare what is signed, and let ours verify.
		dsa, err := keys.NewDSAPrivateKey(v.DSA.P, v.DSA.Q, v.DSA.G, v.DSA.Y, v.DSA.X)
		if err != nil {
			t.Fatal(err)
		}
		made++
		p, err := newProfile(v.Parsed.Tag, identity, forging.ForgingKey(), dsa, expires, steady(1))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.transitionalMessage(dsa.Public()); !bytes.Equal(got, v.DSA.Message) {
			t.Errorf("%s: the DSA key signs %x, want %x", v.Comment, got, []byte(v.DSA.Message))
		}
		if err := dsa.Public().Verify(v.DSA.Message, v.DSA.Signature); err != nil {
			t.Errorf("%s: the recorded signature: %v", v.Comment, err)
		}
		if _, k, err := readProfile(p.Append(nil), v.Parsed.Tag, v.Now); err != nil || k.DSA == nil {
			t.Errorf("%s: our own profile: %v", v.Comment, err)
		}
	}
	if made != 2 {
		t.Errorf("%d profiles made, want 2", made)
	}
}

func TestATransitionalSignatureIsGoodForAKeyThatTheProfileDoesNotName(t *testing.T) {
	for _, v := range loadProfiles(t).Profiles {
		if v.DSA == nil {
			continue
		}
		dsa, err := keys.NewDSAPrivateKey(v.DSA.P, v.DSA.Q, v.DSA.G, v.DSA.Y, v.DSA.X)
		if err != nil {
			t.Fatal(err)
		}
		identity, err := keys.NewEd448PrivateKey(v.Identity)
		if err != nil {
			t.Fatal(err)
		}
		named, _, err := readProfile(v.Bytes, v.SenderTag, v.Now)
		if err != nil {
			t.Fatal(err)
		}
		var fields []byte
		for _, field := range []int{1, 2, 3, 4, 5, 7} {
			fields = append(fields, named.fields[field]...)
		}
		signature, err := identity.Sign(fields)
		if err != nil {
			t.Fatal(err)
		}
		b := append(append(wire.AppendInt(nil, 6), fields...), signature...)
		p, k, err := readProfile(b, v.SenderTag, v.Now)
		if err != nil || k.DSA != nil {
			t.Fatalf("%v, DSA key %v", err, k)
		}
		if err := p.VerifyTransitional(dsa.Public()); err != nil {
			t.Error(err)
		}
		named.Transitional = nil
		if err := named.VerifyTransitional(dsa.Public()); !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), "is missing") {
			t.Errorf("without a signature: %v", err)
		}
		return
	}
	t.Error("no such vector")
}

func TestAProfileIsCheckedInTheOrderOfTheSpecification(t *testing.T) {
	// Each profile has the faults of all the later ones: what is found is the first.
	const tag, now = 0x1234, 1700000000
	identity, forging := newIdentity(t, 1), newIdentity(t, 2)
	fields := func(tag uint32, expires int64, versions string, h, f []byte) []byte {
		b := wire.AppendInt(wire.AppendShort(nil, 1), tag)
		b = append(append(b, 0, 2, 0x10, 0), h...)
		b = append(append(b, 0, 3, 0x12, 0), f...)
		b = wire.AppendData(append(b, 0, 4), []byte(versions))
		b = append(b, 0, 5)
		return append(b, unhex(t, hex.EncodeToString([]byte{0, 0, 0, 0, byte(expires >> 24), byte(expires >> 16), byte(expires >> 8), byte(expires)}))...)
	}
	h, f := identity.Public().Append(nil)[2:], forging.Public().Append(nil)[2:]
	small := make([]byte, group.PointLen) // of order 4
	for _, c := range []struct {
		name   string
		fields []byte
		want   string
	}{
		{"other instance", fields(tag+1, now, "3", h, small), "it belongs to another instance"},
		{"expired", fields(tag, now, "3", h, small), "expired on"},
		{"not version 4", fields(tag, now+1, "3", h, small), "version 4 is not among its versions"},
		{"version 2", fields(tag, now+1, "42", h, small), "versions 1 and 2 cannot be in one"},
		{"forging key", fields(tag, now+1, "4", h, small), "forging key"},
		{"nothing", fields(tag, now+1, "4", h, f), ""},
		// The key of version 3 must be there, but no check of a received profile asks for it.
		{"version 3 without its key", fields(tag, now+1, "43", h, f), ""},
	} {
		signature, err := identity.Sign(c.fields)
		if err != nil {
			t.Fatal(err)
		}
		b := append(append(wire.AppendInt(nil, 5), c.fields...), signature...)
		_, _, err = readProfile(b, tag, now)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		} else if !errors.Is(err, ErrProfile) || !bytes.Contains([]byte(err.Error()), []byte(c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		b[len(b)-1] ^= 0x80
		if _, _, err := readProfile(b, tag, now); !errors.Is(err, keys.ErrSignature) {
			t.Errorf("%s with a bad signature: %v", c.name, err)
		}
	}
}

func TestAProfileWithoutARequiredFieldIsRefused(t *testing.T) {
	identity := newIdentity(t, 1)
	forging, err := keys.GenerateForgingKey(steady(2))
	if err != nil {
		t.Fatal(err)
	}
	whole, err := newProfile(0x1234, identity, forging, nil, time.Unix(1700000000, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	for missing := fieldInstanceTag; missing <= fieldExpiration; missing++ {
		var fields []byte
		for field := fieldInstanceTag; field <= fieldExpiration; field++ {
			if field != missing {
				fields = append(fields, whole.fields[field]...)
			}
		}
		signature, err := identity.Sign(fields)
		if err != nil {
			t.Fatal(err)
		}
		r := wire.NewReader(append(append(wire.AppendInt(nil, fieldExpiration-1), fields...), signature...))
		want := fmt.Sprintf("field %d is missing", missing)
		if _, err := ReadProfile(&r); !errors.Is(err, ErrProfile) || !strings.Contains(err.Error(), want) {
			t.Errorf("without field %d: %v", missing, err)
		}
	}
}

func TestAProfileSignedByAKeyOfSmallOrderIsRefused(t *testing.T) {
	// With H the identity, R = S·G satisfies the equation for whatever message.
	const tag, now = 0x1234, 1700000000
	identityPoint := append([]byte{1}, make([]byte, group.PointLen-1)...)
	forging := newIdentity(t, 2).Public().Append(nil)[2:]
	b := wire.AppendInt(wire.AppendShort(wire.AppendInt(nil, 5), 1), tag)
	b = append(append(b, 0, 2, 0x10, 0), identityPoint...)
	b = append(append(b, 0, 3, 0x12, 0), forging...)
	b = append(wire.AppendData(append(b, 0, 4), []byte("4")), 0, 5, 0, 0, 0, 1, 0, 0, 0, 0)
	one := group.ReduceScalar([]byte{1})
	b = one.Append(group.Generator().Append(b))
	r := wire.NewReader(b)
	p, err := ReadProfile(&r)
	if err != nil {
		t.Fatal(err)
	}
	if err := keys.VerifyEdDSA(p.PublicKey, p.signed(), p.Signature); err != nil {
		t.Fatalf("the forgery is not what the test is about: %v", err)
	}
	if _, err := p.Validate(tag, time.Unix(now, 0)); !errors.Is(err, keys.ErrEd448Key) {
		t.Errorf("%v", err)
	}
}

func TestOurProfileIsRenewedADayBeforeItsEnd(t *testing.T) {
	now := time.Unix(1700000000, 0)
	c := newTestClient(t, 1)
	c.Now = func() time.Time { return now }
	profile := func() *Profile {
		t.Helper()
		p, err := c.Profile()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	midnight := func(p *Profile) time.Duration {
		t.Helper()
		if p.Expires%(24*3600) != 0 {
			t.Errorf("it expires at %v, which is no midnight", time.Unix(p.Expires, 0).UTC())
		}
		return time.Unix(p.Expires, 0).Sub(now)
	}
	first := profile()
	if lives := midnight(first); lives > ProfileLifetime || lives <= ProfileLifetime-24*time.Hour {
		t.Errorf("it lives %v", lives)
	}
	now = time.Unix(first.Expires, 0).Add(-profileRenewal - time.Second)
	if profile() != first {
		t.Error("renewed too early")
	}
	now = now.Add(time.Second)
	second := profile()
	if second == first || midnight(second) < profileRenewal {
		t.Errorf("it expires at %d", second.Expires)
	}
	if _, err := second.Validate(c.InstanceTag, now); err != nil {
		t.Error(err)
	}
}

func TestAKeptProfileIsUsedWhileItIsOurs(t *testing.T) {
	slowtest.SkipShort(t)
	now := time.Unix(1700000000, 0)
	client := func(seed byte, change func(*Config)) *Client {
		config := newTestClient(t, seed).Config
		config.Now = func() time.Time { return now }
		if change != nil {
			change(&config)
		}
		return NewClient(config)
	}
	profile := func(c *Client) []byte {
		t.Helper()
		p, err := c.Profile()
		if err != nil {
			t.Fatal(err)
		}
		return p.Append(nil)
	}
	dsa, err := keys.GenerateDSA(steady(9))
	if err != nil {
		t.Fatal(err)
	}
	with3 := func(c *Config) { c.DSA = dsa }
	kept, kept3 := profile(client(1, nil)), profile(client(1, with3))
	using := func(kept []byte, change func(*Config)) func(*Config) {
		return func(c *Config) {
			c.KeptProfile = kept
			if change != nil {
				change(c)
			}
		}
	}
	now = now.Add(3 * 24 * time.Hour)
	if got := profile(client(1, using(kept, nil))); !bytes.Equal(got, kept) {
		t.Error("a kept profile of version 4 was made anew")
	}
	// A DSA signature is another one each time, so that this is no accident.
	if got := profile(client(1, using(kept3, with3))); !bytes.Equal(got, kept3) {
		t.Error("a kept profile of versions 3 and 4 was made anew")
	}
	damaged := bytes.Clone(kept)
	damaged[len(damaged)-1] ^= 1
	for name, c := range map[string]*Client{
		"another's":                 client(2, using(kept, nil)),
		"of another instance":       client(1, using(kept, func(c *Config) { c.InstanceTag++ })),
		"of fewer versions":         client(1, using(kept, with3)),
		"of more versions":          client(1, using(kept3, nil)),
		"damaged":                   client(1, using(damaged, nil)),
		"cut":                       client(1, using(kept[:len(kept)-1], nil)),
		"longer":                    client(1, using(append(bytes.Clone(kept), 0), nil)),
		"about to expire":           client(1, using(kept, func(c *Config) { c.Now = func() time.Time { return now.Add(4 * 24 * time.Hour) } })),
		"of a clock far in advance": client(1, using(kept, func(c *Config) { c.Now = func() time.Time { return now.Add(-30 * 24 * time.Hour) } })),
		"none":                      client(1, nil),
	} {
		got := profile(c)
		if bytes.Equal(got, c.KeptProfile) {
			t.Errorf("%s: used", name)
		}
		r := wire.NewReader(got)
		p, err := ReadProfile(&r)
		if err == nil {
			_, err = p.Validate(c.InstanceTag, c.Now())
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSecretsPrintAsPlaceholders(t *testing.T) {
	c := newTestClient(t, 1)
	o, err := c.NewOffer()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{key{1}, braceKey{1}, o, *o, o.ours, *o.ours, o.ours.ecdh, o.ours.dh, ratchet{}, ExtraKey{}, c.NewEngine(0x100)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
			if got := sprint(verb, v); got[:3] != "v4." || got[len(got)-len("(…)"):] != "(…)" {
				t.Errorf("%T with %s prints %q", v, verb, got)
			}
		}
	}
}
