package otr_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"runtime"
	"sync"
	"testing"

	"github.com/segmentio/asm/base64"

	"otrpipe/internal/keystream"
	"otrpipe/otr/group"
	"otrpipe/otr/keys"
)

// The unavoidable part of the work of versions 3 and 4, measured alone: the limits that
// scripts/bench compares with. The limit for a figure NAME of otr is Limit/NAME.

const limitMessages = 4 // of bulkSize, which share a vector unit

// limitBulk runs the cipher and the authenticator of each message, and base64, on every
// core that Go may use.
func limitBulk(b *testing.B, decode bool, crypt func(texts [][]byte)) {
	cores := runtime.GOMAXPROCS(0)
	b.SetBytes(int64(cores * limitMessages * bulkSize))
	var all sync.WaitGroup
	for range cores {
		work := limitWork(decode, crypt)
		all.Go(func() {
			for range b.N {
				work()
			}
		})
	}
	all.Wait()
}

// limitWork returns the work for one core.
func limitWork(decode bool, crypt func(texts [][]byte)) (work func()) {
	texts, lines := make([][]byte, limitMessages), make([][]byte, limitMessages)
	for i := range texts {
		texts[i] = make([]byte, bulkSize)
		lines[i] = make([]byte, base64.StdEncoding.EncodedLen(bulkSize))
		base64.StdEncoding.Encode(lines[i], texts[i])
	}
	room := make([]byte, base64.StdEncoding.EncodedLen(bulkSize))
	return func() {
		for i := range texts {
			if decode {
				base64.StdEncoding.Decode(room, lines[i])
			} else {
				base64.StdEncoding.Encode(room, texts[i])
			}
		}
		crypt(texts)
	}
}

func limitV3(texts [][]byte) {
	for i, text := range texts {
		keystream.AES128CTR(new([16]byte), uint64(i), text)
		mac := hmac.New(sha1.New, make([]byte, 20))
		mac.Write(text)
		mac.Sum(nil)
	}
}

func limitV4(texts [][]byte) {
	macs, keys := make([][]byte, len(texts)), make([][]byte, len(texts))
	for i, text := range texts {
		keystream.ChaCha20(new([32]byte), text)
		macs[i], keys[i] = make([]byte, 64), make([]byte, 64)
	}
	group.KDFs(macs, group.UsageAuthenticator, keys, texts)
}

func BenchmarkLimitBulkSend(b *testing.B)      { limitBulk(b, false, limitV3) }
func BenchmarkLimitBulkReceive(b *testing.B)   { limitBulk(b, true, limitV3) }
func BenchmarkV4LimitBulkSend(b *testing.B)    { limitBulk(b, false, limitV4) }
func BenchmarkV4LimitBulkReceive(b *testing.B) { limitBulk(b, true, limitV4) }

