package otr

import (
	"errors"
	"time"

	"otrpipe/otr/keys"
	"otrpipe/otr/smp"
	"otrpipe/otr/v3"
	"otrpipe/otr/wire"
)

// protocolV3 implements versions 2 and 3.
type protocolV3 struct {
	config v3.Config
	log    *keyLog // nil: keys are not logged
}

func (p protocolV3) fragmentFormat() int { return int(p.config.Version) }

func (p protocolV3) errorText(error) string { return unreadableText }

// unreadableText is the text of our error message. With the prefix of error messages it fits
// into the shortest line that Config.MaxSize allows.
const unreadableText = "Your message cannot be read: its keys are gone."

func (p protocolV3) newEngine(peer uint32) engine {
	config := p.config
	if p.log != nil {
		config.OnKey = func(k v3.UsedKey) {
			p.log.add(int(config.Version), config.InstanceTag, peer, k.Sending, k.SenderKeyID, k.RecipientKeyID, k.AES[:])
		}
	}
	return engineV3{Engine: v3.NewEngine(config, peer), config: config}
}

func (p protocolV3) newOffer() (offer, error) {
	o, err := v3.NewOffer(p.config.Rand)
	if err != nil {
		return nil, err
	}
	return offerV3{Offer: o, config: p.config}, nil
}

type offerV3 struct {
	*v3.Offer
	config v3.Config
}

func (o offerV3) message(receiver uint32) []byte {
	return o.Message(o.config.Version, o.config.InstanceTag, receiver)
}

func (o offerV3) revealed() bool { return o.Revealed() }

func (o offerV3) wipe() { o.Wipe() }

type engineV3 struct {
	*v3.Engine
	config v3.Config
}

func (e engineV3) begin(o offer)         { e.Begin(o.(offerV3).Offer) }
func (e engineV3) forget()               { e.Forget() }
func (e engineV3) relinquish() bool      { return e.Relinquish() }
func (e engineV3) sessions() int         { return e.Sessions() }
func (e engineV3) expire(time.Time)      {} // keys are dropped when their successors come
func (e engineV3) nextExpiry() time.Time { return time.Time{} }

func (e engineV3) drop() { e.Drop() }
func (e engineV3) wipe() { e.Wipe() }

func (e engineV3) authState() AuthState { return authV3 + AuthState(e.AuthState()) }

func (e engineV3) late() bool { return e.Late() }

func (e engineV3) crossed() bool { return e.Crossed() }

func (e engineV3) unanswered() []byte { return e.Answer() }

// settling: a peer of these versions answers a repeated commitment with the same
// key.
func (e engineV3) settling() bool { return false }
func (e engineV3) settled()       {}

func (e engineV3) exchanging() bool { return e.AuthState() == v3.AuthAwaitingSig }

func (e engineV3) receive(h wire.Header, body, msg []byte, tlvs []wire.TLV) ([]byte, wire.Plaintext, verdict, error) {
	reply, got, err := e.Receive(h, body, msg, tlvs)
	return reply, got, judgeV3(err), err
}

func judgeV3(err error) verdict {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, v3.ErrIgnored):
		return ignored
	case errors.Is(err, v3.ErrEcho):
		return echoed
	case errors.Is(err, v3.ErrBeaten):
		return beaten
	case errors.Is(err, v3.ErrReplay):
		return replayed
	case errors.Is(err, v3.ErrUnreadable):
		return undecipherable
	case errors.Is(err, v3.ErrMalformed), errors.Is(err, v3.ErrAuthentication):
		return malformed
	}
	return failed
}

func (e engineV3) seal(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.Seal(b, flags, p)
}

func (e engineV3) sealRevealing(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.SealRevealing(b, flags, p)
}

func (e engineV3) sealLast(b []byte, flags byte, p wire.Plaintext) ([]byte, error) {
	return e.SealLast(b, flags, p)
}

func (e engineV3) settle(s *sealings, flags byte, p wire.Plaintext) (int, error) {
	s.version = v3.Version3
	return e.Settle(&s.v3, flags, p)
}

// prepare ignores an error of the source of randomness, because the message that needs the
// keys will report it.
func (e engineV3) prepare() func() {
	p, err := e.Prepare()
	if p == nil || err != nil {
		return nil
	}
	return p.Run
}

func (e engineV3) foresee(f *foresight, _ int) bool {
	f.version = v3.Version3
	return e.Foresee(&f.v3)
}

func (e engineV3) receiveAhead(h wire.Header, body, msg []byte, tlvs []wire.TLV, a *ahead) (wire.Plaintext, verdict, error) {
	got, err := e.ReceiveAhead(h, body, msg, tlvs, &a.v3)
	return got, judgeV3(err), err
}

func (e engineV3) peerFingerprint() keys.Fingerprint {
	if k := e.PeerKey(); k != nil {
		return k.Fingerprint()
	}
	return keys.Fingerprint{}
}

func (e engineV3) vouchingFingerprint() keys.Fingerprint { return keys.Fingerprint{} }

func (e engineV3) peerVersions() (wire.Versions, time.Time) { return 0, time.Time{} }

func (e engineV3) ssid() ([8]byte, bool) { return e.SSID() }

func (e engineV3) keyRotations() uint32 { return e.KeyRotations() }

func (e engineV3) inherit(old engine) bool {
	from, ok := old.(engineV3)
	if ok {
		e.Inherit(from.Engine)
	}
	return ok
}

func (e engineV3) smpBinding() smp.Binding {
	id, _ := e.SSID()
	return smp.V3(e.config.Identity.Public().Fingerprint(), e.peerFingerprint(), id)
}

func (e engineV3) tlvKind(t uint16) tlvKind {
	switch t {
	case wire.TLVPadding:
		return tlvPadding
	case wire.TLVDisconnected:
		return tlvDisconnected
	case wire.TLVSMP1, wire.TLVSMP2, wire.TLVSMP3, wire.TLVSMP4, wire.TLVSMPAbort, wire.TLVSMP1Q:
		return tlvSMP
	case wire.TLVExtraKey:
		if e.config.Version >= v3.Version3 {
			return tlvExtraKey
		}
	}
	return tlvOther
}

func (e engineV3) extraKeyTLV() (uint16, error) {
	if e.config.Version < v3.Version3 {
		return 0, ErrNoExtraKey
	}
	return wire.TLVExtraKey, nil
}

// extraKey: version 3 has one key per message, regardless of the announced use.
func (e engineV3) extraKey(received bool, _ int) ([]byte, error) {
	if e.config.Version < v3.Version3 {
		return nil, ErrNoExtraKey
	}
	k, err := e.ExtraKey(received)
	return k[:], err
}
