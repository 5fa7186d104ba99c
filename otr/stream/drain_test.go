package stream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A slow transport accepts one line per pause once slow is set, and none after most lines.
type slow struct {
	duplex
	slow  chan struct{}
	pause time.Duration
	most  int
	gone  chan struct{}
}

func (s *slow) Write(p []byte) (int, error) {
	select {
	case <-s.slow:
		for range bytes.Count(p, []byte{'\n'}) {
			time.Sleep(s.pause)
			if s.most--; s.most < 0 {
				<-s.gone
				return 0, io.ErrClosedPipe
			}
		}
	default:
	}
	return s.duplex.Write(p)
}

func (s *slow) Close() error {
	close(s.gone)
	return s.duplex.Close()
}

func TestAnEndDrainsForAsLongAsTheTransportTakesLines(t *testing.T) {
	long(t)
	const texts, pause = 60, 3 * time.Second
	for _, test := range []struct {
		name string
		most int // lines that the transport accepts at the end
		quit bool
		err  error
	}{
		{"everything", 1 << 20, false, nil},
		{"everything, told to leave", 1 << 20, true, nil},
		{"some", 20, false, ErrUntaken},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := cable(t, relay{}, relay{})
				s := &slow{duplex: a, slow: make(chan struct{}), gone: make(chan struct{}), pause: pause, most: test.most}
				cfg := func(c *Config) { c.Drain, c.Dead = 30*time.Second, 0 }
				ours, theirs := openPair(t, s, b, setting{lines: true, config: cfg}, setting{lines: true, config: cfg})
				handshakeLines(t, ours.lines, theirs.lines)
				close(s.slow)
				for i := range texts {
					if err := ours.lines.WriteMessage(fmt.Appendf(nil, "text %d", i)); err != nil {
						t.Fatal(err)
					}
				}
				begun := time.Now()
				result := make(chan error, 1)
				go func() {
					if test.quit {
						result <- ours.lines.Close()
						return
					}
					ours.lines.CloseWrite()
					result <- ours.lines.Wait()
				}()
				got := 0
				for test.err == nil {
					if _, err := theirs.lines.ReadMessage(nil); err != nil {
						break
					}
					got++
				}
				if err := <-result; !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
					t.Errorf("the result is %v, not %v", err, test.err)
				}
				if test.err == nil && got != texts {
					t.Errorf("%d of %d texts arrived in %v", got, texts, time.Since(begun))
				}
				if told[Draining](ours) == 0 {
					t.Error("nothing was told of what was left")
				}
			})
		})
	}
}