// Both sides of a key exchange of version 3: a power and a base power each, a signature
// made, a key checked and a signature verified.
func BenchmarkLimitAKE(b *testing.B) {
	g := group.MODP1536()
	x := bytes.Repeat([]byte{0xa5}, 40)
	y := g.ExpBase(x)
	dsa, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	hash := bytes.Repeat([]byte{0xa5}, 32)
	encoded := dsa.Public().Append(nil)
	for b.Loop() {
		for range 2 {
			g.ExpBase(x)
			g.Exp(y, x)
			sig, err := dsa.Sign(rand.Reader, hash)
			if err != nil {
				b.Fatal(err)
			}
			public, err := keys.ParseDSAPublicKey(encoded)
			if err != nil {
				b.Fatal(err)
			}
			if err := public.Verify(hash, sig); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// ed448Work is the arithmetic of version 4's groups, with inputs.
type ed448Work struct {
	g      *group.MODP
	x, y   []byte
	k      group.Scalar
	p      *group.Point
	parsed []byte
}

func newEd448Work(b *testing.B) *ed448Work {
	b.Helper()
	w := &ed448Work{g: group.MODP3072(), x: bytes.Repeat([]byte{0xa5}, 80)}
	w.y = w.g.ExpBase(w.x)
	var err error
	if w.k, err = group.DrawScalar(rand.Reader); err != nil {
		b.Fatal(err)
	}
	w.p = group.MulBase(w.k)
	w.parsed = w.p.Append(nil)
	return w
}

func (w *ed448Work) mulBase(n int) {
	for range n {
		group.MulBase(w.k)
	}
}

func (w *ed448Work) mul(n int) {
	for range n {
		w.p.Mul(w.k)
	}
}

func (w *ed448Work) verify(n int) {
	for range n {
		w.p.MulAddBaseVarTime(w.k, w.k)
	}
}

func (w *ed448Work) checkPoints(n int) {
	for range n {
		group.ParsePoint(w.parsed)
	}
}

func (w *ed448Work) dh(powers, base, checks int) {
	for range powers {
		w.g.Exp(w.y, w.x)
	}
	for range base {
		w.g.ExpBase(w.x)
	}
	for range checks {
		w.g.CheckMember(w.y)
	}
}

// Both sides of a key exchange of version 4: each makes two ECDH and two DH keys, checks
// four points and two DH values, computes two shared secrets of each kind, signs and
// verifies with rings of three, and verifies a profile's signature.
func BenchmarkV4LimitAKE(b *testing.B) {
	w := newEd448Work(b)
	for b.Loop() {
		for range 2 {
			w.mulBase(2 + 3)
			w.mul(2 + 3)
			w.verify(3 + 1)
			w.checkPoints(4)
			w.dh(2, 2, 2)
		}
	}
}

// message is the work i of a message that answers one: an ECDH key, a check and two shared
// secrets, and in every third a DH key, its check and two shared secrets.
func (w *ed448Work) message(i int) {
	w.mulBase(1)
	w.mul(2)
	w.checkPoints(1)
	if i%3 == 0 {
		w.dh(2, 1, 1)
	}
}

func BenchmarkV4LimitPingPong(b *testing.B) {
	w := newEd448Work(b)
	for i := 0; b.Loop(); i++ {
		w.message(i)
	}
}

// modpWork is the arithmetic of version 3's group, with inputs.
type modpWork struct {
	g    *group.MODP
	x, y []byte
}

func newMODPWork() *modpWork {
	w := &modpWork{g: group.MODP1536(), x: bytes.Repeat([]byte{0xa5}, 40)}
	w.y = w.g.ExpBase(w.x)
	return w
}

// message is the work of a message that answers one: a base power, and two shared secrets.
func (w *modpWork) message() {
	w.g.ExpBase(w.x)
	w.g.Exp(w.y, w.x)
	w.g.Exp(w.y, w.x)
}

func BenchmarkLimitPingPong(b *testing.B) {
	w := newMODPWork()
	for b.Loop() {
		w.message()
	}
}

// The powers of a comparison by SMP, both sides: of the generator, of other values, and of
// other values by a hash, which in version 3 is a sixth as long as the other exponents. Its
// four messages answer each other, so that each is under new keys.
const (
	smpBasePowers  = 4 + 8 + 6 + 3 + 1 // in messages 1 to 4, and for the last check
	smpPowers      = 5 + 9 + 6 + 2     // in messages 2 to 4, and for the last check
	smpShortPowers = 3 + 5 + 4 + 2
	smpPoints      = 2 + 4 + 3 + 1 // values of the group that are sent
	smpMessages    = 4
)

func BenchmarkLimitSMP(b *testing.B) {
	w := newMODPWork()
	long, hash := bytes.Repeat([]byte{0x5a}, 192), bytes.Repeat([]byte{0xa5}, 32)
	for b.Loop() {
		for range smpBasePowers {
			w.g.ExpBase(long)
		}
		for range smpPowers {
			w.g.Exp(w.y, long)
		}
		for range smpShortPowers {
			w.g.Exp(w.y, hash)
		}
		for range smpMessages {
			w.message()
		}
	}
}

func BenchmarkV4LimitSMP(b *testing.B) {
	w := newEd448Work(b)
	next := 0
	for b.Loop() {
		w.mulBase(smpBasePowers)
		w.mul(smpPowers + smpShortPowers)
		w.checkPoints(smpPoints)
		for range smpMessages {
			w.message(next)
			next++
		}
	}
}
