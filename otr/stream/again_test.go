package stream

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/otr"
)

// The end that sent the last message of a key exchange keeps its texts until it hears from
// the peer, and sends them again in the next session. An attacker lets the texts through,
// holds back every answer, and causes a new exchange. The peer, which has the texts already,
// must not get any of them twice.
func TestATextThatIsSentAgainInTheNextSessionIsNotDeliveredTwice(t *testing.T) {
	namesItsVersions(t)
	t.Parallel()
	for _, version := range []otr.Policy{otr.AllowV3, otr.AllowV4} {
		for _, exchanges := range []int{1, 2, 3, maxAgain + 6} {
			if quick() && ((version == otr.AllowV4) == (exchanges > maxAgain) || exchanges == 1 || exchanges == 3) {
				continue
			}
			t.Run(fmt.Sprintf("%v, %d exchanges", version, exchanges), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { sendAgain(t, version, exchanges) })
			})
		}
	}
}

func sendAgain(t *testing.T, version otr.Policy, exchanges int) {
	var deaf atomic.Bool // no data message reaches the sender
	drop := func(_ int, line []byte) [][]byte {
		if deaf.Load() && (bytes.HasPrefix(line, []byte("?OTR:AAMD")) || bytes.HasPrefix(line, []byte("?OTR:AAQD"))) {
			return nil
		}
		return [][]byte{line}
	}
	// The sender asks in version 3, and is asked in version 4: its message is the last one.
	asks := version == otr.AllowV3
	deaf.Store(true)
	a, b := cable(t, relay{delay: time.Millisecond}, relay{delay: time.Millisecond, filter: drop})
	never := func(initiate bool) func(*Config) {
		return func(c *Config) { c.Initiate, c.Heartbeat, c.Dead = initiate, 0, 0 }
	}
	sender := open(t, a, setting{lines: true, otr: speaks(0, version), config: never(asks)})
	peer := open(t, b, setting{lines: true, key: 1, otr: speaks(1, version), config: never(!asks)})
	handshakeLines(t, sender.lines, peer.lines)
	var want []string
	for i := range exchanges + 1 {
		for j := range 3 {
			text := fmt.Sprintf("text %d of session %d", j, i)
			want = append(want, text)
			if err := sender.lines.WriteMessage([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(500 * time.Millisecond)
		if i == exchanges {
			break
		}
		initiator := map[bool]*end{true: peer, false: sender}[asks]
		if err := initiator.lines.Do((*otr.Conversation).Refresh); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
	deaf.Store(false)
	sender.lines.CloseWrite()
	peer.lines.CloseWrite()
	var got []string
	for {
		text, err := peer.lines.ReadMessage(nil)
		if err != nil {
			break
		}
		got = append(got, string(text))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, want %q", got, want)
	}
	// After too many repetitions a text counts as undelivered.
	if err := sender.lines.Wait(); exchanges <= maxAgain && err != nil || exchanges > maxAgain && !errors.Is(err, ErrUndelivered) {
		t.Errorf("the sender ends with %v", err)
	}
	if err := peer.lines.Wait(); err != nil {
		t.Errorf("the peer ends with %v", err)
	}
	if told[otr.Secure](sender) < exchanges {
		t.Errorf("there were too few exchanges: %v", sender.events())
	}
}
