package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

// A guesser is a hostile peer that tries to get more than one guess at a secret. It counts
// the outcomes that it is shown, never shows one itself, and then makes its move.
type guesser struct {
	c       *otr.Conversation
	in      *bufio.Reader
	out     io.WriteCloser
	renew   func() *otr.Conversation // another instance of it
	starts  bool                     // it starts comparisons itself
	crosses bool                     // its first start crosses the victim's; it holds back the abort
	move    func(*guesser) [][]byte  // its action when it has been shown an outcome
	guesses int
}

// run plays until the victim has closed the transport.
func (g *guesser) run() {
	for {
		line, err := g.in.ReadBytes('\n')
		if err != nil {
			return
		}
		r, err := g.c.Receive(bytes.TrimSuffix(line, []byte("\n")))
		if err != nil {
			return
		}
		send := cloned(r.Send)
		for _, e := range r.Events {
			switch e := e.(type) {
			case otr.Secure:
				if g.starts || g.crosses {
					lines, _ := g.c.StartSMP([]byte("a guess"), "")
					send = append(send, lines...)
				}
			case otr.SMPCrossed:
				if g.crosses {
					g.crosses, send = false, nil
				}
			case otr.SMPAsked:
				lines, _ := g.c.AnswerSMP([]byte("a guess"))
				send = append(send, lines...)
			case otr.SMPFailed:
				if e.BrokenOff {
					continue
				}
				g.guesses++
				send = cloned(g.move(g))
			case otr.SMPAborted:
				if g.starts {
					lines, _ := g.c.StartSMP([]byte("a guess"), "")
					send = append(send, lines...)
				}
			}
		}
		for _, line := range send {
			if _, err := g.out.Write(append(line, '\n')); err != nil {
				break
			}
		}
	}
}

func cloned(lines [][]byte) (all [][]byte) {
	for _, line := range lines {
		all = append(all, bytes.Clone(line))
	}
	return all
}

// Whatever a hostile peer does, whichever end starts, in every version and mode, a connection
// is one guess: the peer is shown at most one outcome. After that the victim fails with
// ErrSMP and the failure is reported, and no payload has moved.
func TestAConnectionIsOneGuessWhateverThePeerDoes(t *testing.T) {
	namesItsVersions(t)
	t.Parallel()
	record := func(kind uint16) func(*guesser) [][]byte {
		return func(g *guesser) [][]byte {
			b, _ := g.c.AppendMessage(nil, otr.Message{TLVs: []wire.TLV{{Type: kind, Value: []byte{0}}}})
			return [][]byte{bytes.TrimSuffix(b, []byte("\n"))}
		}
	}
	moves := map[string]func(*guesser) [][]byte{
		"it aborts":               func(g *guesser) [][]byte { lines, _ := g.c.AbortSMP(); return lines },
		"it starts again":         func(g *guesser) [][]byte { lines, _ := g.c.StartSMP([]byte("another guess"), ""); return lines },
		"it asks a question":      func(g *guesser) [][]byte { lines, _ := g.c.StartSMP([]byte("another guess"), "well?"); return lines },
		"it makes a new exchange": func(g *guesser) [][]byte { lines, _ := g.c.Refresh(); return lines },
		"it queries": func(g *guesser) [][]byte {
			return g.c.Query()
		},
		"it ends the session": func(g *guesser) [][]byte { lines, _ := g.c.End(); return append(cloned(lines), g.c.Query()...) },
		"it closes":           func(g *guesser) [][]byte { g.out.Close(); return nil },
		"it says nothing":     func(g *guesser) [][]byte { return nil },
		"it sends message 2":  record(wire.TLVSMP2),
		"it sends no sense":   record(wire.TLVSMP4),
		"another instance comes": func(g *guesser) [][]byte {
			g.c = g.renew()
			lines, _ := g.c.Refresh()
			return append(cloned(g.c.Query()), lines...)
		},
	}
	for name, move := range moves {
		for i, version := range []otr.Policy{otr.AllowV2, otr.AllowV3, otr.AllowV4} {
			for variant := range 8 {
				number := variant + len(name) + int(version)
				if !quick() && (testing.Short() && number%3 != 0 || slowtest.LeftOut() && number%7 != 0) {
					continue // a table for long runs
				}
				if quick() && (variant != len(name)%8 || i != len(name)%3) {
					continue // one of each move remains
				}
				asks, starts, crosses := variant&1 != 0, variant&2 != 0, variant&4 != 0
				lines := version == otr.AllowV2 || (variant+len(name))%2 == 0
				what := fmt.Sprintf("%s, %v, it asks first: %v, it starts: %v, crossing: %v, lines: %v", name, version, asks, starts, crosses, lines)
				synctest.Test(t, func(t *testing.T) {
					speak := func(key int) func(*otr.Config) {
						return func(c *otr.Config) {
							c.Policy = version | otr.RequireEncryption | otr.RestartAKE
							c.Ed448, c.Forging = testKeys4()[key].private, testKeys4()[key].forging
						}
					}
					a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond})
					e := open(t, a, setting{lines: lines, otr: speak(0), config: func(c *Config) {
						secret("the secret")(c)
						c.Initiate, c.Timeout, c.Stay = !asks, 10*time.Minute, lines
					}})
					renewed := uint64(0)
					renew := func() *otr.Conversation {
						renewed++
						return newConversation(t, setting{otr: speak(1)}, seeded(70+renewed))
					}
					g := &guesser{c: renew(), renew: renew, in: bufio.NewReader(b), out: b, starts: starts, crosses: crosses, move: move}
					if asks {
						for _, line := range g.c.Query() {
							b.Write(append(line, '\n'))
						}
					}
					done := make(chan struct{})
					go func() { g.run(); close(done) }()
					_, wait := e.handshaker()
					err := wait()
					time.Sleep(time.Second) // for what is still on its way to the guesser
					b.Close()
					<-done
					if g.guesses > 1 {
						t.Errorf("%s: %d outcomes were shown", what, g.guesses)
					}
					if g.guesses == 1 && (!errors.Is(err, ErrSMP) || told[otr.SMPFailed](e) != 1) {
						t.Errorf("%s: a guess ends with %v; %v", what, err, e.events())
					}
					if g.guesses == 0 && !errors.Is(err, ErrSMP) && !errors.Is(err, ErrTimeout) {
						t.Errorf("%s: without an outcome it ends with %v", what, err)
					}
					if told[Trusted](e) != 0 || e.stats().SentBytes != 0 {
						t.Errorf("%s: the guesser is trusted", what)
					}
				})
			}
		}
	}
}

// stats returns e's Stats.
func (e *end) stats() Stats {
	if e.lines != nil {
		return e.lines.Stats()
	}
	return e.Stats()
}
