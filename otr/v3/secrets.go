package v3

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"

	"otrpipe/internal/keystream"
	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// dhSecretLen is the length of a private D-H value in bytes: "at least 320 bits".
const dhSecretLen = 40

// A dhKey is one of our D-H key pairs.
type dhKey struct {
	secret [dhSecretLen]byte
	public []byte // 192 bytes
}

func newDHKey(rand io.Reader) (*dhKey, error) {
	k := new(dhKey)
	if _, err := io.ReadFull(rand, k.secret[:]); err != nil {
		return nil, fmt.Errorf("v3: D-H key: %w", err)
	}
	k.public = group.MODP1536().ExpBase(k.secret[:])
	return k, nil
}

// shared computes the D-H secret with a public value of the peer, as the specification's MPI
// "secbytes". It rejects values out of range.
func (k *dhKey) shared(public []byte) ([]byte, error) {
	return sharedSecret(k.secret[:], public)
}

func sharedSecret(secret, public []byte) ([]byte, error) {
	g := group.MODP1536()
	if err := g.Check(public); err != nil {
		return nil, err
	}
	s, err := g.Exp(public, secret)
	if err != nil {
		return nil, err
	}
	defer clear(s)
	return wire.AppendMPI(make([]byte, 0, 4+len(s)), s), nil
}

func (k *dhKey) wipe() {
	if k != nil {
		clear(k.secret[:])
	}
}

// akeKeys holds the keys that a key exchange derives from its D-H secret; see section
// "Computing AES keys, MAC keys, and the secure session id".
type akeKeys struct {
	ssid       [8]byte
	revealSide sigKeys // c, m1, m2: for the Reveal Signature Message
	signSide   sigKeys // c', m1', m2': for the Signature Message
}

// sigKeys holds the keys that protect one side's signature.
type sigKeys struct {
	c      [16]byte
	m1, m2 [32]byte
}

func deriveAKE(secbytes []byte) *akeKeys {
	k := new(akeKeys)
	h := h2(0x00, secbytes)
	copy(k.ssid[:], h[:8])
	h = h2(0x01, secbytes)
	copy(k.revealSide.c[:], h[:16])
	copy(k.signSide.c[:], h[16:])
	clear(h[:])
	k.revealSide.m1 = h2(0x02, secbytes)
	k.revealSide.m2 = h2(0x03, secbytes)
	k.signSide.m1 = h2(0x04, secbytes)
	k.signSide.m2 = h2(0x05, secbytes)
	return k
}

func (k *akeKeys) wipe() {
	if k != nil {
		*k = akeKeys{}
	}
}

// h2 is the specification's function of that name.
func h2(b byte, secbytes []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte{b})
	h.Write(secbytes)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// h1 is the specification's function of that name.
func h1(b byte, secbytes []byte) [20]byte {
	h := sha1.New()
	h.Write([]byte{b})
	h.Write(secbytes)
	var out [20]byte
	h.Sum(out[:0])
	return out
}

// pairKeys holds the session keys of one pair of D-H keys, and their counters.
type pairKeys struct {
	send, receive dataKeys
	sent          uint64 // the last counter that we used
	received      uint64 // the last counter of an authentic message
	used          bool   // the receiving MAC key has verified a message and is to be revealed
	public        bool   // the receiving MAC key has been revealed and verifies nothing more
	extra         [32]byte
}

// dataKeys holds the keys that protect the data messages of one direction. Only the raw keys
// are kept: ciphers expand them for one message at a time.
type dataKeys struct {
	aes    AESKey
	macKey MACKey
}

// newPairKeys derives the session keys from our key and one of the peer's.
func newPairKeys(ours *dhKey, theirs []byte) (*pairKeys, error) {
	secbytes, err := ours.shared(theirs)
	if err != nil {
		return nil, err
	}
	defer clear(secbytes)
	send, receive := directionKeys(secbytes, comparePublic(ours.public, theirs) > 0)
	p := &pairKeys{extra: h2(0xff, secbytes)}
	p.send.set(send)
	p.receive.set(receive)
	return p, nil
}

// directionKeys derives the AES keys of the two directions; high is true if our end is the
// "high" one.
func directionKeys(secbytes []byte, high bool) (send, receive AESKey) {
	sendByte, receiveByte := byte(0x02), byte(0x01)
	if high {
		sendByte, receiveByte = receiveByte, sendByte
	}
	h := h1(sendByte, secbytes)
	copy(send[:], h[:])
	h = h1(receiveByte, secbytes)
	copy(receive[:], h[:])
	return send, receive
}

func (k *dataKeys) set(aesKey AESKey) {
	k.aes = aesKey
	k.macKey = aesKey.MACKey()
}

// comparePublic compares two public values as numbers.
func comparePublic(a, b []byte) int {
	a, b = bytes.TrimLeft(a, "\x00"), bytes.TrimLeft(b, "\x00")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return bytes.Compare(a, b)
}

func (p *pairKeys) wipe() {
	if p != nil {
		*p = pairKeys{}
	}
}

// appendMAC appends the MAC of message to b.
func (k *dataKeys) appendMAC(b, message []byte) []byte {
	mac := authenticator(&k.macKey, message)
	return append(b, mac[:]...)
}

// authenticator computes HMAC-SHA1 (RFC 2104), without the allocations of package hmac.
func authenticator(key *MACKey, message []byte) (mac [sha1.Size]byte) {
	m := macStates.Get().(*macState)
	m.pad(key, 0x36)
	m.hash.Write(message)
	m.hash.Sum(m.sum[:0])
	m.hash.Reset()
	m.pad(key, 0x5c)
	m.hash.Write(m.sum[:])
	m.hash.Sum(m.sum[:0])
	mac = m.sum
	m.wipe()
	macStates.Put(m)
	return mac
}

// A macState is the working memory of HMAC. It is empty between messages.
type macState struct {
	hash  hash.Hash
	block [sha1.BlockSize]byte
	sum   [sha1.Size]byte
}

var macStates = sync.Pool{New: func() any { return &macState{hash: sha1.New()} }}

// pad hashes the padded key, with each byte XORed with a constant.
func (m *macState) pad(key *MACKey, with byte) {
	clear(m.block[:])
	copy(m.block[:], key[:])
	for i := range m.block {
		m.block[i] ^= with
	}
	m.hash.Write(m.block[:])
}

// wipe overwrites the key, and the part of the message in the hash's buffer. The key itself
// was never in that buffer, because whole blocks are hashed without copying.
func (m *macState) wipe() {
	clear(m.block[:])
	clear(m.sum[:])
	m.hash.Reset()
	m.hash.Write(m.block[1:])
	m.hash.Reset()
}

// crypt encrypts or decrypts text in place, with the counter's top half.
func (k *dataKeys) crypt(text []byte, counter uint64) {
	keystream.AES128CTR((*[16]byte)(&k.aes), counter, text)
}
