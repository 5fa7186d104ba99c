package stream

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
)

// Each event describes in one line what happened and how much, without showing text from the
// peer.
func TestEventsSayWhatHappenedInOneLine(t *testing.T) {
	const text = "what the peer\nwrote"
	session := otr.Session{Version: 3, Fingerprint: testKeys()[0].Public().Fingerprint()}
	for _, c := range []struct {
		event fmt.Stringer
		says  string
	}{
		{Trusted{}, "the peer is who"},
		{Refused{Session: session}, session.Fingerprint.String()},
		{OurKeyRefused{}, "refuses our key"},
		{Told{Session: session, Fingerprint: session.Fingerprint}, session.Fingerprint.String()},
		{Downgraded{Session: session, Common: 4}, "version 3, though both ends offered version 4"},
		{StreamEnded{Sent: true, Bytes: 71}, "all 71 bytes"},
		{StreamEnded{Bytes: 71}, "ended after 71 bytes"},
		{Text{Text: otr.Authenticated(text)}, fmt.Sprint(len(text), " bytes")},
		{LineTooLong{Bytes: 71}, "71 bytes"},
		{Lost{Texts: 71}, "71 texts"},
		{Late{Texts: 71}, "71 texts"},
		{Unacknowledged{Texts: 71}, "71 texts"},
		{Undelivered{Texts: 71}, "71 texts"},
		{Undelivered{Texts: 71, Perhaps: true}, "71 texts"},
		{Delivered{Texts: 71}, "71 texts"},
		{Delivered{Texts: 71, AfterAll: true}, "71 texts"},
		{NoSign{Wait: 71 * time.Second}, "1m11s"},
		{Unwritten{}, "could not write"},
		{Unencrypted{Bytes: 71, Text: otr.Unauthenticated(text)}, "71 bytes"},
		{OtherMode{}, "stream"},
		{Unsent{Texts: 71}, "71 texts"},
		{Draining{Bytes: 71}, "71 bytes"},
	} {
		if got := c.event.String(); !strings.Contains(got, c.says) || strings.Contains(got, "\n") {
			t.Errorf("%T says %q, without %q", c.event, got, c.says)
		}
	}
}

func TestStatesOfTheComparisonHaveNames(t *testing.T) {
	for state, want := range map[gateState]string{
		gateIdle: "idle", gateWanted: "wanted", gateShown: "shown", gatePassed: "passed", gateFailed: "failed", gateFailed + 1: "gateState(5)",
	} {
		if state.String() != want {
			t.Errorf("%v instead of %s", state, want)
		}
	}
}
