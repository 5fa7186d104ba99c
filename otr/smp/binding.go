package smp

import (
	"io"
	"strings"

	"otrpipe/otr/wire"
)

// Binding holds everything that differs between versions and between sessions: the group and
// its encodings, the hashes, and the values that the secret is tied to. [V3] makes one for
// versions 2 and 3, [V4] for version 4. It contains no secret and may be copied.
type Binding struct {
	framing framing
	newRun  func(rand io.Reader) run
}

// bind makes a Binding from a version's two parts.
func bind[E, S any](f framing, s suite[E, S]) Binding {
	return Binding{
		framing: f,
		newRun:  func(rand io.Reader) run { return &party[E, S]{suite: s, rand: rand} },
	}
}

// framing is a version's encoding of message 1, the only one that contains more than group
// values: it also has the question. Messages 2 to 4 and the abort have the same record types
// in all versions, and contain only values.
type framing interface {
	isMessage1(tlvType uint16) bool
	message1(question string, body []byte) wire.TLV
	// parse1 parses a record for which isMessage1 is true; body borrows from t. The caller
	// has to check the length of the question.
	parse1(t wire.TLV) (question string, body []byte, err error)
}

func checkQuestion(question string) error {
	if len(question) > MaxQuestion || strings.IndexByte(question, 0) >= 0 {
		return ErrQuestion
	}
	return nil
}

// suite is a version's cryptography: a group of prime order q with generator g1, written
// multiplicatively, with elements E; exponents S; the hashes; and the encoding of both. It is
// independent of the order of messages.
//
// Only the wipes, which accept zero values of E and S too, change elements and exponents in
// place. The time of an operation does not depend on its exponents.
type suite[E, S any] interface {
	// random draws an exponent of full size.
	random(rand io.Reader) (S, error)
	// secret returns x or y, section "Secret information": the user's secret, tied to the
	// session and to our role in the run.
	secret(initiator bool, user []byte) S
	// challenge returns the hash for the proofs, section "SMP Hash function".
	challenge(usage byte, elements ...E) S
	// response returns r − a·c mod q.
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

	// A message is a count, which some versions omit, followed by its values.
	appendCount(b []byte, n int) []byte
	appendElement(b []byte, e E) []byte
	appendExponent(b []byte, x S) []byte
	readCount(r *wire.Reader, n int) error
	// readElement reads an element and checks that it is in the group of order q and not the
	// identity. Bytes that are not a valid encoding are ErrMalformed.
	readElement(r *wire.Reader) (E, error)
	// readChallenge rejects values that cannot be a hash, and readResponse values that are
	// not below q, with ErrMalformed.
	readChallenge(r *wire.Reader) (S, error)
	readResponse(r *wire.Reader) (S, error)
}
