package smp

import (
	"io"
	"strings"

	"otrpipe/otr/wire"
)

// Binding is what differs between versions and between sessions: the group and
// its encodings, the hashes, and what the secret is tied to. [V3] makes one for
// versions 2 and 3. It holds no secret and may be copied.
type Binding struct {
	framing framing
	newRun  func(rand io.Reader) run
}

// bind makes a Binding of a version's two parts.
func bind[E, S any](f framing, s suite[E, S]) Binding {
	return Binding{
		framing: f,
		newRun:  func(rand io.Reader) run { return &party[E, S]{suite: s, rand: rand} },
	}
}

// framing is how a version carries message 1, the only one that has more in it
// than group values: the question. Messages 2 to 4 and the abort have the same
// record types in all versions, and values only.
type framing interface {
	isMessage1(tlvType uint16) bool
	message1(question string, body []byte) wire.TLV
	// parse1 takes apart what isMessage1 has said yes to; body borrows from t.
	// The length of the question is the caller's to check.
	parse1(t wire.TLV) (question string, body []byte, err error)
}

func checkQuestion(question string) error {
	if len(question) > MaxQuestion || strings.IndexByte(question, 0) >= 0 {
		return ErrQuestion
	}
	return nil
}

// suite is a version's cryptography: a group of prime order q with generator g1,
// written multiplicatively, with elements E; exponents S; the hashes; and the
// encoding of both. Nothing here knows who sends which message when.
//
// Elements and exponents are never changed in place but by the wipes, which take
// zero values of E and S too. Every operation takes the same time whatever its
// exponents are.
type suite[E, S any] interface {
	// random draws an exponent of full size.
	random(rand io.Reader) (S, error)
	// secret is x or y, section "Secret information": user's secret tied to the
	// session, and to us as the one who began the run or the one who did not.
	secret(initiator bool, user []byte) S
	// challenge is the hash of the proofs, section "SMP Hash function".
	challenge(usage byte, elements ...E) S
	// response is r − a·c mod q.
	response(r, a, c S) S
	// equalChallenges compares in constant time.
	equalChallenges(a, b S) bool
	wipe(exponents ...S)

	base(x S) E             // g1^x
	exp(h E, x S) E         // h^x
	commit(x S, h E, y S) E // g1^x · h^y, leaving neither factor in memory
	mul(a, b E) E           // a · b
	div(a, b E) E           // a / b
	equal(a, b E) bool      // in constant time
	wipeElements(elements ...E)

	// A message is a count, nothing in some versions, and then its values.
	appendCount(b []byte, n int) []byte
	appendElement(b []byte, e E) []byte
	appendExponent(b []byte, x S) []byte
	readCount(r *wire.Reader, n int) error
	// readElement reads and checks an element: in the group of order q, and not
	// the identity. What is not even encoded as one is ErrMalformed.
	readElement(r *wire.Reader) (E, error)
	// readChallenge and readResponse refuse what no hash gives, and what is not
	// below q, with ErrMalformed.
	readChallenge(r *wire.Reader) (S, error)
	readResponse(r *wire.Reader) (S, error)
}
