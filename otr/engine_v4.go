package otr

import (
	"errors"
	"fmt"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// protocolV4 implements version 4.
type protocolV4 struct{ client *v4.Client }

// newProtocolV4 returns the protocol for a Config that allows version 4.
func newProtocolV4(cfg Config, log *keyLog) protocolV4 {
	config := v4.Config{
		InstanceTag: cfg.InstanceTag,
		Identity:    cfg.Ed448,
		Forging:     cfg.Forging,
		KeptProfile: cfg.ClientProfile,
		Rand:        cfg.Rand,
		Now:         cfg.Now,
	}
	if cfg.Policy.Has(AllowV3) {
		config.DSA = cfg.DSA // our profile must list only versions that we allow
	}
	if cfg.Account != "" {
		config.Accounts = &v4.Accounts{Ours: cfg.Account, Theirs: cfg.PeerAccount}
	}
	if log != nil {
		config.OnKey = func(k v4.UsedKey) {
			log.add(v4.Version, cfg.InstanceTag, k.Peer, k.Sending, k.RatchetID, k.MessageID, k.Message[:])
		}
	}
	return protocolV4{client: v4.NewClient(config)}
}

// ClientProfile returns the encoded client profile that a Conversation with cfg sends to its
// peers in version 4, or nil if cfg does not allow version 4. It is cfg.ClientProfile as long
// as that is usable, and otherwise a new one, which the caller should keep and pass in cfg
// the next time. Each profile is a signed statement that its keys were in use on the day when
// it was made, so there should be few of them. The error is an ErrConfig or comes from the
// source of randomness.
func ClientProfile(cfg Config) ([]byte, error) {
	switch {
	case !cfg.Policy.Allows(v4.Version):
		return nil, nil
	case cfg.Rand == nil || cfg.Now == nil || cfg.Ed448 == nil || cfg.Forging == nil:
		return nil, fmt.Errorf("%w: a client profile needs an Ed448 key, a forging key, randomness and a clock", ErrConfig)
	}
	p, err := newProtocolV4(cfg, nil).client.Profile()
	if err != nil {
		return nil, fmt.Errorf("otr: %w", err)
	}
	return p.Append(nil), nil
}

func (p protocolV4) fragmentFormat() int { return v4.Version }

// errorMalformed is the error message for instance tags that are not valid or do not fit
// together (section "OTR Error Messages").
const errorMalformed = "ERROR_3: Malformed message"

// errorText uses the codes of the section "OTR Error Messages".
func (p protocolV4) errorText(reason error) string {
	if errors.Is(reason, ErrNotEncrypted) {
		return "ERROR_2: Not in private state message"
	}
	return "ERROR_1: Unreadable message"
}

func (p protocolV4) newEngine(peer uint32) engine {
	return engineV4{Engine: p.client.NewEngine(peer), client: p.client}
}

func (p protocolV4) newOffer() (offer, error) {
	o, err := p.client.NewOffer()
	if err != nil {
		return nil, err
	}
	return offerV4{o}, nil
}

type offerV4 struct{ *v4.Offer }

func (o offerV4) message(receiver uint32) []byte { return o.Message(receiver) }
func (o offerV4) revealed() bool                 { return false } // only a session opens it
func (o offerV4) wipe()                          { o.Wipe() }

type engineV4 struct {
	*v4.Engine
	client *v4.Client
}

func (e engineV4) begin(o offer)         { e.Begin(o.(offerV4).Offer) }
func (e engineV4) forget()               { e.Forget() }
func (e engineV4) sessions() int         { return e.Sessions() }
func (e engineV4) expire(now time.Time)  { e.Expire(now) }
func (e engineV4) nextExpiry() time.Time { return e.NextExpiry() }

func (e engineV4) drop() { e.Drop() }
func (e engineV4) wipe() { e.Wipe() }

// relinquish: a peer that answers our Identity message has no session before our Auth-I,
// and with that we have ours.
func (e engineV4) relinquish() bool {
	e.Forget()
	return false
}

func (e engineV4) authState() AuthState {
	if s := e.AuthState(); s != v4.AuthNone {
		return authV4 + AuthState(s)
	}
	return AuthNone
}

func (e engineV4) late() bool { return e.Late() }

// crossed: the offer that has lost is forgotten.
func (e engineV4) crossed() bool { return false }

func (e engineV4) unanswered() []byte { return e.Answer() }

func (e engineV4) settling() bool { return e.Settling() }
func (e engineV4) settled()       { e.Settled() }

// exchanging: from the Identity message to the Auth-I neither side sends; whose
// keys are the newer ones is open.
func (e engineV4) exchanging() bool { return e.AuthState() != v4.AuthNone }

func (e engineV4) receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) ([]byte, wire.Plaintext, verdict, error) {
	reply, got, err := e.Receive(h, body, msg, tlvs)
	return reply, got, judgeV4(err), err
}

