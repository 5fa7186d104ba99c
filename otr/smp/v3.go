package smp

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"

	"otrpipe/otr/group"
	"otrpipe/otr/keys"
	"otrpipe/otr/wire"
)

// V3 returns the Binding of versions 2 and 3: the 1536-bit MODP group, SHA-256, values as
// MPIs. It is for one session, with the 20-byte fingerprints ours and theirs and the secure
// session id ssid. It panics if a fingerprint is not of these versions, because a secret that
// is not tied to a key would compare equal even with someone in the middle.
func V3(ours, theirs keys.Fingerprint, ssid [8]byte) Binding {
	if ours.OTR() != 3 || theirs.OTR() != 3 {
		panic("smp: fingerprint is not one of version 3")
	}
	return bind(framing3{}, &suite3{
		MODP: group.MODP1536(),
		ours: ours, theirs: theirs, ssid: ssid,
	})
}

// framing3 has two records for message 1: one without a question, and message 1Q, in which
// the values follow a question that ends with a NUL byte.
type framing3 struct{}

func (framing3) isMessage1(tlvType uint16) bool {
	return tlvType == wire.TLVSMP1 || tlvType == wire.TLVSMP1Q
}

func (framing3) message1(question string, body []byte) wire.TLV {
	if question == "" {
		return wire.TLV{Type: wire.TLVSMP1, Value: body}
	}
	value := make([]byte, 0, len(question)+1+len(body))
	value = append(value, question...)
	value = append(value, 0)
	return wire.TLV{Type: wire.TLVSMP1Q, Value: append(value, body...)}
}

func (framing3) parse1(t wire.TLV) (string, []byte, error) {
	if t.Type == wire.TLVSMP1 {
		return "", t.Value, nil
	}
	question, body, ended := bytes.Cut(t.Value, []byte{0})
	if !ended {
		return "", nil, fmt.Errorf("%w: the question has no end", ErrMalformed)
	}
	return string(question), body, nil
}

// suite3 is a suite whose elements are big-endian numbers modulo p in Len bytes,
// and whose exponents are big-endian numbers of several lengths: 192 bytes when
// drawn or a response, 32 when a challenge or the secret.
type suite3 struct {
	*group.MODP
	ours, theirs keys.Fingerprint
	ssid         [8]byte
}

func (s *suite3) random(rand io.Reader) ([]byte, error) {
	x := make([]byte, s.Len())
	if _, err := io.ReadFull(rand, x); err != nil {
		return nil, fmt.Errorf("smp: no randomness: %w", err)
	}
	return x, nil
}

func (s *suite3) secret(initiator bool, user []byte) []byte {
	const version = 1
	b := make([]byte, 0, 1+2*keys.FingerprintLen3+len(s.ssid)+len(user))
	b = append(b, version)
	if initiator {
		b = append(b, s.ours.Bytes()...)
		b = append(b, s.theirs.Bytes()...)
	} else {
		b = append(b, s.theirs.Bytes()...)
		b = append(b, s.ours.Bytes()...)
	}
	b = append(b, s.ssid[:]...)
	b = append(b, user...)
	defer clear(b)
	x := sha256.Sum256(b)
	return x[:]
}

func (s *suite3) challenge(usage byte, elements ...[]byte) []byte {
	b := []byte{usage}
	for _, e := range elements {
		b = wire.AppendMPI(b, e)
	}
	c := sha256.Sum256(b)
	return c[:]
}

func (s *suite3) response(r, a, c []byte) []byte {
	return s.MulSub(r, a, c)
}

func (s *suite3) equalChallenges(a, b []byte) bool {
	return subtle.ConstantTimeCompare(a, b) == 1
}

func (s *suite3) wipe(exponents ...[]byte) {
	for _, x := range exponents {
		clear(x)
	}
}

func (s *suite3) base(x []byte) []byte {
	return s.ExpBase(x)
}

func (s *suite3) exp(h, x []byte) []byte {
	return element(s.Exp(h, x))
}

func (s *suite3) commit(x, h, y []byte) []byte {
	a, b := s.base(x), s.exp(h, y)
	defer s.wipeElements(a, b)
	return s.mul(a, b)
}

func (s *suite3) mul(a, b []byte) []byte {
	return element(s.Mul(a, b))
}

func (s *suite3) div(a, b []byte) []byte {
	return element(s.Div(a, b))
}

func (s *suite3) equal(a, b []byte) bool {
	return subtle.ConstantTimeCompare(a, b) == 1
}

func (s *suite3) wipeElements(elements ...[]byte) {
	s.wipe(elements...)
}

// element is for operations on checked or computed elements, which cannot fail.
func element(e []byte, err error) []byte {
	if err != nil {
		panic("smp: " + err.Error())
	}
	return e
}

func (s *suite3) appendCount(b []byte, n int) []byte {
	return wire.AppendInt(b, uint32(n))
}

func (s *suite3) appendElement(b, e []byte) []byte {
	return wire.AppendMPI(b, e)
}

func (s *suite3) appendExponent(b, x []byte) []byte {
	return wire.AppendMPI(b, x)
}

func (s *suite3) readCount(r *wire.Reader, n int) error {
	count := r.Int()
	if err := r.Err(); err != nil {
		return malformed(err)
	}
	if count != uint32(n) {
		return fmt.Errorf("%w: %d values instead of %d", ErrMalformed, count, n)
	}
	return nil
}

// readElement also requires the element to be a quadratic residue, as exactly the elements of
// order q are. The specification does not require this. But a peer that sends non-residues as
// its halves can make g2 a non-residue, and the residue symbol of our Q would then reveal
// whether the secret's hash is odd.
func (s *suite3) readElement(r *wire.Reader) ([]byte, error) {
	v := r.MPI()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	if err := s.CheckMember(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrElement, err)
	}
	return leftPad(v, s.Len()), nil
}

func (s *suite3) readChallenge(r *wire.Reader) ([]byte, error) {
	return readNumber(r, sha256.Size)
}

func (s *suite3) readResponse(r *wire.Reader) ([]byte, error) {
	d, err := readNumber(r, s.Len())
	if err != nil {
		return nil, err
	}
	if err := s.CheckScalar(d); err != nil {
		return nil, malformed(err)
	}
	return d, nil
}

// readNumber reads an MPI of at most size bytes, and returns it in size bytes.
func readNumber(r *wire.Reader, size int) ([]byte, error) {
	v := r.MPI()
	if err := r.Err(); err != nil {
		return nil, malformed(err)
	}
	if len(v) > size {
		return nil, fmt.Errorf("%w: a number of %d bytes instead of at most %d", ErrMalformed, len(v), size)
	}
	return leftPad(v, size), nil
}

func leftPad(v []byte, size int) []byte {
	b := make([]byte, size)
	copy(b[size-len(v):], v)
	return b
}
