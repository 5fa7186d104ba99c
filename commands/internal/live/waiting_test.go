package live

import (
	"io"
	"strings"
	"testing"
	"time"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/options"
	"otrpipe/commands/internal/process"
	"otrpipe/otr/stream"
)

func TestHowLongTheOtherEndIsWaitedFor(t *testing.T) {
	minute := time.Minute
	for _, test := range []struct {
		name string
		edit func(*Session)
		want time.Duration
	}{
		{"a script does not wait", func(*Session) {}, 0},
		{"unless it says so", func(s *Session) { s.options.Wait = &minute }, minute},
		{"an end that listens waits for ever", func(s *Session) { s.listens = true }, stream.Forever},
		{"unless it is told otherwise", func(s *Session) { s.listens, s.options.Wait = true, &minute }, minute},
		{"a caller has spoken already", func(s *Session) { s.listens, s.spoken, s.options.Wait = true, true, &minute }, 0},
		{"a person may wait for ever", func(s *Session) { s.cfg.AtTerminal = true }, stream.Forever},
		{"who serves has a caller", func(s *Session) { s.setup.Served, s.cfg.AtTerminal = true, true }, 0},
	} {
		o := own(t)
		o.options.Timeout = time.Minute
		test.edit(o.Session)
		if got := o.waitTime(); got != test.want {
			t.Errorf("%s: %v, not %v", test.name, got, test.want)
		}
		longest := stream.Forever
		if test.want != longest {
			longest = test.want + time.Minute
		}
		if got := o.longest(); got != longest {
			t.Errorf("%s: %v in all, not %v", test.name, got, longest)
		}
	}
}

func TestAListenerToWhichNobodyComesLeavesWhenItsTimeIsUp(t *testing.T) {
	short := options.Values{options.OTRFlag: {"3"}, options.WaitFlag: {"10ms"}, options.TimeoutFlag: {"20ms"}}
	err := wait(t, overTCP(t, 0, "", short, Way{Listener: listenTCP(t)}, "").ended)
	if e := exit.As(err); e.Code != exit.Timeout || e.Error() != "the other end has not called within 30ms" || !strings.Contains(e.Hint, "--wait") {
		t.Errorf("it leaves with %v", err)
	}
}

func TestAWaitIsToldOnceAndByName(t *testing.T) {
	o, said := hear(t)
	o.options.Contact = "bob"
	o.tellWaiting(" at bobs.host:9000: connection refused")
	o.tellWaiting("")
	if got := said(); got != "otrpipe: waiting for bob at bobs.host:9000: connection refused\n" {
		t.Errorf("%q", got)
	}
	o, said = hear(t)
	o.cfg.AtTerminal = true
	o.tellWaiting("") // which the prompt shows
	o.tellLeaving()
	o.mu.Lock()
	o.finished = true
	o.mu.Unlock()
	o.tellLeaving() // too late
	if got := said(); got != "otrpipe: leaving... (Ctrl-C leaves at once)\n" && got != "otrpipe: leaving… (Ctrl-C leaves at once)\n" {
		t.Errorf("%q", got)
	}
}

func TestATransportWithoutASessionIsSeenOffAtOnce(t *testing.T) {
	o, _ := hear(t)
	if got := o.grace(); got != process.Brief {
		t.Errorf("before a session it may take %v", got)
	}
	o.meet(t)
	if got := o.grace(); got != process.Patience {
		t.Errorf("after one it may take %v", got)
	}
}

func TestAnEndThatOnlySendsNeedsNoEndOfThePeers(t *testing.T) {
	t.Parallel() // it waits
	only := options.Values{options.OTRFlag: {"3"}, options.SendOnlyFlag: {"true"}}
	a, b := connectAs(t, only, version3)
	go func() {
		_, _ = io.WriteString(a.input, "all of it")
		a.input.Close()
	}()
	if got, err := io.ReadAll(b.output); err != nil || string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
	for name, s := range map[string]side{"which only sends": a, "whose input stays open": b} {
		if err := wait(t, s.ended); err != nil {
			t.Errorf("the end %s: %v", name, err)
		}
	}
	if got, err := io.ReadAll(a.output); err != nil || len(got) > 0 {
		t.Errorf("the end that only sends has received %q, %v", got, err)
	}
}

func TestAnEndThatOnlyReceivesReadsNoInput(t *testing.T) {
	only := options.Values{options.OTRFlag: {"3"}, options.ReceiveOnlyFlag: {"true"}}
	a, b := connectAs(t, only, version3)
	go func() {
		_, _ = io.WriteString(b.input, "all of it")
		b.input.Close()
	}()
	if got, err := io.ReadAll(a.output); err != nil || string(got) != "all of it" {
		t.Errorf("%q, %v", got, err)
	}
	for name, s := range map[string]side{"which only receives": a, "which only sends": b} {
		if err := wait(t, s.ended); err != nil {
			t.Errorf("the end %s: %v", name, err)
		}
	}
}
