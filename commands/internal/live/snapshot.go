package live

import (
	"os"
	"time"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// A Snapshot is the state of a session at one moment. It never changes.
type Snapshot struct {
	State       control.State
	Connected   bool             // the stream runs over a transport
	Peer        *events.Peer     // the session's peer; nil: there is none yet
	Version     int              // of OTR, if Peer is not nil
	Fingerprint keys.Fingerprint // of the peer's key, if Peer is not nil
	Instance    uint32           // of the peer, if Peer is not nil
	KeysSince   time.Time        // if Peer is not nil
	Trusted     bool             // the peer has passed every required check
	Passed      bool             // the key has passed every check, now or before
	Asked       *string          // the question of the peer's SMP that waits for an answer; nil: none
	Run         uint64           // identifies that question
	Session     stream.SessionID // identifies the session if Trusted is set; zero otherwise
	Mode        string
	Contact     string // the expected peer; "": anybody
}

// Standing describes what is known of the peer's key; "" if there is no peer.
func (s Snapshot) Standing() trust.Standing {
	if s.Peer == nil {
		return ""
	}
	return trust.Standing(s.Peer.Trust)
}

// Snapshot returns the present state of the session.
func (s *Session) Snapshot() Snapshot { return *s.snapshot.Load() }

// publish makes the present state of the session visible to other goroutines. Only the owner
// calls it.
func (s *Session) publish() {
	now := &Snapshot{
		State:     s.state,
		Connected: s.carried,
		Trusted:   s.trusted,
		Passed:    s.keeper != nil && s.keeper.Passed(),
		Asked:     s.smp.asked,
		Run:       s.smp.run,
		Mode:      s.options.Mode,
		Contact:   s.options.Contact,
	}
	if s.peer != nil {
		peer := *s.peer
		now.Peer = &peer
		now.Version, now.Fingerprint = s.session.Version, s.session.Fingerprint
		now.Instance, now.KeysSince = s.session.PeerInstance, s.session.KeysSince
	}
	if s.trusted && s.isRunning() {
		now.Session, _ = s.connected.Load().Session()
	}
	s.snapshot.Store(now)
	if s.cfg.Changed != nil {
		s.cfg.Changed(*now)
	}
}

// isRunning reports whether the stream runs or has run.
func (s *Session) isRunning() bool {
	select {
	case <-s.running:
		return true
	default:
		return false
	}
}

// Status returns the answer to the status command.
func (s *Session) Status() *control.Status {
	now := s.Snapshot()
	status := &control.Status{
		Session:  s.cfg.Name.Session,
		Identity: s.cfg.Name.Identity,
		Mode:     now.Mode,
		State:    now.State,
		PID:      os.Getpid(),
	}
	if now.Contact != "" {
		status.Contact = &now.Contact
	}
	if p := now.Peer; p != nil {
		since := now.KeysSince.UTC().Format(time.RFC3339)
		status.Version, status.Fingerprint, status.Trust = &p.Version, &p.Fingerprint, &p.Trust
		if p.By != "" {
			status.By = &p.By
		}
		status.SSID, status.Instance, status.KeysSince = &p.SSID, p.Instance, &since
	}
	if s.isRunning() {
		stats := s.connected.Load().Stats()
		status.Sent = control.Count{Bytes: stats.SentBytes, Messages: stats.SentMessages}
		status.Received = control.Count{Bytes: stats.ReceivedBytes, Messages: stats.ReceivedMessages}
	}
	return status
}
