package live

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

// linePause is how long a slowLine takes for each line.
const linePause = 10 * time.Second

// A slowLine carries the lines of two sessions. Once slow is set, it takes linePause for each
// line from b to a and delivers as many as remaining says.
type slowLine struct {
	slow      atomic.Bool
	remaining atomic.Int32
}

// ends returns the ends for a and b.
func (l *slowLine) ends() [2]net.Conn {
	a, atA := net.Pipe()
	b, atB := net.Pipe()
	go func() {
		_, _ = io.Copy(atB, atA)
		atB.Close()
	}()
	queue, gone := make(chan string, 1<<12), make(chan struct{})
	go func() {
		defer close(queue)
		defer close(gone)
		lines := bufio.NewReader(atB)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			queue <- line
		}
	}()
	go func() {
		defer atA.Close()
		for line := range queue {
			if l.slow.Load() {
				select {
				case <-time.After(linePause):
				case <-gone:
				}
				if l.remaining.Add(-1) < 0 {
					continue
				}
			}
			if _, err := io.WriteString(atA, line); err != nil {
				return
			}
		}
	}()
	return [2]net.Conn{a, b}
}

// While a key exchange goes unanswered, the answer may be in a queue behind what the peer has
// written before. So the wait ends only after a minute in which nothing arrives, or when the
// Conversation gives the exchange up.
func TestARefreshWaitsForAsLongAsThePeersLinesArrive(t *testing.T) {
	process.Watch().Stop() // the runtime's goroutine for signals must begin outside of the bubble
	identities()
	quiet, conflict := options.Values{options.HeartbeatFlag: {"0"}}.Merge(lines)
	if conflict != "" {
		t.Fatal(conflict)
	}
	const all = 1 << 20 // more lines than there are
	for _, test := range []struct {
		name     string
		texts    int           // that the peer has written
		arrive   int32         // how many lines arrive before the line goes dead
		from, to time.Duration // when the wait ends
	}{
		{"a dead line", 12, 0, controlTimeout, controlTimeout + linePause},
		{"a line that goes dead", 12, 9, 9*linePause + controlTimeout, 10*linePause + controlTimeout},
		{"an answer behind hours of texts", 1000, all, 12 * linePause, 1000 * linePause},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // with a fake clock
				var line slowLine
				a, b := connectOver(t, newUnreachable, line.ends(), quiet, quiet)
				go func() { _, _ = io.Copy(io.Discard, a.output) }()
				if err := a.Refresh(t.Context()); err != nil {
					t.Fatal(err)
				}
				if more := a.answerTime(); more > 0 {
					t.Errorf("without a key exchange there is %v more to wait", more)
				}
				line.slow.Store(true)
				line.remaining.Store(test.arrive)
				for range test.texts {
					_, _ = fmt.Fprintln(b.input, "hello")
				}
				synctest.Wait()
				began := time.Now()
				err := a.Refresh(t.Context())
				took := time.Since(began)
				if err == nil || exit.As(err).Code != exit.Timeout {
					t.Errorf("after %v: %v", took, err)
				}
				if took < test.from || took > test.to {
					t.Errorf("the wait took %v, not %v to %v", took, test.from, test.to)
				}
			})
		})
	}
}
