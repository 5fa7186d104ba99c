//go:build unix

package peers

import (
	"crypto/rand"
	"encoding/hex"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/keys"
)

// Ours is our library as one end of a conversation.
type ours struct {
	t    *testing.T
	cfg  otr.Config
	c    *otr.Conversation
	news []event
	skip time.Duration    // how far our clock is ahead of the machine's
	keys []otr.SessionKey // those that were logged, see logged
}

// policies are the versions as our policy has them.
var policies = map[string]otr.Policy{"2": otr.AllowV2, "3": otr.AllowV3, "4": otr.AllowV4}

// newOurs starts a conversation of a version, with lines of at most size bytes
// if it is not 0.
func newOurs(t *testing.T, version string, size int, policy otr.Policy) *ours {
	t.Helper()
	key, err := keys.GenerateDSA(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	o := &ours{t: t, cfg: otr.Config{
		DSA:         key,
		InstanceTag: 0x1234567,
		Policy:      policies[version] | policy,
		Rand:        rand.Reader,
		MaxSize:     size,
	}}
	o.cfg.Now = func() time.Time { return time.Now().Add(o.skip) }
	o.Forget()
	return o
}

func (o *ours) Name() string { return "otrpipe" }

func (o *ours) Forget() []string {
	o.t.Helper()
	c, err := otr.New(o.cfg)
	if err != nil {
		o.t.Fatal(err)
	}
	o.c = c
	return nil
}

func (o *ours) Receive(line string) []string {
	o.t.Helper()
	got, err := o.c.Receive([]byte(line))
	if err != nil {
		o.t.Fatalf("%.100q: %v", line, err)
	}
	return o.took(got)
}

// longestPause is more than a key exchange waits on purpose before it goes on, and
// less than it waits for a peer that does not answer.
const longestPause = 1500 * time.Millisecond

// Pause moves our clock to where a key exchange that waits on purpose goes on, and
// returns what is sent then. It reports false if there is none.
func (o *ours) Pause() ([]string, bool) {
	o.t.Helper()
	next := o.c.NextTick()
	wait := next.Sub(o.cfg.Now())
	if !o.c.UnderWay() || next.IsZero() || wait > longestPause {
		return nil, false
	}
	o.skip += max(0, wait)
	got, err := o.c.Tick()
	if err != nil {
		o.t.Fatal(err)
	}
	return o.took(got), true
}

// took notes what a call reports and returns what it sends.
func (o *ours) took(got otr.Received) []string {
	for _, e := range got.Events {
		o.news = append(o.news, eventOf(e))
	}
	switch {
	case got.HasText && len(got.Text) > 0:
		o.news = append(o.news, event{Event: "text", Text: string(got.Text), Encrypted: true})
	case got.DataMessage:
		o.news = append(o.news, event{Event: "heartbeat"})
	case got.Unencrypted != nil:
		o.news = append(o.news, event{Event: "text", Text: string(got.Unencrypted)})
	}
	return linesOf(got.Send)
}

func linesOf(send [][]byte) []string {
	var lines []string
	for _, line := range send {
		lines = append(lines, string(line))
	}
	return lines
}

// eventOf is an event of ours in the words of the peers' events.
func eventOf(e otr.Event) event {
	switch e := e.(type) {
	case otr.Secure:
		bold := "second"
		if e.FirstHalfBold {
			bold = "first"
		}
		return event{Event: "secure", Version: e.Version, Fingerprint: e.Fingerprint.Hex(),
			SSID: hex.EncodeToString(e.SSID[:]), Bold: bold, Instance: e.PeerInstance}
	case otr.PeerEnded:
		return event{Event: "ended"}
	case otr.Unreadable:
		return event{Event: "unreadable", Reason: e.Reason.Error()}
	case otr.Malformed:
		return event{Event: "malformed", Reason: e.Reason.Error()}
	case otr.PeerError:
		return event{Event: "peer_error", Text: e.Text}
	case otr.SMPAsked:
		return event{Event: "smp_asked", Question: e.Question}
	case otr.SMPSucceeded:
		return event{Event: "smp_succeeded"}
	case otr.SMPFailed:
		return event{Event: "smp_failed"}
	case otr.SMPAborted:
		return event{Event: "smp_aborted"}
	case otr.ExtraKeyReceived:
		return event{Event: "extra_key", Use: e.Use,
			Data: hex.EncodeToString(e.Data), Key: hex.EncodeToString(e.Key)}
	}
	return event{Event: "other", Reason: e.String()}
}

// sent is what a call that must not fail has sent.
func (o *ours) sent(lines [][]byte, err error) []string {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	return linesOf(lines)
}

func (o *ours) Say(text string) []string { return o.sent(o.c.Send([]byte(text))) }
func (o *ours) Query() []string          { return linesOf(o.c.Query()) }
func (o *ours) Commit() []string         { return o.sent(o.c.Refresh()) }
func (o *ours) End() []string            { return o.sent(o.c.End()) }
func (o *ours) Abort() []string          { return o.sent(o.c.AbortSMP()) }

func (o *ours) SMP(secret, question string) []string {
	return o.sent(o.c.StartSMP([]byte(secret), question))
}

func (o *ours) Answer(secret string) []string { return o.sent(o.c.AnswerSMP([]byte(secret))) }

func (o *ours) ExtraKey(use uint32, data string) []string {
	o.t.Helper()
	key, lines, err := o.c.ExtraKey(use, []byte(data))
	if err != nil {
		o.t.Fatal(err)
	}
	o.news = append(o.news, event{Event: "extra_key_sent", Use: use, Key: hex.EncodeToString(key)})
	return linesOf(lines)
}

func (o *ours) Happened() []event {
	news := o.news
	o.news = nil
	return news
}
