package v3

import (
	"fmt"
	"io"
	"sync"

	"otrpipe/internal/secret"
	"otrpipe/otr/group"
)

// A Preparation computes values for the next messages in advance: the session keys with the
// peer's latest key, for the messages that we send and for the answers to them, and our next
// D-H key. Run may be called in any goroutine. When the session needs these values, it takes
// those that are ready and computes the rest itself; it never waits for Run.
type Preparation struct {
	// Set by Prepare, and owned by Run while it is under way.
	ours   [2]dhKey // copies of the session's keys
	theirs []byte   // the peer's latest key
	wanted [2]bool  // the session has no keys of ours[i] with theirs yet
	next   dhKey    // our next key; Run computes its public value

	mu      sync.Mutex
	running bool // guarded by mu, like the fields below
	dropped bool
	hasNext bool         // next has its public value
	pairs   [2]*pairKeys // of ours[i] with theirs; nil: not computed, or taken
}

// Prepare returns a Preparation for the next messages, or nil if there is no session or its
// Preparation has been returned already. It reads the secret of our next key from the
// engine's source of randomness.
func (e *Engine) Prepare() (*Preparation, error) {
	s := e.session
	if s == nil || s.prepared != nil {
		return nil, nil
	}
	p := &Preparation{theirs: s.theirs[latest]}
	if _, err := io.ReadFull(e.rand, p.next.secret[:]); err != nil {
		clear(p.next.secret[:])
		return nil, fmt.Errorf("v3: D-H key: %w", err)
	}
	for our := range s.ours {
		copy(p.ours[our].secret[:], s.ours[our].secret[:])
		p.ours[our].public = s.ours[our].public
		p.wanted[our] = s.pairs[our][latest] == nil
	}
	s.prepared = p
	return p, nil
}

// Run computes the values.
func (p *Preparation) Run() {
	p.mu.Lock()
	begins := !p.running && !p.dropped && !p.hasNext
	p.running = p.running || begins
	p.mu.Unlock()
	if !begins {
		return
	}
	secret.Do(func() {
		// First the keys for an answer, which may be needed at once.
		for _, our := range []int{previous, latest} {
			if !p.wanted[our] {
				continue
			}
			// The session itself rejects an invalid key of the peer when it needs the keys.
			if keys, err := newPairKeys(&p.ours[our], p.theirs); err == nil {
				p.mu.Lock()
				p.pairs[our] = keys
				p.mu.Unlock()
			}
		}
		p.next.public = group.MODP1536().ExpBase(p.next.secret[:])
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.hasNext = false, true
	if p.dropped {
		p.wipe()
	}
}

// takePair returns the session keys for our key in a slot and the peer's latest key, or nil
// if they are not ready.
func (p *Preparation) takePair(our int) (keys *pairKeys) {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	keys, p.pairs[our] = p.pairs[our], nil
	return keys
}

// takeNext returns our next key, or nil if it is not ready.
func (p *Preparation) takeNext() *dhKey {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.hasNext || p.dropped {
		return nil
	}
	k := &dhKey{public: p.next.public}
	copy(k.secret[:], p.next.secret[:])
	return k
}

// drop ends the Preparation and wipes its secrets. If Run is under way, Run wipes them when
// it ends.
func (p *Preparation) drop() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropped = true
	if !p.running {
		p.wipe()
	}
}

// wipe overwrites all secrets. It must not be called while Run is under way.
func (p *Preparation) wipe() {
	for i := range p.ours {
		p.ours[i].wipe()
		p.pairs[i].wipe()
		p.pairs[i] = nil
	}
	p.next.wipe()
}

// Format prints a placeholder for every verb. Its receiver is a pointer: a Preparation
// is not copied.
func (*Preparation) Format(f fmt.State, _ rune) { io.WriteString(f, "v3.Preparation(…)") }
