package stream

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
	"otrpipe/testscripts/slowtest"
)

func refresh(e *end) error {
	return e.Do((*otr.Conversation).Refresh)
}

func TestManyKeyExchangesUnderFullLoadLoseNothing(t *testing.T) {
	long(t)
	t.Parallel()
	delays := []time.Duration{0, 0, time.Millisecond, 30 * time.Millisecond}
	for seed := range rounds(12) {
		if quick() && seed != 2 {
			continue // one of them, with a delay
		}
		if slowtest.LeftOut() && seed >= uint64(len(delays)) {
			break // each delay once
		}
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			delay := delays[seed%uint64(len(delays))]
			a, b := cable(t, relay{delay: delay}, relay{delay: delay})
			small := func(c *Config) { c.Window = 300_000 }
			ea, eb := openPair(t, a, b, setting{seed: seed, config: small}, setting{seed: seed, config: small})
			for _, e := range []*end{ea, eb} {
				random := rand.New(rand.NewPCG(seed, uint64(random.Int64())))
				e.meanwhile = func() {
					if random.IntN(5) == 0 {
						refresh(e) // fails once the stream is over
					}
				}
			}
			const size = 4_000_000
			oa, ob := converseBoth(ea, eb, size, size)
			oa.whole(t, "a", size)
			ob.whole(t, "b", size)
			if n := told[otr.Secure](ea); n < 4 {
				t.Errorf("%d key exchanges", n)
			}
			if n := told[otr.Unreadable](ea) + told[otr.Unreadable](eb); n > 0 {
				t.Errorf("%d unreadable messages", n)
			}
		})
	}
}

func TestALostMessageOfAKeyExchangeIsMadeGood(t *testing.T) {
	for lose := range 8 {
		if quick() && lose%3 != 0 {
			continue
		}
		synctest.Test(t, func(t *testing.T) {
			var armed atomic.Bool // both directions use it, each in its own goroutine
			var seen atomic.Int64
			filter := func(_ int, line []byte) [][]byte {
				if armed.Load() && isExchange(line) && seen.Add(1) == int64(lose+1) {
					return nil
				}
				return [][]byte{line}
			}
			a, b := cable(t, relay{filter: filter}, relay{filter: filter})
			ea, eb := openPair(t, a, b, setting{}, setting{})
			handshakeBoth(t, ea, eb)
			synctest.Wait()
			armed.Store(true)
			if err := refresh(ea); err != nil {
				t.Fatal(err)
			}
			oa, ob := converseBoth(ea, eb, 100_000, 100_000)
			oa.whole(t, "a", 100_000)
			ob.whole(t, "b", 100_000)
		})
	}
}

// isExchange reports whether a line is a message of a key exchange.
func isExchange(line []byte) bool {
	msg, err := wire.AppendDearmored(nil, line)
	if err != nil {
		return false
	}
	h, _, err := wire.ParseHeader(msg)
	return err == nil && h.Type != wire.TypeData
}

// keysOf returns the ids of the keys with which a data message is encrypted, and its length.
// In version 4 the sender's key also identifies the recipient's, because each follows an
// answer.
func keysOf(t *testing.T, version uint16, body []byte) (sender, recipient string, n int) {
	if version == v4.Version {
		m, err := v4.ParseData(body)
		if err != nil {
			t.Error(err)
		}
		name := fmt.Sprintf("%x", m.ECDH)
		return name, name, len(m.Encrypted)
	}
	m, err := v3.ParseData(body)
	if err != nil {
		t.Error(err)
	}
	return fmt.Sprint(m.SenderKeyID), fmt.Sprint(m.RecipientKeyID), len(m.Encrypted)
}

func TestNoKeyCarriesMoreThanTwoWindows(t *testing.T) {
	long(t)
	const window = 200_000
	for _, both := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var carried, bySender [2]map[string]int
			count := func(side int) func(int, []byte) [][]byte {
				carried[side], bySender[side] = make(map[string]int), make(map[string]int)
				return func(_ int, line []byte) [][]byte {
					if msg, err := wire.AppendDearmored(nil, line); err == nil {
						if h, body, err := wire.ParseHeader(msg); err == nil && h.Type == wire.TypeData {
							sender, recipient, n := keysOf(t, h.Version, body)
							bySender[side][sender] += n
							carried[side][recipient] += n
						}
					}
					return [][]byte{line}
				}
			}
			a, b := cable(t, relay{filter: count(0), delay: 10 * time.Millisecond}, relay{filter: count(1), delay: 10 * time.Millisecond})
			narrow := func(c *Config) { c.Window = window }
			ea, eb := openPair(t, a, b, setting{config: narrow}, setting{config: narrow})
			back := 0
			if both {
				back = 20 * window
			}
			oa, ob := converseBoth(ea, eb, 50*window, back)
			oa.whole(t, "a", back)
			ob.whole(t, "b", 50*window)
			synctest.Wait()
			for side := range carried {
				for _, counts := range []map[string]int{carried[side], bySender[side]} {
					for id, n := range counts {
						if n > 2*window {
							t.Errorf("side %d: key %s carried %d bytes, the window is %d", side, id, n, window)
						}
					}
				}
			}
			if n := len(bySender[0]); n < 25 {
				t.Errorf("only %d keys for 50 windows", n)
			}
		})
	}
}
