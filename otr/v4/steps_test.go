package v4

import (
	"bytes"
	"io"
	"testing"

	"otrpipe/otr/group"
	"otrpipe/otr/wire"
)

// An exchange that one side has made alone passes every check that the messages allow.
func TestOneSideCanMakeTheOthersRingSignature(t *testing.T) {
	for _, forger := range []string{"Bob", "Alice"} {
		t.Run(forger, func(t *testing.T) {
			us, peer := newTestClient(t, 1), newTestClient(t, 2)
			us.Accounts, peer.Accounts = nil, nil
			profile, err := peer.Profile()
			if err != nil {
				t.Fatal(err)
			}
			draws := &firstDraw{Reader: us.Rand}
			us.Rand = draws
			signer := signerFunc(func(rand io.Reader, ring Ring, _ int, m []byte) ([]byte, error) {
				secret, err := group.DrawScalar(bytes.NewReader(draws.scalar))
				if err != nil {
					t.Fatal(err)
				}
				return ring.Sign(rand, secret, EphemeralPosition, m)
			})
			pretended, err := NewProfileClient(profile, signer, peer.Config)
			if err != nil {
				t.Fatal(err)
			}
			ours := us.NewEngine(profile.InstanceTag)
			theirs := pretended.NewEngine(us.InstanceTag)
			bob, alice, client := ours, theirs, us
			if forger == "Alice" {
				bob, alice, client = theirs, ours, pretended
			}
			offer, err := client.NewOffer()
			if err != nil {
				t.Fatal(err)
			}
			bob.Begin(offer)
			receive := func(e *Engine, msg []byte) []byte {
				t.Helper()
				h, body, err := wire.ParseHeader(msg)
				if err != nil {
					t.Fatal(err)
				}
				reply, _, err := e.Receive(h, body, msg, nil)
				if err != nil {
					t.Fatal(err)
				}
				return reply
			}
			first := offer.Message(0)
			second := receive(alice, first)
			third := receive(bob, second)
			receive(alice, third)
			if !ours.Encrypted() || !theirs.Encrypted() {
				t.Fatal("no session came of it")
			}
			h1, b1, _ := wire.ParseHeader(first)
			identity, err := ParseIdentity(b1)
			if err != nil {
				t.Fatal(err)
			}
			h2, b2, _ := wire.ParseHeader(second)
			authR, err := ParseAuthR(b2)
			if err != nil {
				t.Fatal(err)
			}
			_, b3, _ := wire.ParseHeader(third)
			authI, err := ParseAuthI(b3)
			if err != nil {
				t.Fatal(err)
			}
			if err := VerifyAuthR(identity, h1.Sender, authR, h2.Sender, nil); err != nil {
				t.Error(err)
			}
			if err := VerifyAuthI(identity, h1.Sender, authR, h2.Sender, nil, authI); err != nil {
				t.Error(err)
			}
			if err := VerifyAuthR(identity, h1.Sender+1, authR, h2.Sender, nil); err == nil {
				t.Error("the signature holds for another instance")
			}
			if err := VerifyAuthI(identity, h1.Sender, authR, h2.Sender, &Accounts{"a", "b"}, authI); err == nil {
				t.Error("the signature holds for accounts that were not bound")
			}
		})
	}
}

// firstDraw remembers the randomness of the first scalar that is drawn: x, or y.
type firstDraw struct {
	io.Reader
	scalar []byte
}

func (d *firstDraw) Read(p []byte) (int, error) {
	n, err := d.Reader.Read(p)
	if d.scalar == nil && n == group.ScalarLen {
		d.scalar = bytes.Clone(p)
	}
	return n, err
}

type signerFunc func(io.Reader, Ring, int, []byte) ([]byte, error)

func (f signerFunc) SignRing(rand io.Reader, ring Ring, position int, m []byte) ([]byte, error) {
	return f(rand, ring, position, m)
}
