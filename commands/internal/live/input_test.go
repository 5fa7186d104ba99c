package live

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// What was read before an input failed must not pass for all of it, at either end.
func TestAnInputThatFailsIsAFailureAtBothEnds(t *testing.T) {
	process.Watch().Stop() // the runtime's goroutine for signals must begin outside of the bubble
	identities()
	for _, mode := range []options.Values{lines, {options.OTRFlag: {"3"}}} {
		synctest.Test(t, func(t *testing.T) { // with a fake clock
			wireA, wireB := net.Pipe()
			a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, mode, mode)
			for _, s := range []side{a, b} {
				go func() { _, _ = io.Copy(io.Discard, s.output) }()
			}
			go func() {
				_, _ = io.WriteString(b.input, "line\n")
				_ = b.input.CloseWithError(errors.New("the disk is damaged"))
			}()
			if err := <-b.ended; err == nil || exit.As(err).Code != exit.Failure || !strings.Contains(err.Error(), "reading the plaintext: the disk is damaged") {
				t.Errorf("the end whose input fails: %v", err)
			}
			if err := <-a.ended; err == nil || exit.As(err).Code != exit.Broken {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}

// Only an application may stop reading: nobody else has what was not written.
func TestAnOutputThatNobodyReadsIsAFailureAtBothEnds(t *testing.T) {
	process.Watch().Stop()
	identities()
	for _, mode := range []options.Values{lines, {options.OTRFlag: {"3"}}} {
		synctest.Test(t, func(t *testing.T) {
			wireA, wireB := net.Pipe()
			a, b := connectOver(t, newUnreachable, [2]net.Conn{wireA, wireB}, mode, mode)
			go func() { _, _ = io.Copy(io.Discard, b.output) }()
			_ = a.output.CloseWithError(syscall.EPIPE)
			a.input.Close()
			_, _ = io.WriteString(b.input, "line\n")
			b.input.Close()
			if err := <-a.ended; err == nil || exit.As(err).Code != 128+int(syscall.SIGPIPE) {
				t.Errorf("the end whose output nobody reads: %v", err)
			}
			if err := <-b.ended; err == nil || exit.As(err).Code != exit.Broken {
				t.Errorf("the other end: %v", err)
			}
		})
	}
}

func TestASessionWithARefusedKeyIsNotCalledSecure(t *testing.T) {
	expected, err := keys.ParseFingerprint(strings.Repeat("01234567", 5))
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []bool{false, true} {
		o, said := hear(t)
		o.options.SMP = []byte("a secret") // so that a session is told at once
		if refused {
			o.keeper = trust.NewKeeper(trust.Config{Live: true, Home: o.cfg.Home, Expect: []keys.Fingerprint{expected}})
		}
		met := otr.Session{Version: 3, SSID: [8]byte{1}}
		if err := o.verify(met); (err != nil) != refused {
			t.Fatal(err)
		}
		o.tell(otr.Secure{Session: met})
		if got := said(); strings.Contains(got, "secure with") == refused {
			t.Errorf("refused %v: %q", refused, got)
		}
	}
}
