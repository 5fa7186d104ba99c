package v3

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"slices"
	"testing"

	"otrpipe/otr/wire"
)

// A scene is alice in some authentication state, and the messages so far.
type scene struct {
	alice, bob *Engine
	commit     []byte // alice's own D-H Commit, if she has sent one
	dhKey      []byte // the D-H Key that alice has sent, or received
	next       []byte // bob's next message in this exchange
}

// setting is a way to reach an authentication state.
type setting struct {
	name  string
	state AuthState
	enter func(t testing.TB, s *scene)
}

var settings = []setting{
	{"AUTHSTATE_NONE", AuthNone, func(testing.TB, *scene) {}},
	{"AUTHSTATE_AWAITING_DHKEY", AuthAwaitingDHKey, func(t testing.TB, s *scene) {
		s.commit = begin(t, s.alice)
		s.next = must(t, s.bob, s.commit)
	}},
	{"AUTHSTATE_AWAITING_REVEALSIG", AuthAwaitingRevealSig, func(t testing.TB, s *scene) {
		s.dhKey = must(t, s.alice, begin(t, s.bob))
		s.next = must(t, s.bob, s.dhKey)
	}},
	{"AUTHSTATE_AWAITING_REVEALSIG after yielding", AuthAwaitingRevealSig, func(t testing.TB, s *scene) {
		s.commit = begin(t, s.alice)
		theirs := begin(t, s.bob)
		for bytes.Compare(hashOf(t, theirs), hashOf(t, s.commit)) < 0 {
			theirs = begin(t, s.bob)
		}
		s.dhKey = must(t, s.alice, theirs)
		s.next = must(t, s.bob, s.dhKey)
	}},
	{"AUTHSTATE_AWAITING_SIG", AuthAwaitingSig, func(t testing.TB, s *scene) {
		s.commit = begin(t, s.alice)
		s.dhKey = must(t, s.bob, s.commit)
		s.next = must(t, s.bob, must(t, s.alice, s.dhKey))
	}},
}

func newScene(t testing.TB, in setting) *scene {
	t.Helper()
	s := &scene{alice: newTestEngine(Version3, 0), bob: newTestEngine(Version3, 1)}
	in.enter(t, s)
	if got := s.alice.AuthState(); got != in.state {
		t.Fatalf("%v instead of %v", got, in.state)
	}
	return s
}

func hashOf(t testing.TB, commit []byte) []byte {
	t.Helper()
	_, body, err := wire.ParseHeader(commit)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseDHCommit(body)
	if err != nil {
		t.Fatal(err)
	}
	return m.HashedGX
}

// fromBob frames the body of a message to alice.
func fromBob(mt wire.MessageType, body appender) []byte {
	return body.Append(wire.Header{Version: Version3, Type: mt, Sender: bobTag, Receiver: aliceTag}.Append(nil))
}

// commitWithHash is a D-H Commit whose hash is 32 times this byte.
func commitWithHash(fill byte) []byte {
	return fromBob(wire.TypeDHCommit, DHCommit{EncryptedGX: make([]byte, 196), HashedGX: bytes.Repeat([]byte{fill}, 32)})
}

// freshDHKey returns a D-H Key that has not been used before.
func freshDHKey(t testing.TB) []byte {
	k, err := newDHKey(testRand(77))
	if err != nil {
		t.Fatal(err)
	}
	return fromBob(wire.TypeDHKey, DHKey{GY: k.public})
}

// elsewhere returns the message of this type from a key exchange without alice.
func elsewhere(t testing.TB, mt wire.MessageType) []byte {
	a, b := newTestEngine(Version3, 0), newTestEngine(Version3, 1)
	a.rand, b.rand = testRand(90), testRand(91)
	if mt == wire.TypeRevealSignature {
		return must(t, b, must(t, a, begin(t, b)))
	}
	return must(t, b, must(t, a, must(t, b, begin(t, a))))
}

