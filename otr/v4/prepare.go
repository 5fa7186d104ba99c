package v4

import (
	"fmt"
	"io"
	"sync"

	"otrpipe/internal/secret"
	"otrpipe/otr/group"
)

// A Preparation computes what our next ratchet needs before there is a message for it: its
// key pairs, and once the peer's keys are known the secrets that are shared with them. Run
// may be called in any goroutine; the session takes what is there when it comes to the
// ratchet, and computes the rest itself. It never waits.
type Preparation struct {
	id      uint32 // of the ratchet
	withDH  bool
	theirs  *group.Point // the peer's keys; nil: they are not known yet
	theirDH []byte

	mu      sync.Mutex
	dropped bool
	keys    preparedKeys // guarded by mu
}

// preparedKeys are secret.
type preparedKeys struct {
	ecdhSecret group.Scalar
	dhSecret   [dhSecretLen]byte

	paired bool // ecdh is there, and dh if it is due
	ecdh   ecdhKey
	dh     dhKey

	shared     bool                 // and these are too
	sharedECDH [group.PointLen]byte // K_ecdh as POINT
	brace      braceKey             // if a DH key is due
}

// Prepare returns work for our next ratchet, or nil if there is none that has not been
// given out. It reads the secrets of the new keys from the Client's source of randomness.
func (e *Engine) Prepare() (*Preparation, error) {
	s := e.session
	if s == nil {
		return nil, nil
	}
	r := &s.ratchet
	id := r.i
	if !r.ourTurn {
		id++ // behind the peer's
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

// Run does the work.
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

// compute fills in what is missing and can be had. Where a shared secret is not valid the
// session finds that out itself.
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

// take returns what has been computed and ends the Preparation; false: it has ended before.
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

// peek returns what has been computed for a ratchet; false: this is for another one, or
// has ended.
func (p *Preparation) peek(id uint32) (keys preparedKeys, ok bool) {
	if p == nil || p.id != id {
		return keys, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys, !p.dropped
}

// drop wipes the secrets; work that is under way is for nothing.
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
