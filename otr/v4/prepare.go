package v4

import (
	"fmt"
	"io"
	"sync"

	"otrpipe/internal/secret"
	"otrpipe/otr/group"
)

// A Preparation computes values for our next ratchet in advance: its key pairs and, once the
// peer's keys are known, the secrets shared with them. Run may be called in any goroutine.
// When the session reaches the ratchet, it takes the values that are ready and computes the
// rest itself; it never waits for Run.
type Preparation struct {
	id      uint32 // the id of the ratchet
	withDH  bool
	theirs  *group.Point // the peer's keys; nil: not known yet
	theirDH []byte

	mu      sync.Mutex
	dropped bool
	keys    preparedKeys // guarded by mu
}

// preparedKeys holds the computed keys, which are secret.
type preparedKeys struct {
	ecdhSecret group.Scalar
	dhSecret   [dhSecretLen]byte

	paired bool // ecdh is set, and dh if it is due
	ecdh   ecdhKey
	dh     dhKey

	shared     bool                 // the following are set too
	sharedECDH [group.PointLen]byte // K_ecdh as POINT
	brace      braceKey             // if a DH key is due
}

// Prepare returns a Preparation for our next ratchet, or nil if there is nothing to prepare
// or it has been returned already. It reads the secrets of the new keys from the Client's
// source of randomness.
func (e *Engine) Prepare() (*Preparation, error) {
	s := e.session
	if s == nil {
		return nil, nil
	}
	r := &s.ratchet
	id := r.i
	if !r.ourTurn {
		id++ // after the peer's
	}
	if p := s.prepared; p != nil && p.id == id {
		if !r.ourTurn || p.theirs != nil {
			return nil, nil
		}
		keys, ok := p.take()
		if !ok {
			return nil, nil
		}
		s.prepared = newPreparation(r, id, keys)
		keys.wipe()
		return s.prepared, nil
	}
	var keys preparedKeys
	defer keys.wipe()
	var err error
	if keys.ecdhSecret, err = group.DrawScalar(e.client.Rand); err != nil {
		return nil, fmt.Errorf("v4: ECDH key: %w", err)
	}
	if id%braceInterval == 0 {
		if _, err := io.ReadFull(e.client.Rand, keys.dhSecret[:]); err != nil {
			return nil, fmt.Errorf("v4: DH key: %w", err)
		}
	}
	s.prepared.drop()
	s.prepared = newPreparation(r, id, keys)
	return s.prepared, nil
}

func newPreparation(r *ratchet, id uint32, keys preparedKeys) *Preparation {
	p := &Preparation{id: id, withDH: id%braceInterval == 0, keys: keys}
	if r.ourTurn {
		p.theirs, p.theirDH = r.theirECDH, r.theirDH
	}
	return p
}

// Run computes the values.
func (p *Preparation) Run() {
	p.mu.Lock()
	keys := p.keys
	dropped := p.dropped
	p.mu.Unlock()
	defer keys.wipe()
	if dropped {
		return
	}
	secret.Do(func() { keys.compute(p.withDH, p.theirs, p.theirDH) })
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.dropped {
		p.keys = keys
	}
}

// compute sets the missing values that can be computed. It ignores an invalid shared secret,
// which the session will detect itself.
func (k *preparedKeys) compute(withDH bool, theirs *group.Point, theirDH []byte) {
	if !k.paired {
		k.ecdh = ecdhKeyOf(k.ecdhSecret)
		if withDH {
			k.dh = dhKeyOf(&k.dhSecret)
		}
		k.paired = true
	}
	if theirs == nil || k.shared {
		return
	}
	if withDH {
		var err error
		if k.brace, err = thirdBraceKey(&k.dh, theirDH); err != nil {
			return
		}
	}
	k.shared = sharedPoint(&k.sharedECDH, &k.ecdh, theirs) == nil
}

// take returns the computed values and ends the Preparation; false: it had ended before.
func (p *Preparation) take() (keys preparedKeys, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dropped {
		return keys, false
	}
	keys = p.keys
	p.dropped = true
	p.keys.wipe()
	return keys, true
}

// peek returns the values computed for a ratchet; false: the Preparation is for another
// ratchet, or has ended.
func (p *Preparation) peek(id uint32) (keys preparedKeys, ok bool) {
	if p == nil || p.id != id {
		return keys, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys, !p.dropped
}

// drop wipes the secrets. The result of a Run that is under way is discarded.
func (p *Preparation) drop() {
	if p != nil {
		keys, _ := p.take()
		keys.wipe()
	}
}

func (k *preparedKeys) wipe() { *k = preparedKeys{} }

// Format prints a placeholder for every verb. Its receiver is a pointer: a Preparation
// is not copied.
func (*Preparation) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.Preparation(…)") }

// Format prints a placeholder.
func (preparedKeys) Format(f fmt.State, _ rune) { io.WriteString(f, "v4.preparedKeys(…)") }
