package live

import (
	"testing"
	"time"

	"otrpipe/otr/stream"
)

func TestAPersonLearnsWhatAStreamWaitsFor(t *testing.T) {
	sent, received := stream.StreamEnded{Sent: true, Bytes: 3_000_000}, stream.StreamEnded{Bytes: 20}
	for _, test := range []struct {
		ended []stream.StreamEnded
		typed bool
		want  string
	}{
		{nil, true, ""},
		{[]stream.StreamEnded{received}, true, "bob has sent everything (20 B, all here); Ctrl-D ends"},
		{[]stream.StreamEnded{received}, false, "bob has sent everything (20 B, all here); the input of this end is still open"},
		{[]stream.StreamEnded{sent}, true, "all has arrived (3.0 MB); waiting for bob to finish"},
		{[]stream.StreamEnded{received, sent}, true, ""},
	} {
		var e endedWays
		for _, what := range test.ended {
			e.end(what)
		}
		if got := e.text("bob", test.typed); got != test.want {
			t.Errorf("after %v: %q, not %q", test.ended, got, test.want)
		}
	}
}

func TestTheClosingLineOfMessagesPromisesOnlyWhatIsKnown(t *testing.T) {
	both := stream.Stats{SentMessages: 1, SentBytes: 20, ReceivedMessages: 2, ReceivedBytes: 3000}
	for _, test := range []struct {
		stats        stream.Stats
		acknowledged bool
		want         string
	}{
		{both, true, "all has arrived: 1 message out (20 B), 2 in (3.0 kB), 5s"},
		{both, false, "all was sent: 1 message out (20 B), 2 in (3.0 kB), 5s; bob's program does not say what has arrived"},
		{stream.Stats{ReceivedMessages: 1, ReceivedBytes: 5}, false, "the session has ended: 0 messages out (0 B), 1 in (5 B), 5s"},
	} {
		if got := textsMovedText(test.stats, test.acknowledged, "bob", 5*time.Second); got != test.want {
			t.Errorf("%+v, acknowledged: %v: %q, not %q", test.stats, test.acknowledged, got, test.want)
		}
	}
}

func TestATimeIsRoundedForPeople(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond: "1.2s", 12345 * time.Millisecond: "12s", 3*time.Minute + 300*time.Millisecond: "3m0s",
	} {
		if got := rounded(d).String(); got != want {
			t.Errorf("%v becomes %s, not %s", d, got, want)
		}
	}
}
