package stream

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"errors"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr/group"
	"otrpipe/otr/v3"
	"otrpipe/otr/v4"
	"otrpipe/otr/wire"
)

// A listener collects the data messages on a wire and the MAC keys that they reveal. It has
// no other information.
type listener struct {
	mu       sync.Mutex
	messages []*heardMessage
	keys     [][]byte
	// unforgeable counts the messages, and their bytes, that no revealed key verifies yet;
	// the peaks are the maximum values.
	unforgeable, unforgeableBytes int
	peak, peakBytes               int
}

// A heardMessage is a data message seen by a listener.
type heardMessage struct {
	from       int
	sections   []byte // the bytes that the MAC covers
	mac        []byte
	forgedWith []byte // the revealed key that verifies it; nil: none yet
}

// cable returns the ends of a wire with the listener on it.
func (l *listener) cable(t *testing.T, ab, ba relay) (a, b duplex) {
	tap := func(from int, r relay) relay {
		filter := r.filter
		r.filter = func(i int, line []byte) [][]byte {
			l.hear(from, line)
			if filter == nil {
				return [][]byte{line}
			}
			return filter(i, line)
		}
		return r
	}
	return cable(t, tap(0, ab), tap(1, ba))
}

func (l *listener) hear(from int, line []byte) {
	msg, err := wire.AppendDearmored(nil, bytes.TrimSpace(line))
	if err != nil {
		return
	}
	h, body, err := wire.ParseHeader(msg)
	if err != nil || h.Type != wire.TypeData {
		return
	}
	var m heardMessage
	var keys []byte
	size := sha1.Size
	if h.Version == v4.Version {
		d, err := v4.ParseData(body)
		if err != nil {
			return
		}
		m.sections, m.mac, keys, size = msg[:len(msg)-len(body)+d.Authenticated], d.MAC, d.Revealed, 64
	} else {
		d, err := v3.ParseData(body)
		if err != nil {
			return
		}
		m.sections, m.mac, keys = msg[:len(msg)-len(body)+d.Authenticated], d.MAC, d.OldMACKeys
	}
	m.from = from
	l.mu.Lock()
	defer l.mu.Unlock()
	l.messages = append(l.messages, &m)
	l.unforgeable++
	l.unforgeableBytes += len(m.sections)
	for key := range slices.Chunk(keys, size) {
		l.keys = append(l.keys, key)
		l.try(key)
	}
	l.peak, l.peakBytes = max(l.peak, l.unforgeable), max(l.peakBytes, l.unforgeableBytes)
}

// peaks returns the largest number of messages that could not be forged at one time, and of bytes
// in them.
func (l *listener) peaks() (messages, bytes int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peak, l.peakBytes
}

// try finds the messages that a key verifies.
func (l *listener) try(key []byte) {
	for _, m := range l.messages {
		if m.forgedWith == nil && hmac.Equal(authenticator(key, m.sections), m.mac) {
			m.forgedWith = key
			l.unforgeable--
			l.unforgeableBytes -= len(m.sections)
		}
	}
}

// authenticator is the MAC of a data message under a key.
func authenticator(key, sections []byte) []byte {
	if len(key) == sha1.Size {
		mac := hmac.New(sha1.New, key)
		mac.Write(sections)
		return mac.Sum(nil)
	}
	var mac [64]byte
	group.KDF(mac[:], group.UsageAuthenticator, key, sections)
	return mac[:]
}

// wantDeniable fails unless the listener can forge every data message except the last of each
// side.
func (l *listener) wantDeniable(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	last := [2]int{-1, -1}
	for i, m := range l.messages {
		last[m.from] = i
	}
	if last[0] < 0 || last[1] < 0 || len(l.keys) == 0 {
		t.Fatalf("nothing was heard: %d messages, %d keys", len(l.messages), len(l.keys))
	}
	for i, m := range l.messages {
		switch {
		case i == last[m.from]:
		case m.forgedWith == nil:
			t.Errorf("message %d of %d, from end %d, has a MAC key that was never revealed", i, len(l.messages), m.from)
		default:
			forged := bytes.Clone(m.sections)
			forged[len(forged)-1] ^= 1
			mac := authenticator(m.forgedWith, forged)
			if hmac.Equal(mac, m.mac) || !hmac.Equal(mac, authenticator(m.forgedWith, forged)) {
				t.Errorf("message %d cannot be forged", i)
			}
		}
	}
}