// TestAuthenticationStateMachine is the specification's "State transitions" for
// the messages of a key exchange: every message in every state.
func TestAuthenticationStateMachine(t *testing.T) {
	const none = wire.MessageType(0)
	type outcome struct {
		reply wire.MessageType
		next  AuthState
		err   error
	}
	ignoredIn := func(s AuthState) outcome { return outcome{none, s, ErrIgnored} }
	refusedIn := func(s AuthState) outcome { return outcome{none, s, ErrAuthentication} }
	commit := outcome{wire.TypeDHKey, AuthAwaitingRevealSig, nil}
	messages := []struct {
		name string
		make func(t testing.TB, s *scene) []byte // nil: there is none in this state
		want [5]outcome                          // in the order of settings
	}{
		{"D-H Commit with a lower hash", func(testing.TB, *scene) []byte { return commitWithHash(0) },
			[5]outcome{commit, {none, AuthAwaitingDHKey, ErrBeaten}, commit, commit, commit}},
		{"D-H Commit with a higher hash", func(testing.TB, *scene) []byte { return commitWithHash(0xff) },
			[5]outcome{commit, commit, commit, commit, commit}},
		{"our own D-H Commit", func(t testing.TB, s *scene) []byte { return s.commit },
			[5]outcome{{}, {none, AuthAwaitingDHKey, ErrEcho}, {}, {none, AuthAwaitingRevealSig, ErrEcho}, {none, AuthAwaitingSig, ErrEcho}}},
		{"D-H Key", func(t testing.TB, s *scene) []byte { return freshDHKey(t) },
			[5]outcome{
				ignoredIn(AuthNone), {wire.TypeRevealSignature, AuthAwaitingSig, nil}, ignoredIn(AuthAwaitingRevealSig),
				{wire.TypeRevealSignature, AuthAwaitingSig, nil}, ignoredIn(AuthAwaitingSig)}},
		{"the D-H Key of this exchange", func(t testing.TB, s *scene) []byte { return s.dhKey },
			[5]outcome{{}, {}, {none, AuthAwaitingRevealSig, ErrEcho}, {none, AuthAwaitingRevealSig, ErrEcho},
				{wire.TypeRevealSignature, AuthAwaitingSig, nil}}},
		{"the peer's next message", func(t testing.TB, s *scene) []byte { return s.next },
			[5]outcome{{}, {wire.TypeRevealSignature, AuthAwaitingSig, nil}, {wire.TypeSignature, AuthNone, nil},
				{wire.TypeSignature, AuthNone, nil}, {none, AuthNone, nil}}},
		{"Reveal Signature of another exchange", func(t testing.TB, s *scene) []byte { return elsewhere(t, wire.TypeRevealSignature) },
			[5]outcome{ignoredIn(AuthNone), ignoredIn(AuthAwaitingDHKey), refusedIn(AuthAwaitingRevealSig), refusedIn(AuthAwaitingRevealSig), ignoredIn(AuthAwaitingSig)}},
		{"Signature of another exchange", func(t testing.TB, s *scene) []byte { return elsewhere(t, wire.TypeSignature) },
			[5]outcome{ignoredIn(AuthNone), ignoredIn(AuthAwaitingDHKey), ignoredIn(AuthAwaitingRevealSig), ignoredIn(AuthAwaitingRevealSig), refusedIn(AuthAwaitingSig)}},
	}
	for i, in := range settings {
		for _, m := range messages {
			want := m.want[i]
			if want == (outcome{}) {
				continue
			}
			t.Run(in.name+"/"+m.name, func(t *testing.T) {
				s := newScene(t, in)
				msg := m.make(t, s)
				if msg == nil {
					t.Fatal("there is no such message")
				}
				before := s.alice.exchange
				reply, _, err := hand(t, s.alice, msg)
				if typeOf(t, reply) != want.reply || s.alice.AuthState() != want.next || !errors.Is(err, want.err) {
					t.Fatalf("reply %v, %v, %v", typeOf(t, reply), s.alice.AuthState(), err)
				}
				if err != nil {
					wantUndisturbed(t, s, before)
				}
			})
		}
	}
}

