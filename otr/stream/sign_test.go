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
	"otrpipe/otr/wire"
)

// isData reports whether a line is a data message.
func isData(line []byte) bool {
	line = bytes.TrimSpace(line)
	return wire.Classify(line) == wire.KindEncoded && !isExchange(line)
}

// loseData makes a filter that drops data messages while on is set.
func loseData(on *atomic.Bool) func(int, []byte) [][]byte {
	return func(_ int, line []byte) [][]byte {
		if on.Load() && isData(line) {
			return nil
		}
		return [][]byte{line}
	}
}

// TestAnEndThatHasHeardNothingAsksBeforeItLeaves: the first data messages of the peer are lost,
// which would show that it acknowledges texts, and so is the only text. The sender must not take
// the peer for a client that acknowledges nothing.
func TestAnEndThatHasHeardNothingAsksBeforeItLeaves(t *testing.T) {
	const textLen = 3000 // longer than any message without a text
	for sender := range 2 {
		for _, silent := range []time.Duration{2 * time.Second, 12 * time.Second} {
			t.Run(fmt.Sprint(sender, silent), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var relays [2]relay
					begin := time.Now()
					var texts atomic.Int32
					relays[1-sender].filter = func(_ int, line []byte) [][]byte {
						if isData(line) && time.Since(begin) < silent {
							return nil
						}
						return [][]byte{line}
					}
					relays[sender].filter = func(_ int, line []byte) [][]byte {
						if isData(line) && len(line) > textLen { // the text
							texts.Add(1)
							return nil
						}
						return [][]byte{line}
					}
					ea, eb := linesOver(t, relays[0], relays[1], nil)
					ends := [2]*end{ea, eb}
					handshakeLines(t, ea.lines, eb.lines)
					ends[sender].lines.WriteMessage(bytes.Repeat([]byte("x"), textLen))
					ends[sender].lines.CloseWrite()
					if err := ends[sender].lines.Wait(); !errors.Is(err, ErrUndelivered) || texts.Load() != 1 {
						t.Errorf("%v, %d texts were lost", err, texts.Load())
					}
					if got, err := readTexts(ends[1-sender].lines); len(got) != 0 || !errors.Is(err, ErrLost) {
						t.Errorf("the other end: %q, %v", got, err)
					}
				})
			})
		}
	}
}

// TestAPeerThatSaysNothingIsWaitedForABoundedTime: such a peer acknowledges nothing. The user is told
// what the end waits for.
func TestAPeerThatSaysNothingIsWaitedForABoundedTime(t *testing.T) {
	for _, test := range []struct {
		pause time.Duration // between the text and the end of the input
		wait  time.Duration // how long it is told to wait after that; 0: it is not told
	}{
		{0, confirmWait - time.Second - firstNews},
		{10 * time.Second, confirmWait - 11*time.Second - firstNews},
		{18 * time.Second, 0}, // it leaves soon anyway
	} {
		synctest.Test(t, func(t *testing.T) {
			e, x := meetLines(t, setting{lines: true})
			e.lines.WriteMessage([]byte("a text"))
			start := time.Now()
			go func() {
				time.Sleep(test.pause)
				e.lines.CloseWrite()
			}()
			var texts []string
			for {
				text, ok := x.text()
				if !ok {
					break
				}
				if text != "" {
					texts = append(texts, text)
				}
			}
			if err := e.lines.Wait(); err != nil && !errors.Is(err, ErrUnconfirmed) {
				t.Error(err)
			}
			if d := time.Since(start); len(texts) != 1 || d > confirmWait+goodbyeWait+time.Second {
				t.Errorf("it read %q, and it took %v", texts, d)
			}
			got := eventsOf[NoSign](e)
			if test.wait == 0 && len(got) != 0 || test.wait > 0 && (len(got) != 1 || (got[0].Wait-test.wait).Abs() > time.Second) {
				t.Errorf("after %v it is told: %v", test.pause, got)
			}
		})
	}
}

