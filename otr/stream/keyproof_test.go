package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// version4 lets an end speak versions 3 and 4.
func version4(t *testing.T) func(*otr.Config) {
	return func(c *otr.Config) {
		var err error
		if c.Ed448, err = keys.GenerateEd448(c.Rand); err != nil {
			t.Fatal(err)
		}
		if c.Forging, err = keys.GenerateForgingKey(c.Rand); err != nil {
			t.Fatal(err)
		}
		c.Policy = otr.AllowV3 | otr.AllowV4 | otr.RequireEncryption
	}
}

// An end whose Verify is not sure asks the peer for a proof of its old key, and judges it again
// with the answer, or when there is none after a while. Nothing moves before that.
func TestAPeerIsJudgedAgainWithItsProofOrWithout(t *testing.T) {
	no := errors.New("not without a proof")
	for _, c := range []struct {
		name           string
		lost           bool // the request, as with a peer that does not know it
		withoutV4      bool // nothing can be proven
		lines          bool
		proven, letsIn bool
		waits          time.Duration
	}{
		{"it proves it", false, false, false, true, true, 0},
		{"it proves it, mode lines", false, false, true, true, true, 0},
		{"it does not answer, and is let in", true, false, true, false, true, keyProofWait},
		{"it does not answer, and is refused", true, false, true, false, false, keyProofWait},
		{"there is nothing to prove", false, true, false, false, false, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dropped := 0
				drop := func(_ int, line []byte) [][]byte {
					if c.lost && dropped == 0 && bytes.HasPrefix(line, []byte("?OTR:AAQD")) {
						dropped++
						return nil
					}
					return [][]byte{line}
				}
				a, b := cable(t, relay{filter: drop, delay: time.Millisecond}, relay{delay: time.Millisecond})
				var asked []otr.Session
				var at []time.Time
				verify := func(cfg *Config) {
					cfg.Verify = func(s otr.Session) error {
						asked, at = append(asked, s), append(at, time.Now())
						switch {
						case len(asked) == 1:
							return fmt.Errorf("%w", ErrUnproven)
						case !c.letsIn:
							return no
						}
						return nil
					}
				}
				edit := version4(t)
				if c.withoutV4 {
					edit = func(c *otr.Config) { c.Policy = otr.AllowV3 | otr.RequireEncryption }
				}
				ours, theirs := setting{config: verify, otr: edit, lines: c.lines}, setting{otr: edit, lines: c.lines}
				ea, eb := openPair(t, a, b, ours, theirs)
				if c.lines {
					eb.lines.WriteMessage([]byte("payload"))
				} else {
					eb.Write([]byte("payload"))
				}
				handshake, wait := ea.handshaker()
				err := handshake(context.Background())
				if c.letsIn && err != nil || !c.letsIn && (!errors.Is(err, ErrRefused) || !errors.Is(err, no)) {
					t.Errorf("Handshake: %v", err)
				}
				if len(asked) != 2 || asked[0].Proven || asked[1].Proven != c.proven {
					t.Fatalf("asked %d times: %+v", len(asked), asked)
				}
				if waited := at[1].Sub(at[0]).Truncate(time.Second); waited != c.waits {
					t.Errorf("judged again after %v", waited)
				}
				if !c.letsIn {
					if err := wait(); !errors.Is(err, ErrRefused) {
						t.Errorf("Wait: %v", err)
					}
					if c.lines {
						_, err = ea.lines.ReadMessage(nil)
					} else {
						_, err = ea.Read(make([]byte, 10))
					}
					if !errors.Is(err, ErrRefused) {
						t.Errorf("reading: %v", err)
					}
					return
				}
				want := "payload"
				var got []byte
				if c.lines {
					got, err = ea.lines.ReadMessage(nil)
				} else {
					got = make([]byte, len(want))
					_, err = ea.Read(got)
				}
				if string(got) != want || err != nil {
					t.Errorf("read %q, %v", got, err)
				}
			})
		})
	}
}
