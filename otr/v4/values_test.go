package v4

import (
	"bytes"
	"strings"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// compareValues compares every value that the recorded program derived in a step: those
// that last with what the engine holds now, the others with what our functions make of
// the values before them.
func (r *replayed) compareValues() {
	refused := false
	for _, e := range r.step.Events {
		refused = refused || e["event"] == "error"
	}
	v := values{replayed: r, refused: refused}
	for _, msg := range r.messages {
		v.rememberPublic(msg)
	}
	for _, value := range r.step.Values {
		v.compare(value[0], unhex(r.t, value[1]))
	}
	v.compareRatchet()
}

// values walks through the values of one step.
type values struct {
	*replayed
	refused bool // the message was; what it derived was forgotten

	// The last value of each name.
	kECDH, kDH, brace, k, prevRoot, root, chainS, chainR, enc []byte

	phis    int
	rotated bool // root is of this step
}

// rememberPublic keeps what the messages of the key exchange say of either side.
func (v *values) rememberPublic(msg []byte) {
	h, body, err := wire.ParseHeader(msg)
	if err != nil {
		v.t.Fatal(err)
	}
	side := func(profile *Profile, ecdh, dh, firstECDH, firstDH []byte) *public {
		p := &public{tag: h.Sender, profile: profile, ecdh: ecdh, dh: dh, firstECDH: firstECDH, firstDH: firstDH}
		p.account = &v.party.Account
		if p.tag != v.party.Tag {
			p.account = &v.party.Contact
		}
		return p
	}
	switch h.Type {
	case wire.TypeIdentity:
		m, err := ParseIdentity(body)
		if err != nil {
			v.t.Fatal(err)
		}
		v.bob = side(m.Profile, m.Y, m.B, m.FirstECDH, m.FirstDH)
	case wire.TypeAuthR:
		m, err := ParseAuthR(body)
		if err != nil {
			v.t.Fatal(err)
		}
		v.alice = side(m.Profile, m.X, m.A, m.FirstECDH, m.FirstDH)
	}
}

func (v *values) compare(name string, want []byte) {
	same := func(got []byte) {
		v.t.Helper()
		if !bytes.Equal(got, want) {
			v.t.Errorf("%s is %x, want %x", name, got, want)
		}
	}
	kdf := func(size int, usage group.Usage, parts ...[]byte) []byte {
		b := make([]byte, size)
		group.KDF(b, usage, parts...)
		return b
	}
	if strings.HasPrefix(name, "skipped_") {
		v.compareSkipped(name, want)
		return
	}
	if strings.HasPrefix(name, "smp.") {
		return // package smp compares those with the same recordings
	}
	switch name {
	case "y.public":
		same(v.bob.ecdh)
	case "b.public":
		same(v.bob.dh)
	case "x.public":
		same(v.alice.ecdh)
	case "a.public":
		same(v.alice.dh)
	case "ecdh_first.public", "dh_first.public":
		ours := v.bob
		if v.alice != nil && v.alice.tag == v.party.Tag {
			ours = v.alice
		}
		same(map[string][]byte{"ecdh_first.public": ours.firstECDH, "dh_first.public": ours.firstDH}[name])
	case "phi":
		if v.authR() {
			same(phi(v.alice, v.bob))
		} else {
			same(phi(v.bob, v.alice))
		}
	case "t":
		if v.authR() {
			same(authRTranscript(v.bob, v.alice))
		} else {
			same(authITranscript(v.bob, v.alice))
		}
		v.phis++
	case "ring.T1", "ring.T2", "ring.T3":
		n := int(name[len("ring.T")] - '1')
		sigma, ring := v.ownSignature()
		c, r := scalarAt(v, sigma, 2*n), scalarAt(v, sigma, 2*n+1)
		same(ring[n].MulAddBaseVarTime(r, c).Append(nil))
	case "ring.c":
		sigma, _ := v.ownSignature()
		same(scalarAt(v, sigma, 0).Add(scalarAt(v, sigma, 2)).Add(scalarAt(v, sigma, 4)).Append(nil))
	case "sigma":
		sigma, _ := v.ownSignature()
		same(sigma)
	case "K_ecdh":
		v.kECDH = want
	case "k_dh":
		v.kDH = want
	case "brace_key":
		if v.kDH != nil {
			same(kdf(32, group.UsageThirdBraceKey, v.kDH))
		} else {
			same(kdf(32, group.UsageBraceKey, v.lastBrace))
		}
		v.brace, v.kDH = want, nil
		if !v.refused {
			v.lastBrace = want
		}
	case "K":
		same(kdf(64, group.UsageSharedSecret, v.kECDH, v.brace))
		v.k = want
	case "ssid":
		id, _ := v.engine.SSID()
		same(id[:])
		same(kdf(ssidLen, group.UsageSSID, v.k))
	case "prev_root_key":
		same(kdf(64, group.UsageFirstRootKey, v.k))
		v.lastRoot = want
	case "root_key":
		same(kdf(64, group.UsageRootKey, v.lastRoot, v.k))
		v.prevRoot, v.root, v.rotated = v.lastRoot, want, true
		if !v.refused {
			v.lastRoot = want
		}
	case "chain_key_s", "chain_key_r":
		v.compareChain(name, want, same)
	case "MKenc":
		if chain := v.chain(); chain != nil {
			same(kdf(64, group.UsageMessageKey, chain))
		}
		v.enc = want
	case "MKmac":
		same(kdf(64, group.UsageMACKey, v.enc))
		if s := v.engine.session; s != nil && v.step.Op == "receive" && v.step.Kind == "data" && v.chainS == nil && len(v.sent) == 0 {
			same(s.reveal[len(s.reveal)-macLen:])
		}
	case "extra_symm_key":
		if chain := v.chain(); chain != nil {
			same(kdf(64, group.UsageExtraSymmKey, []byte{0xff}, chain))
		}
	case "plaintext":
		if v.step.Op != "receive" || len(v.sent) == 0 { // else there are two: see replay
			same(v.plain)
		}
	case "authenticator":
		same(v.data().MAC)
	case "mac_keys_revealed":
		same(v.data().Revealed)
	case "next_chain_key_s":
		same(kdf(64, group.UsageNextChainKey, v.chainS))
		if s := v.engine.session; s != nil {
			same(s.ratchet.sendChain[:])
		}
	case "ecdh.public":
		same(v.data().ECDH)
	case "dh.public":
		same(v.data().DH)
	default:
		v.t.Errorf("a value of unknown name %s", name)
	}
}

// authR tells which of the two transcripts comes next in the step.
func (v *values) authR() bool {
	switch v.step.Kind {
	case "identity":
		return true
	case "auth-r":
		return v.phis == 0
	}
	return false
}

// compareChain is for the two kinds of chain keys: the one that a ratchet begins, and the
// one of a message.
func (v *values) compareChain(name string, want []byte, same func([]byte)) {
	if v.rotated { // the ratchet's
		b := make([]byte, 64)
		group.KDF(b, group.UsageChainKey, v.prevRoot, v.k)
		same(b)
		v.rotated = false
	}
	if name == "chain_key_s" {
		v.chainS, v.chainR = want, nil
	} else {
		v.chainR, v.chainS = want, nil
	}
}

// chain is the chain key of the message whose keys come now; nil for a stored key.
func (v *values) chain() []byte {
	if v.chainS != nil {
		return v.chainS
	}
	return v.chainR
}

func (v *values) compareSkipped(name string, want []byte) {
	if v.refused {
		return
	}
	for _, entry := range v.engine.session.skipped {
		id := "[" + string(rune('0'+entry.id)) + "]"
		if name == "skipped_MKenc"+id && bytes.Equal(entry.keys.enc[:], want) ||
			name == "skipped_extra_symm_key"+id && bytes.Equal(entry.keys.extra[:], want) {
			return
		}
	}
	v.t.Errorf("%s is not stored", name)
}

// compareRatchet compares what is left of a step with the engine's state.
func (v *values) compareRatchet() {
	s := v.engine.session
	if s == nil || v.refused {
		return
	}
	if v.root != nil && !bytes.Equal(s.ratchet.root[:], v.root) {
		v.t.Errorf("root key %x, want %x", s.ratchet.root[:], v.root)
	}
	if v.brace != nil && !bytes.Equal(s.ratchet.brace[:], v.brace) {
		v.t.Errorf("brace key %x, want %x", s.ratchet.brace[:], v.brace)
	}
	if v.chainR != nil && v.enc != nil {
		var chain key
		copy(chain[:], v.chainR)
		if next := chain.derive(group.UsageNextChainKey); next != s.ratchet.receiveChain {
			v.t.Errorf("receiving chain key %x, want %x", s.ratchet.receiveChain[:], next[:])
		}
	}
}

// data is the data message of the step; the one sent if one was.
func (v *values) data() Data {
	v.t.Helper()
	_, body, err := wire.ParseHeader(v.messages[len(v.messages)-1])
	if err != nil {
		v.t.Fatal(err)
	}
	d, err := ParseData(body)
	if err != nil {
		v.t.Fatal(err)
	}
	return d
}

// ownSignature is the signature that the step sent, and its ring.
func (v *values) ownSignature() ([]byte, Ring) {
	v.t.Helper()
	sent, err := wire.AppendDearmored(nil, v.sent[0])
	if err != nil {
		v.t.Fatal(err)
	}
	h, body, err := wire.ParseHeader(sent)
	if err != nil {
		v.t.Fatal(err)
	}
	if h.Type == wire.TypeAuthR {
		m, err := ParseAuthR(body)
		if err != nil {
			v.t.Fatal(err)
		}
		return m.Sigma, ringOf(v.t, [3]hexBytes{v.bob.profile.ForgingKey, v.alice.profile.PublicKey, v.bob.ecdh})
	}
	m, err := ParseAuthI(body)
	if err != nil {
		v.t.Fatal(err)
	}
	return m.Sigma, ringOf(v.t, [3]hexBytes{v.bob.profile.PublicKey, v.alice.profile.ForgingKey, v.alice.ecdh})
}

// scalarAt is the nth scalar of a ring signature.
func scalarAt(v *values, sigma []byte, n int) group.Scalar {
	k, err := group.ParseScalar(sigma[n*group.ScalarLen:][:group.ScalarLen])
	if err != nil {
		v.t.Fatal(err)
	}
	return k
}
