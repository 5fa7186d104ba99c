package smp

// usages holds the version bytes of the four proofs that one side makes: section "SMP Hash
// function". They differ between the sides, so that neither can send back the other's proof
// as its own.
type usages struct {
	g2, g3, commitment, result byte
}

var (
	initiatorUsages = usages{g2: 1, g3: 2, commitment: 6, result: 7}
	responderUsages = usages{g2: 3, g3: 4, commitment: 5, result: 8}
)

// half is one side's half, g1^a, of the exchange that determines g2 or g3, with the proof
// that this side knows a. On the wire: public, c, d.
type half[E, S any] struct {
	public E
	c, d   S
}

// commitment is one side's blinded secret, P and Q, with the proof that they were computed
// correctly. On the wire: P, Q, cP, D5, D6.
type commitment[E, S any] struct {
	p, q      E
	c, d5, d6 S
}

// result is R, one side's share of the comparison, with the proof that its exponent is the
// same as in this side's half of g3. On the wire: R, cR, D7.
type result[E, S any] struct {
	r    E
	c, d S
}

// The number of values of each on the wire.
const (
	halfValues       = 3
	commitmentValues = 5
	resultValues     = 3
)

// newHalf draws an exponent a and then the r of its proof.
func (p *party[E, S]) newHalf(usage byte) (a S, h half[E, S], err error) {
	a, err = p.suite.random(p.rand)
	if err != nil {
		return a, h, err
	}
	r, err := p.suite.random(p.rand)
	if err != nil {
		p.suite.wipe(a)
		return a, h, err
	}
	defer p.suite.wipe(r)
	h.public = p.suite.base(a)
	h.c = p.suite.challenge(usage, p.suite.base(r))
	h.d = p.suite.response(r, a, h.c)
	return a, h, nil
}

// checkHalf: c = H(usage, g1^d · public^c).
func (p *party[E, S]) checkHalf(usage byte, h half[E, S]) error {
	return p.checkProof(h.c, usage, p.suite.commit(h.d, h.public, h.c))
}

// newCommitment draws r4, r5 and r6.
func (p *party[E, S]) newCommitment(usage byte) (m commitment[E, S], err error) {
	var r [3]S
	for i := range r {
		if r[i], err = p.suite.random(p.rand); err != nil {
			p.suite.wipe(r[:i]...)
			return m, err
		}
	}
	defer p.suite.wipe(r[:]...)
	r4, r5, r6 := r[0], r[1], r[2]
	m.p = p.suite.exp(p.g3, r4)
	m.q = p.suite.commit(r4, p.g2, p.secret)
	m.c = p.suite.challenge(usage, p.suite.exp(p.g3, r5), p.suite.commit(r5, p.g2, r6))
	m.d5 = p.suite.response(r5, r4, m.c)
	m.d6 = p.suite.response(r6, p.secret, m.c)
	return m, nil
}

// checkCommitment: cP = H(usage, g3^D5 · P^cP, g1^D5 · g2^D6 · Q^cP).
func (p *party[E, S]) checkCommitment(usage byte, m commitment[E, S]) error {
	return p.checkProof(m.c, usage,
		p.suite.mul(p.suite.exp(p.g3, m.d5), p.suite.exp(m.p, m.c)),
		p.suite.mul(p.suite.commit(m.d5, p.g2, m.d6), p.suite.exp(m.q, m.c)))
}

// newResult draws r7. ratio is Qa/Qb.
func (p *party[E, S]) newResult(usage byte, ratio E) (m result[E, S], err error) {
	r7, err := p.suite.random(p.rand)
	if err != nil {
		return m, err
	}
	defer p.suite.wipe(r7)
	m.r = p.suite.exp(ratio, p.exponent3)
	m.c = p.suite.challenge(usage, p.suite.base(r7), p.suite.exp(ratio, r7))
	m.d = p.suite.response(r7, p.exponent3, m.c)
	return m, nil
}

// checkResult: cR = H(usage, g1^D7 · g3peer^cR, ratio^D7 · R^cR), where g3peer is
// the peer's half of g3 and ratio is Qa/Qb.
func (p *party[E, S]) checkResult(usage byte, ratio E, m result[E, S]) error {
	return p.checkProof(m.c, usage,
		p.suite.commit(m.d, p.peerHalf3, m.c),
		p.suite.mul(p.suite.exp(ratio, m.d), p.suite.exp(m.r, m.c)))
}

func (p *party[E, S]) checkProof(c S, usage byte, elements ...E) error {
	if !p.suite.equalChallenges(c, p.suite.challenge(usage, elements...)) {
		return ErrProof
	}
	return nil
}