// wantUndisturbed fails unless the exchange is unchanged and can be completed.
func wantUndisturbed(t *testing.T, s *scene, before exchange) {
	t.Helper()
	before.beaten = s.alice.exchange.beaten // a lost commitment is remembered
	if !reflect.DeepEqual(s.alice.exchange, before) || s.alice.Encrypted() {
		t.Fatal("a message without consequences has changed something")
	}
	if s.next == nil {
		return
	}
	from, to := s.bob, s.alice
	for msg := s.next; msg != nil; from, to = to, from {
		msg = must(t, to, msg)
	}
	a, _ := from.SSID()
	b, _ := to.SSID()
	if a != b || !from.Encrypted() || !to.Encrypted() {
		t.Fatal("the exchange does not end in a session")
	}
}

func TestDHKeyIsRetransmittedForAnotherCommit(t *testing.T) {
	s := newScene(t, settings[2])
	again := must(t, s.alice, begin(t, s.bob))
	if !bytes.Equal(again, s.dhKey) {
		t.Fatal("another D-H Key")
	}
	must(t, s.bob, must(t, s.alice, must(t, s.bob, again)))
	if !s.bob.Encrypted() || !s.alice.Encrypted() {
		t.Fatal("the newer commitment was not used")
	}
}

func TestRevealSignatureIsRetransmittedForTheSameDHKey(t *testing.T) {
	alice, bob := newTestEngine(Version3, 0), newTestEngine(Version3, 1)
	key := must(t, bob, begin(t, alice))
	if first, again := must(t, alice, key), must(t, alice, key); !bytes.Equal(first, again) {
		t.Fatal("another Reveal Signature")
	}
}

func TestCommitInAwaitingSigGetsANewDHKey(t *testing.T) {
	s := newScene(t, settings[4])
	first := must(t, s.alice, commitWithHash(1))
	if s.alice.exchange.offer != nil || s.alice.exchange.keys != nil {
		t.Fatal("the exchange that was given up is still there")
	}
	if again := must(t, s.alice, commitWithHash(2)); !bytes.Equal(first, again) {
		t.Fatal("a second new D-H Key")
	}
}

func TestBothYieldAndBothAnswer(t *testing.T) {
	s := newScene(t, settings[3]) // alice has yielded to bob
	yielded := newTestEngine(Version3, 1)
	reveal := must(t, s.alice, must(t, yielded, s.commit))
	must(t, s.alice, must(t, yielded, reveal))
	if !s.alice.Encrypted() || !yielded.Encrypted() {
		t.Fatal("no session")
	}
}

// outOfRange lists invalid public values of D-H keys.
func outOfRange() map[string][]byte {
	p, _ := new(big.Int).SetString(
		"FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"+
			"EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
			"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F"+
			"83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF", 16)
	one := big.NewInt(1)
	return map[string][]byte{
		"0":   {},
		"1":   {1},
		"p-1": new(big.Int).Sub(p, one).Bytes(),
		"p":   p.Bytes(),
		"p+1": new(big.Int).Add(p, one).Bytes(),
	}
}

func TestDHKeyOutOfRangeChangesNothing(t *testing.T) {
	for name, gy := range outOfRange() {
		t.Run("g^y = "+name, func(t *testing.T) {
			s := newScene(t, settings[1])
			before := s.alice.exchange
			wantRefused(t, s.alice, fromBob(wire.TypeDHKey, DHKey{GY: gy}), ErrAuthentication)
			wantUndisturbed(t, s, before)
			if s.alice.exchange.offer != nil && s.alice.exchange.offer.revealed {
				t.Fatal("the offer was revealed")
			}
		})
	}
}

