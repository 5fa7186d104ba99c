package v4

import (
	"bytes"
	"fmt"
	"testing"

	"otrpipe/otr/wire"
)

// BenchmarkKeyExchange measures a whole key exchange, both sides.
func BenchmarkKeyExchange(b *testing.B) {
	alice, bob := newEnds(b)
	for b.Loop() {
		alice.answer(bob.answer(alice.answer(bob.start())))
	}
}

// BenchmarkPingPong measures one message each way; every third one needs a DH key.
func BenchmarkPingPong(b *testing.B) {
	alice, bob := newSession(b)
	for b.Loop() {
		bob.read(alice.say("ping"))
		alice.read(bob.say("pong"))
	}
}

// BenchmarkData measures messages of one ratchet.
func BenchmarkData(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10} {
		p := wire.Plaintext{Text: bytes.Repeat([]byte("x"), size)}
		b.Run(fmt.Sprintf("send/%d", size), func(b *testing.B) {
			alice, bob := newSession(b)
			bob.read(alice.say("0"))
			buf := make([]byte, 0, size+1024)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := alice.Seal(buf[:0], 0, p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("both/%d", size), func(b *testing.B) {
			alice, bob := newSession(b)
			bob.read(alice.say("0"))
			buf := make([]byte, 0, size+1024)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				msg, err := alice.Seal(buf[:0], 0, p)
				if err != nil {
					b.Fatal(err)
				}
				h, body, err := wire.ParseHeader(msg)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := bob.Receive(h, body, msg, nil); err != nil {
					b.Fatal(err)
				}
				bob.session.reveal = bob.session.reveal[:0] // as if they had been revealed
			}
		})
	}
}