func TestAfterTheEndOfAStreamWhoListenedCanForgeIt(t *testing.T) {
	long(t)
	for _, test := range []struct {
		name         string
		fromA, fromB int
		delay        time.Duration
	}{
		{"nothing", 0, 0, 0},
		{"a short answer", 3, 100, 0},
		{"one way", 3_000_000, 0, 0},
		{"the other way", 0, 3_000_000, 0},
		{"both ways", 2_000_000, 1_000_000, 0},
		{"a slow line", 10_000, 10_000, 700 * time.Millisecond},
	} {
		if quick() && (test.fromA == 0 || test.fromA > 10_000) {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l listener
				a, b := l.cable(t, relay{delay: test.delay}, relay{delay: test.delay})
				small := func(c *Config) { c.Window = 500_000 }
				ea, eb := openPair(t, a, b, setting{config: small}, setting{config: small})
				oa, ob := converseBoth(ea, eb, test.fromA, test.fromB)
				oa.whole(t, "a", test.fromB)
				ob.whole(t, "b", test.fromA)
				l.wantDeniable(t)
			})
		})
	}
}

func TestALongOneWayStreamRevealsAsItGoes(t *testing.T) {
	long(t)
	t.Parallel()
	const window = 2 << 20
	size := 12 * window
	synctest.Test(t, func(t *testing.T) {
		var l listener
		a, b := l.cable(t, relay{}, relay{})
		small := func(c *Config) { c.Window = window }
		ea, eb := openPair(t, a, b, setting{config: small}, setting{config: small})
		oa, ob := converseBoth(ea, eb, size, 0)
		oa.whole(t, "a", 0)
		ob.whole(t, "b", size)
		// A key is used for at most two windows, and is revealed with the next ACK.
		if peak, bytes := l.peaks(); bytes > 2*window+window/2 || peak < 2 {
			t.Errorf("%d bytes in %d messages could not be forged", bytes, peak)
		}
		l.wantDeniable(t)
	})
}

func TestManySmallMessagesOneWayAreRevealedAsTheyGo(t *testing.T) {
	long(t)
	synctest.Test(t, func(t *testing.T) {
		var l listener
		a, b := l.cable(t, relay{}, relay{})
		ea, eb := openPair(t, a, b, setting{}, setting{})
		handshakeBoth(t, ea, eb)
		go io.Copy(io.Discard, eb)
		for range 5 * revealAfter {
			io.WriteString(ea, "x")
			synctest.Wait()
		}
		const most = 2*revealAfter + 10
		if peak, _ := l.peaks(); peak > most || peak < revealAfter {
			t.Errorf("%d messages could not be forged; at most %d may", peak, most)
		}
		ea.CloseWrite()
		eb.CloseWrite()
		io.Copy(io.Discard, ea)
		if err := errors.Join(ea.Wait(), eb.Wait()); err != nil {
			t.Error(err)
		}
		l.wantDeniable(t)
	})
}

func TestAPeerThatDiesInTheClosingHandshakeCostsASecondAndNoSuccess(t *testing.T) {
	long(t)
	// Of the lines that either end sends after both streams have ended, only this many
	// arrive.
	for _, direction := range []int{0, 1} {
		for lines := range int32(4) {
			synctest.Test(t, func(t *testing.T) {
				var left atomic.Int32
				left.Store(1 << 20)
				relays := [2]relay{}
				relays[direction].filter = dropping(func(int) bool { return left.Add(-1) < 0 })
				a, b := cable(t, relays[0], relays[1])
				ea, eb := openPair(t, a, b, setting{}, setting{})
				handshakeBoth(t, ea, eb)
				io.WriteString(ea, "all of it")
				ea.CloseWrite()
				if got, err := io.ReadAll(eb); string(got) != "all of it" || err != nil {
					t.Fatalf("%q, %v", got, err)
				}
				synctest.Wait()
				left.Store(lines + 1) // the last END or its ACK
				start := time.Now()
				eb.CloseWrite()
				if _, err := io.ReadAll(ea); err != nil {
					t.Fatal(err)
				}
				for name, e := range map[string]*end{"a": ea, "b": eb} {
					if err := e.Wait(); err != nil {
						t.Errorf("direction %d, %d lines: %s: %v", direction, lines, name, err)
					}
				}
				if d := time.Since(start); d > goodbyeWait+time.Second {
					t.Errorf("direction %d, %d lines: it took %v", direction, lines, d)
				}
			})
		}
	}
}