func TestCommittedValueOutOfRangeChangesNothing(t *testing.T) {
	for name, gx := range outOfRange() {
		t.Run("g^x = "+name, func(t *testing.T) {
			alice := newTestEngine(Version3, 0)
			var r [16]byte
			sealed := wire.AppendMPI(nil, gx)
			hashed := sha256.Sum256(sealed)
			aesCTR(r[:], sealed)
			if len(sealed) < 5 { // 0 is too short to be committed to at all
				_, err := ParseDHCommit(DHCommit{EncryptedGX: sealed, HashedGX: hashed[:]}.Append(nil))
				if !errors.Is(err, ErrMalformed) {
					t.Fatal(err)
				}
				return
			}
			must(t, alice, fromBob(wire.TypeDHCommit, DHCommit{EncryptedGX: sealed, HashedGX: hashed[:]}))
			before := alice.exchange
			reveal := RevealSignature{RevealedKey: r[:], Signature: Signature{Encrypted: make([]byte, 500), MAC: make([]byte, 20)}}
			wantRefused(t, alice, fromBob(wire.TypeRevealSignature, reveal), ErrAuthentication)
			if !reflect.DeepEqual(alice.exchange, before) {
				t.Fatal("something has changed")
			}
		})
	}
}

// TestSpoiltSignaturesChangeNothing changes each field of the authenticating messages. The
// MAC stays valid unless it is the changed field.
func TestSpoiltSignaturesChangeNothing(t *testing.T) {
	type spoil func(k *sigKeys, m *Signature)
	reMAC := func(change func(x []byte) []byte) spoil {
		return func(k *sigKeys, m *Signature) {
			x := bytes.Clone(m.Encrypted)
			aesCTR(k.c[:], x)
			x = change(x)
			aesCTR(k.c[:], x)
			m.Encrypted, m.MAC = x, k.sum(x)
		}
	}
	flip := func(fromEnd int) spoil {
		return reMAC(func(x []byte) []byte { x[len(x)-fromEnd] ^= 1; return x })
	}
	spoils := map[string]spoil{
		"the MAC":                    func(_ *sigKeys, m *Signature) { m.MAC = bytes.Clone(m.MAC); m.MAC[19] ^= 1 },
		"the MAC's first bit":        func(_ *sigKeys, m *Signature) { m.MAC = bytes.Clone(m.MAC); m.MAC[0] ^= 0x80 },
		"what the MAC covers":        func(_ *sigKeys, m *Signature) { m.Encrypted = bytes.Clone(m.Encrypted); m.Encrypted[0] ^= 1 },
		"the signature's s":          flip(1),
		"the signature's r":          flip(40),
		"the key id":                 flip(41),
		"the public key":             flip(50),
		"the key's type":             reMAC(func(x []byte) []byte { x[1] ^= 1; return x }),
		"a byte behind":              reMAC(func(x []byte) []byte { return append(x, 0) }),
		"a byte missing":             reMAC(func(x []byte) []byte { return x[:len(x)-1] }),
		"nothing there":              reMAC(func(x []byte) []byte { return nil }),
		"a signature of zeros":       reMAC(func(x []byte) []byte { clear(x[len(x)-40:]); return x }),
		"somebody else's public key": reMAC(func(x []byte) []byte { return append(testKeys()[0].Public().Append(nil), x[len(x)-44:]...) }),
		"key id 0":                   reMAC(func(x []byte) []byte { clear(x[len(x)-44 : len(x)-40]); return x }),
	}
	for name, spoil := range spoils {
		t.Run("Reveal Signature/"+name, func(t *testing.T) {
			s := newScene(t, settings[2])
			_, body, _ := wire.ParseHeader(s.next)
			m, err := ParseRevealSignature(body)
			if err != nil {
				t.Fatal(err)
			}
			spoil(&s.bob.exchange.keys.revealSide, &m.Signature)
			wantSpoilt(t, s, fromBob(wire.TypeRevealSignature, m))
		})
		t.Run("Signature/"+name, func(t *testing.T) {
			s := newScene(t, settings[4])
			_, body, _ := wire.ParseHeader(s.next)
			m, err := ParseSignature(body)
			if err != nil {
				t.Fatal(err)
			}
			spoil(&s.alice.exchange.keys.signSide, &m)
			wantSpoilt(t, s, fromBob(wire.TypeSignature, m))
		})
	}
	t.Run("Reveal Signature/the revealed key", func(t *testing.T) {
		s := newScene(t, settings[2])
		_, body, _ := wire.ParseHeader(s.next)
		m, err := ParseRevealSignature(bytes.Clone(body))
		if err != nil {
			t.Fatal(err)
		}
		m.RevealedKey[0] ^= 1
		wantSpoilt(t, s, fromBob(wire.TypeRevealSignature, m))
	})
}