// TestAPeerThatStillSendsTextsIsWaitedForWhenWeLeave: it has many of them when our CLOSE comes, and
// its line takes one in three seconds.
func TestAPeerThatStillSendsTextsIsWaitedForWhenWeLeave(t *testing.T) {
	long(t)
	for slow := range 2 {
		synctest.Test(t, func(t *testing.T) {
			var relays [2]relay
			var begin atomic.Bool
			relays[slow].filter = func(_ int, line []byte) [][]byte {
				if begin.Load() {
					time.Sleep(3 * time.Second)
				}
				return [][]byte{line}
			}
			ea, eb := linesOver(t, relays[0], relays[1], nil)
			ends := [2]*end{ea, eb}
			handshakeLines(t, ea.lines, eb.lines)
			ends[1-slow].lines.WriteMessage([]byte("our only text"))
			time.Sleep(10 * time.Second)
			begin.Store(true)
			const n = 30
			for i := range n {
				ends[slow].lines.WriteMessage(fmt.Appendf(nil, "text %d", i))
			}
			ends[1-slow].lines.CloseWrite()
			go readTexts(ends[slow].lines)
			got, _ := readTexts(ends[1-slow].lines)
			if err := errors.Join(ea.lines.Wait(), eb.lines.Wait()); err != nil || len(got) != n {
				t.Errorf("end %d: %d texts, %v", slow, len(got), err)
			}
		})
	}
}

// TestTheMarkOfAPeerShowsThatItAcknowledges: it is the only message of the peer that comes.
func TestTheMarkOfAPeerShowsThatItAcknowledges(t *testing.T) {
	for sender := range 2 {
		synctest.Test(t, func(t *testing.T) {
			var relays [2]relay
			var marks atomic.Int32
			relays[1-sender].filter = func(_ int, line []byte) [][]byte {
				if isData(line) && marks.Add(1) > 1 {
					return nil
				}
				return [][]byte{line}
			}
			ea, eb := linesOver(t, relays[0], relays[1], nil)
			ends := [2]*end{ea, eb}
			handshakeLines(t, ea.lines, eb.lines)
			ends[sender].lines.WriteMessage([]byte("a text"))
			ends[sender].lines.CloseWrite()
			if err := ends[sender].lines.Wait(); !errors.Is(err, ErrBroken) {
				t.Errorf("end %d: %v", sender, err)
			}
		})
	}
}

// TestAPeerThatLeavesTellsWhichTextsHaveArrived: its last message is the only one that comes, and a
// text is lost.
func TestAPeerThatLeavesTellsWhichTextsHaveArrived(t *testing.T) {
	for leaver := range 2 {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			deaf.Store(true)
			losing := relay{filter: loseData(&deaf)}
			ea, eb := linesOver(t, losing, losing, nil)
			ends := [2]*end{ea, eb}
			handshakeLines(t, ea.lines, eb.lines)
			ends[1-leaver].lines.WriteMessage([]byte("a text"))
			time.Sleep(time.Second)
			deaf.Store(false)
			ends[leaver].lines.Close()
			if err := ends[1-leaver].lines.Wait(); !errors.Is(err, ErrUndelivered) {
				t.Errorf("end %d left, and the other reports %v", leaver, err)
			}
		})
	}
}

// TestAPeerGoesOnAcknowledgingAfterNewKeys: it has acknowledged texts, so silence after a further
// key exchange is a loss.
func TestAPeerGoesOnAcknowledgingAfterNewKeys(t *testing.T) {
	long(t)
	for sender := range 2 {
		synctest.Test(t, func(t *testing.T) {
			var deaf atomic.Bool
			losing := relay{filter: loseData(&deaf)}
			ea, eb := linesOver(t, losing, losing, nil)
			ends := [2]*end{ea, eb}
			handshakeLines(t, ea.lines, eb.lines)
			ends[sender].lines.WriteMessage([]byte("before"))
			time.Sleep(10 * time.Second)
			deaf.Store(true)
			if err := ea.lines.Do((*otr.Conversation).Refresh); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			ends[sender].lines.WriteMessage([]byte("after"))
			ends[sender].lines.CloseWrite()
			if err := ends[sender].lines.Wait(); !errors.Is(err, ErrUndelivered) {
				t.Errorf("end %d: %v", sender, err)
			}
		})
	}
}