func judgeV4(err error) verdict {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, v4.ErrIgnored):
		return ignored
	case errors.Is(err, v4.ErrEcho):
		return echoed
	case errors.Is(err, v4.ErrBeaten):
		return beaten
	case errors.Is(err, v4.ErrBusy):
		return busy
	case errors.As(err, new(*v4.ExpiredError)):
		return expired
	case errors.Is(err, v4.ErrProfileOwner):
		return mistagged
	case errors.Is(err, v4.ErrReplay):
		return replayed
	case errors.Is(err, v4.ErrUnreadable):
		return undecipherable
	case errors.Is(err, v4.ErrMalformed), errors.Is(err, v4.ErrAuthentication):
		return malformed
	}
	return failed
}

func (e engineV4) seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.Seal(b, flags, p)
}

func (e engineV4) sealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.SealRevealing(b, flags, p)
}

func (e engineV4) sealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.SealLast(b, flags, p)
}

func (e engineV4) settle(s *sealings, flags byte, p wire.Plaintext) (int, error) {
	s.version = v4.Version
	return e.Settle(&s.v4, flags, p)
}

// prepare ignores an error of the source of randomness, because the message that needs the
// keys will report it.
func (e engineV4) prepare() func() {
	p, err := e.Prepare()
	if p == nil || err != nil {
		return nil
	}
	return p.Run
}

func (e engineV4) foresee(f *foresight, n int) bool {
	f.version = v4.Version
	return e.Foresee(&f.v4, n)
}

func (e engineV4) receiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, a *ahead) (wire.Plaintext, verdict, error) {
	got, err := e.ReceiveAhead(h, body, msg, tlvs, &a.v4)
	return got, judgeV4(err), err
}

func (e engineV4) peerFingerprint() keys.Fingerprint {
	if k := e.PeerKey(); k != nil {
		return k.Fingerprint()
	}
	return keys.Fingerprint{}
}

func (e engineV4) vouchingFingerprint() keys.Fingerprint {
	if k := e.PeerKey(); k != nil && k.DSA != nil {
		return k.DSA.Fingerprint()
	}
	return keys.Fingerprint{}
}

func (e engineV4) peerVersions() (wire.Versions, time.Time) {
	if k := e.PeerKey(); k != nil {
		return k.Versions, k.Expires
	}
	return 0, time.Time{}
}

func (e engineV4) ssid() ([8]byte, bool) { return e.SSID() }

func (e engineV4) keyRotations() uint32 { return e.KeyRotations() }

func (e engineV4) inherit(old engine) bool {
	from, ok := old.(engineV4)
	if ok {
		e.Inherit(from.Engine)
	}
	return ok
}

func (e engineV4) smpBinding() smp.Binding {
	id, _ := e.SSID()
	return smp.V4(e.client.Fingerprint(), e.peerFingerprint(), id)
}

func (e engineV4) tlvKind(t uint16) tlvKind {
	switch t {
	case wire.TLVPadding:
		return tlvPadding
	case wire.TLVDisconnected:
		return tlvDisconnected
	case wire.TLVSMP1, wire.TLVSMP2, wire.TLVSMP3, wire.TLVSMP4, wire.TLVSMPAbort:
		return tlvSMP
	case v4.TLVExtraKey:
		return tlvExtraKey
	}
	return tlvOther
}

func (e engineV4) extraKeyTLV() (uint16, error) { return v4.TLVExtraKey, nil }

func (e engineV4) extraKey(received bool, n int) ([]byte, error) {
	extra := e.ExtraKeys(received)
	if n >= len(extra) {
		return nil, errTooManyExtraKeys
	}
	return append([]byte(nil), extra[n].Key[:]...), nil
}