func wantSpoilt(t *testing.T, s *scene, msg []byte) {
	t.Helper()
	before := s.alice.exchange
	_, _, err := hand(t, s.alice, msg)
	if !errors.Is(err, ErrAuthentication) && !errors.Is(err, ErrMalformed) {
		t.Fatalf("accepted, or refused for the wrong reason: %v", err)
	}
	if !reflect.DeepEqual(s.alice.exchange, before) || s.alice.Encrypted() {
		t.Fatal("something has changed")
	}
	// Bob may be done already; alice still accepts his honest message.
	must(t, s.alice, s.next)
	if !s.alice.Encrypted() {
		t.Fatal("the honest message is refused now")
	}
}

func TestMessagesOfOneRoleDoNotPassInTheOther(t *testing.T) {
	s := newScene(t, settings[4])
	_, body, _ := wire.ParseHeader(must(t, s.alice, s.dhKey)) // alice's Reveal Signature
	m, err := ParseRevealSignature(body)
	if err != nil {
		t.Fatal(err)
	}
	wantSpoilt(t, s, fromBob(wire.TypeSignature, m.Signature))
}

func TestAnOfferThatWasRevealedSaysSo(t *testing.T) {
	s := newScene(t, settings[1])
	o := s.alice.exchange.offer
	if o.Revealed() {
		t.Fatal("too early")
	}
	must(t, s.alice, s.next)
	if !o.Revealed() {
		t.Fatal("it does not")
	}
}

func TestExchangeKeepsTheSessionUntilItSucceeds(t *testing.T) {
	for _, version := range []uint16{Version2, Version3} {
		t.Run(fmt.Sprint("version ", version), func(t *testing.T) {
			alice, bob := newSessions(t, version)
			first, _ := alice.SSID()
			commit := begin(t, bob)
			tell(t, alice, bob, "while bob awaits a D-H Key")
			key := must(t, alice, commit)
			tell(t, bob, alice, "while alice awaits the Reveal Signature")
			reveal := must(t, bob, key)
			tell(t, alice, bob, "while bob awaits the Signature")
			sig := must(t, alice, reveal)
			old := seal(t, bob, "under keys that alice has given up")
			wantRefused(t, alice, old, ErrUnreadable)
			must(t, bob, sig)
			second, _ := bob.SSID()
			if first == second || alice.Sessions() != 2 || bob.Sessions() != 2 {
				t.Fatal("no new session")
			}
			tell(t, alice, bob, "new keys")
			tell(t, bob, alice, "new keys")
		})
	}
}

// TestASignatureThatComesAfterAnotherExchangeHasBegunCounts: the peer may have sent messages
// in the session that it completes.
func TestASignatureThatComesAfterAnotherExchangeHasBegunCounts(t *testing.T) {
	alice, bob := newTestEngine(Version3, 0), newTestEngine(Version3, 1)
	signature := must(t, bob, must(t, alice, must(t, bob, begin(t, alice))))
	again := begin(t, alice)
	must(t, alice, signature)
	first, _ := alice.SSID()
	if ssid, _ := bob.SSID(); !alice.Encrypted() || first != ssid {
		t.Fatal("the late Signature begins no session")
	}
	if got := alice.AuthState(); got != AuthAwaitingDHKey {
		t.Fatalf("the second exchange is gone: %v", got)
	}
	must(t, alice, must(t, bob, must(t, alice, must(t, bob, again))))
	second, _ := alice.SSID()
	if ssid, _ := bob.SSID(); second != ssid || second == first {
		t.Fatal("the second exchange does not end in a session of its own")
	}
	if len(alice.late) > 0 {
		t.Fatal("what was kept for the Signature is still there")
	}
}

