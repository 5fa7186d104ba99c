package stream

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A friend without OTR sees every query as text. So only a few are sent until the friend says
// something.
func TestAPeerThatSaysNothingIsAskedThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer b.Close()
		queries := make(chan string, 100)
		go func() {
			for in := bufio.NewScanner(b); in.Scan(); {
				queries <- in.Text()
			}
		}()
		open(t, a, setting{lines: true, config: func(c *Config) { c.Queries, c.Timeout = 3, 0 }})
		time.Sleep(time.Hour)
		if n := len(queries); n != 3 {
			t.Errorf("%d queries", n)
		}
		b.Write([]byte("What is this?\n"))
		time.Sleep(time.Hour)
		if n := len(queries); n != 6 {
			t.Errorf("%d queries in all", n)
		}
		for len(queries) > 0 {
			if q := <-queries; !strings.HasPrefix(q, "?OTRv") {
				t.Errorf("%q", q)
			}
		}
	})
}
