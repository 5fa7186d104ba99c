package smp

import (
	"fmt"

	"otrpipe/otr/wire"
)

// encoder builds the values of one message.
type encoder[E, S any] struct {
	suite suite[E, S]
	b     []byte
}

func (p *party[E, S]) encode(values int) *encoder[E, S] {
	return &encoder[E, S]{suite: p.suite, b: p.suite.appendCount(nil, values)}
}

func (e *encoder[E, S]) element(v E)  { e.b = e.suite.appendElement(e.b, v) }
func (e *encoder[E, S]) exponent(v S) { e.b = e.suite.appendExponent(e.b, v) }

func (e *encoder[E, S]) half(h half[E, S]) {
	e.element(h.public)
	e.exponent(h.c)
	e.exponent(h.d)
}

func (e *encoder[E, S]) commitment(m commitment[E, S]) {
	e.element(m.p)
	e.element(m.q)
	e.exponent(m.c)
	e.exponent(m.d5)
	e.exponent(m.d6)
}

func (e *encoder[E, S]) result(m result[E, S]) {
	e.element(m.r)
	e.exponent(m.c)
	e.exponent(m.d)
}

// decoder reads the values of one message. Its first error sticks, and end returns it. No
// value may be used before end has been called.
type decoder[E, S any] struct {
	suite suite[E, S]
	r     wire.Reader
	err   error
}

func (p *party[E, S]) decode(body []byte, values int) *decoder[E, S] {
	d := &decoder[E, S]{suite: p.suite, r: wire.NewReader(body)}
	d.err = d.suite.readCount(&d.r, values)
	return d
}

func (d *decoder[E, S]) element() (v E) {
	if d.err == nil {
		v, d.err = d.suite.readElement(&d.r)
	}
	return v
}

func (d *decoder[E, S]) challenge() (v S) {
	if d.err == nil {
		v, d.err = d.suite.readChallenge(&d.r)
	}
	return v
}

func (d *decoder[E, S]) response() (v S) {
	if d.err == nil {
		v, d.err = d.suite.readResponse(&d.r)
	}
	return v
}

func (d *decoder[E, S]) half() half[E, S] {
	return half[E, S]{public: d.element(), c: d.challenge(), d: d.response()}
}

func (d *decoder[E, S]) commitment() commitment[E, S] {
	return commitment[E, S]{
		p: d.element(), q: d.element(),
		c: d.challenge(), d5: d.response(), d6: d.response(),
	}
}

func (d *decoder[E, S]) result() result[E, S] {
	return result[E, S]{r: d.element(), c: d.challenge(), d: d.response()}
}

// end returns the first error, or an error if bytes follow the last value.
func (d *decoder[E, S]) end() error {
	if d.err != nil {
		return d.err
	}
	return malformed(d.r.End())
}

// malformed wraps the error of a field in ErrMalformed.
func malformed(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}