// TestASignatureCountsAfterACopyOfTheDHKey: a copy of the first D-H Key looks like the answer
// to the second commitment, and the exchange that begins with it leads nowhere. The Signature
// of the first one still counts, however often that happens, and what is kept is bounded and
// wiped.
func TestASignatureCountsAfterACopyOfTheDHKey(t *testing.T) {
	alice, bob := newTestEngine(Version3, 0), newTestEngine(Version3, 1)
	key := must(t, bob, begin(t, alice))
	signature := must(t, bob, must(t, alice, bytes.Clone(key)))
	for range maxLate - 1 {
		begin(t, alice)
		must(t, alice, bytes.Clone(key))
	}
	begin(t, alice)
	if len(alice.late) != maxLate {
		t.Fatalf("%d of %d exchanges are kept", len(alice.late), maxLate)
	}
	first, kept := alice.late[0], slices.Clone(alice.late)
	must(t, alice, bytes.Clone(signature))
	id, _ := alice.SSID()
	if ssid, _ := bob.SSID(); !alice.Encrypted() || id != ssid {
		t.Fatal("the late Signature begins no session")
	}
	if *first.keys != (akeKeys{}) || len(alice.late) != maxLate-1 {
		t.Fatalf("%d exchanges are kept, and the keys of the one that is over are %v", len(alice.late), first.keys)
	}
	wantRefused(t, alice, signature, ErrIgnored)
	must(t, alice, bytes.Clone(key))
	begin(t, alice) // there is no room for one more after that
	must(t, alice, bytes.Clone(key))
	begin(t, alice)
	if len(alice.late) != maxLate {
		t.Fatalf("%d exchanges are kept", len(alice.late))
	}
	kept = append(kept, alice.late...)
	alice.Forget()
	for _, l := range kept {
		if *l.keys != (akeKeys{}) {
			t.Fatal("keys have not been wiped")
		}
	}
}

// TestACommitmentThatComesAgainDoesNotEndACrossing: alice has yielded, and so has bob.
func TestACommitmentThatComesAgainDoesNotEndACrossing(t *testing.T) {
	s := newScene(t, settings[3])
	theirs := fromBob(wire.TypeDHCommit, &s.alice.exchange.commit)
	must(t, s.alice, freshDHKey(t))
	if got := s.alice.AuthState(); got != AuthAwaitingSig {
		t.Fatal(got)
	}
	if again := must(t, s.alice, theirs); !bytes.Equal(again, s.dhKey) {
		t.Fatal("not the same D-H Key")
	}
	if signature := must(t, s.alice, s.next); typeOf(t, signature) != wire.TypeSignature || !s.alice.Encrypted() {
		t.Fatal("the winner's exchange does not go on")
	}
}

func TestAKeyIDOfZeroIsRefusedThoughItIsSigned(t *testing.T) {
	identity, theirs, ours := testKeys()[0], []byte{2}, []byte{3}
	k := &sigKeys{}
	for _, test := range []struct {
		id      uint32
		refused bool
	}{{0, true}, {1, false}} {
		x := wire.AppendInt(identity.Public().Append(nil), test.id)
		sig, err := identity.Sign(rand.Reader, k.signed(theirs, ours, x))
		if err != nil {
			t.Fatal(err)
		}
		x = append(x, sig...)
		aesCTR(k.c[:], x)
		_, id, err := k.verify(Signature{Encrypted: x, MAC: k.sum(x)}, theirs, ours)
		if refused := errors.Is(err, ErrMalformed); refused != test.refused || !refused && (err != nil || id != test.id) {
			t.Errorf("key id %d: %d, %v", test.id, id, err)
		}
	}
}
