package stream_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
	"otrpipe/otr/stream"
)

// clock is the real time.
type clock struct{}

func (clock) Now() time.Time { return time.Now() }

func (clock) AfterFunc(d time.Duration, f func()) stream.Timer { return time.AfterFunc(d, f) }

// secure runs OTR over conn, with a peer that must have the expected key.
func secure(conn net.Conn, own *keys.DSAPrivateKey, expected keys.Fingerprint) (*stream.Stream, error) {
	c, err := otr.New(otr.Config{
		DSA:    own,
		Policy: otr.AllowV3 | otr.RequireEncryption,
		Rand:   rand.Reader,
		Now:    time.Now,
	})
	if err != nil {
		return nil, err
	}
	s := stream.Open(conn, stream.Config{
		Conversation: c,
		Clock:        clock{},
		Rand:         rand.Reader,
		Initiate:     true,
		Timeout:      time.Minute,
		Heartbeat:    time.Minute,
		Dead:         5 * time.Minute,
		Verify: func(session otr.Session) error {
			if session.Fingerprint != expected {
				return fmt.Errorf("%v is not the key that was expected", session.Fingerprint)
			}
			return nil
		},
	})
	return s, s.Handshake(context.Background())
}

// Two ends of a connection talk in private and end properly.
func Example() {
	alice, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	bob, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		log.Fatal(err)
	}
	a, b := net.Pipe()

	go func() {
		s, err := secure(b, bob, alice.Public().Fingerprint())
		if err != nil {
			log.Fatal(err)
		}
		defer s.Close()
		io.Copy(s, s) // an echo service
		s.CloseWrite()
	}()

	s, err := secure(a, alice, bob.Public().Fingerprint())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Fprint(s, "hello, bob")
	s.CloseWrite()
	answer, err := io.ReadAll(s)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", answer)
	// nil only if both directions ended and everything was acknowledged.
	fmt.Println(s.Close())
	// Output:
	// hello, bob
	// <nil>
}
