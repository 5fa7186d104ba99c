package live

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
)

// The output of one end takes one line of three and is full then. That end says how much of its output
// there is, and the other end does not take the rest as arrived, although it has sent everything.
func TestAFullOutputIsAFailureAtBothEnds(t *testing.T) {
	process.Watch().Stop() // the runtime's goroutine for signals must begin outside of the bubble
	identities()
	bytes := options.Values{options.OTRFlag: {"3"}}
	for _, mode := range []options.Values{lines, bytes} {
		synctest.Test(t, func(t *testing.T) { // with a fake clock
			wireA, wireB := net.Pipe()
			a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, mode, mode)
			go func() { _, _ = io.Copy(io.Discard, b.output) }()
			go func() {
				for range 3 {
					_, _ = io.WriteString(b.input, "line\n")
					synctest.Wait()
				}
				b.input.Close()
			}()
			if line, err := bufio.NewReaderSize(io.LimitReader(a.output, 5), 16).ReadString('\n'); line != "line\n" {
				t.Errorf("%q, %v", line, err)
			}
			_ = a.output.CloseWithError(errors.New("no space left"))
			if err := <-a.ended; exit.As(err).Code != exit.Failure || !strings.HasSuffix(err.Error(), "no space left; the output is incomplete: it ends after 5 bytes") {
				t.Errorf("the end whose output is full: %v", err)
			}
			if err := <-b.ended; exit.As(err).Code != exit.Broken {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}
