package smp

import "io"

// run is one side of one run of the protocol: it makes and processes the messages. It does
// not check their order: the Machine calls message1, receive2, receive4 in this order on the
// initiator's side, and receive1, message2, receive3 on the responder's. A body is the values
// of a message; a received body is not kept.
type run interface {
	message1(secret []byte) (body []byte, err error)
	receive1(body []byte) error
	message2(secret []byte) (body []byte, err error)
	receive2(body []byte) (message3 []byte, err error)
	receive3(body []byte) (message4 []byte, equal bool, err error)
	receive4(body []byte) (equal bool, err error)
	wipe()
}

// party is a run over one version's suite. In the specification the initiator is Alice, with
// a2, a3 and x, and the responder is Bob, with b2, b3 and y.
type party[E, S any] struct {
	suite suite[E, S]
	rand  io.Reader

	secret               S // x or y
	exponent2, exponent3 S // a2, a3 or b2, b3

	peerHalf2, peerHalf3 E // g2a, g3a or g2b, g3b
	g2, g3               E
	pa, pb, qb           E
	ratioQ               E // Qa/Qb
}

// message1 makes Alice's first message: "User requests to begin SMP".
func (p *party[E, S]) message1(secret []byte) ([]byte, error) {
	h2, h3, err := p.newHalves(initiatorUsages)
	if err != nil {
		return nil, err
	}
	p.secret = p.suite.secret(true, secret)
	e := p.encode(2 * halfValues)
	e.half(h2)
	e.half(h3)
	return e.b, nil
}

// receive1 is the first half of Bob's "Receiving a type 2 TLV": he checks the message before
// he asks his user for the secret.
func (p *party[E, S]) receive1(body []byte) error {
	d := p.decode(body, 2*halfValues)
	h2, h3 := d.half(), d.half()
	if err := d.end(); err != nil {
		return err
	}
	return p.takeHalves(initiatorUsages, h2, h3)
}

// message2 is the second half of it. It can be called again after an error.
func (p *party[E, S]) message2(secret []byte) ([]byte, error) {
	h2, h3, err := p.newHalves(responderUsages)
	if err != nil {
		return nil, err
	}
	p.secret = p.suite.secret(false, secret)
	p.setGenerators()
	m, err := p.newCommitment(responderUsages.commitment)
	if err != nil {
		return nil, err
	}
	p.pb, p.qb = m.p, m.q
	e := p.encode(2*halfValues + commitmentValues)
	e.half(h2)
	e.half(h3)
	e.commitment(m)
	return e.b, nil
}

// receive2 is Alice's: "Receiving a type 3 TLV".
func (p *party[E, S]) receive2(body []byte) ([]byte, error) {
	d := p.decode(body, 2*halfValues+commitmentValues)
	h2, h3, theirs := d.half(), d.half(), d.commitment()
	if err := d.end(); err != nil {
		return nil, err
	}
	if err := p.takeHalves(responderUsages, h2, h3); err != nil {
		return nil, err
	}
	p.setGenerators()
	if err := p.checkCommitment(responderUsages.commitment, theirs); err != nil {
		return nil, err
	}
	ours, err := p.newCommitment(initiatorUsages.commitment)
	if err != nil {
		return nil, err
	}
	p.pb, p.qb = theirs.p, theirs.q
	if err := p.setRatio(ours); err != nil {
		return nil, err
	}
	r, err := p.newResult(initiatorUsages.result, p.ratioQ)
	if err != nil {
		return nil, err
	}
	e := p.encode(commitmentValues + resultValues)
	e.commitment(ours)
	e.result(r)
	return e.b, nil
}

// receive3 is Bob's: "Receiving a type 4 TLV". He answers even if the secrets differ, so that
// Alice learns it too.
func (p *party[E, S]) receive3(body []byte) ([]byte, bool, error) {
	d := p.decode(body, commitmentValues+resultValues)
	m, theirs := d.commitment(), d.result()
	if err := d.end(); err != nil {
		return nil, false, err
	}
	if err := p.checkCommitment(initiatorUsages.commitment, m); err != nil {
		return nil, false, err
	}
	if err := p.setRatio(m); err != nil {
		return nil, false, err
	}
	if err := p.checkResult(initiatorUsages.result, p.ratioQ, theirs); err != nil {
		return nil, false, err
	}
	ours, err := p.newResult(responderUsages.result, p.ratioQ)
	if err != nil {
		return nil, false, err
	}
	e := p.encode(resultValues)
	e.result(ours)
	return e.b, p.compare(theirs.r), nil
}

// receive4 is Alice's: "Receiving a type 5 TLV".
func (p *party[E, S]) receive4(body []byte) (bool, error) {
	d := p.decode(body, resultValues)
	theirs := d.result()
	if err := d.end(); err != nil {
		return false, err
	}
	if err := p.checkResult(responderUsages.result, p.ratioQ, theirs); err != nil {
		return false, err
	}
	return p.compare(theirs.r), nil
}

func (p *party[E, S]) wipe() {
	p.suite.wipe(p.secret, p.exponent2, p.exponent3)
	p.suite.wipeElements(p.peerHalf2, p.peerHalf3, p.g2, p.g3, p.pa, p.pb, p.qb, p.ratioQ)
}

// newHalves draws the exponents of g2 and g3. It first wipes the remains of an earlier call
// that failed for lack of randomness.
func (p *party[E, S]) newHalves(u usages) (h2, h3 half[E, S], err error) {
	p.suite.wipe(p.secret, p.exponent2, p.exponent3)
	if p.exponent2, h2, err = p.newHalf(u.g2); err != nil {
		return h2, h3, err
	}
	p.exponent3, h3, err = p.newHalf(u.g3)
	return h2, h3, err
}

// takeHalves checks and keeps the peer's halves of g2 and g3.
func (p *party[E, S]) takeHalves(u usages, h2, h3 half[E, S]) error {
	if err := p.checkHalf(u.g2, h2); err != nil {
		return err
	}
	if err := p.checkHalf(u.g3, h3); err != nil {
		return err
	}
	p.peerHalf2, p.peerHalf3 = h2.public, h3.public
	return nil
}

// setGenerators computes g2 and g3, which both sides then know.
func (p *party[E, S]) setGenerators() {
	p.g2 = p.suite.exp(p.peerHalf2, p.exponent2)
	p.g3 = p.suite.exp(p.peerHalf3, p.exponent3)
}

// setRatio keeps Pa and computes Qa/Qb. It rejects equal values, which no honest peer sends:
// they would make both sides' results 1 regardless of the secrets.
func (p *party[E, S]) setRatio(alice commitment[E, S]) error {
	if p.suite.equal(alice.p, p.pb) || p.suite.equal(alice.q, p.qb) {
		return ErrRepeated
	}
	p.pa = alice.p
	p.ratioQ = p.suite.div(alice.q, p.qb)
	return nil
}

// compare reports whether x = y, using the peer's R: in that case Rab, which is R^a3 or R^b3,
// equals Pa/Pb.
func (p *party[E, S]) compare(r E) bool {
	rab := p.suite.exp(r, p.exponent3)
	product := p.suite.mul(rab, p.pb)
	defer p.suite.wipeElements(rab, product)
	return p.suite.equal(product, p.pa)
}
