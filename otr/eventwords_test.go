package otr_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"otrpipe/otr"
	"otrpipe/otr/wire"
)

// Each event describes in one line what happened, and contains neither a key nor control
// characters from the peer.
func TestEventsSayWhatHappenedInOneLine(t *testing.T) {
	session := otr.Session{Version: 3, Fingerprint: testKeys()[0].Public().Fingerprint()}
	hex := session.Fingerprint.String()
	day := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	secret := []byte("thirty-two bytes that are secret")
	for _, c := range []struct {
		event otr.Event
		says  []string
	}{
		{otr.Secure{Session: session}, []string{"secure", "OTRv3", hex}},
		{otr.Secure{Session: session, Refreshed: true}, []string{"refreshed", "OTRv3", hex}},
		{otr.PeerEnded{}, []string{"peer ended"}},
		{otr.Ended{}, []string{"ended"}},
		{otr.Ended{Expired: true}, []string{"ended", "too long"}},
		{otr.Unencrypted{Bytes: 17}, []string{"17", "unencrypted"}},
		{otr.Unreadable{Reason: errors.New("why")}, []string{"dropped", "why"}},
		{otr.Malformed{Reason: errors.New("why")}, []string{"dropped", "why"}},
		{otr.PeerError{Text: "a\nb\x1b"}, []string{"error", `"a\nb\x1b"`}},
		{otr.PeerError{Text: "ERROR_1: x", Code: 1}, []string{"error", "could not read"}},
		{otr.PeerError{Text: "ERROR_3: Encryption error", Code: 3}, []string{"could not encrypt"}},
		{otr.PeerError{Text: "Profile expired", Expired: true}, []string{"clocks"}},
		{otr.Queried{Offered: wire.MakeVersions(3)}, []string{"not allowed", "3"}},
		{otr.Queried{Offered: wire.MakeVersions(3), Common: 3}, []string{"ignored"}},
		{otr.Queried{Offered: wire.MakeVersions(3), Common: 3, Answer: 3}, []string{"answered with version 3"}},
		{otr.OtherInstance{Tag: 0x1234}, []string{"00001234", "ignored"}},
		{otr.OtherKey{Fingerprint: session.Fingerprint, Version: 3}, []string{"refused", hex}},
		{otr.SecondClient{Version: 3, Instance: 0x1234}, []string{"second client", "00001234", "goes on"}},
		{otr.ExchangeBegun{Version: 4, Instance: 0x1234}, []string{"version 4", "00001234"}},
		{otr.ProfileExpired{Expires: day, Now: day.AddDate(0, 0, 7)}, []string{"2030-01-02", "2030-01-09", "clocks"}},
		{otr.Echo{}, []string{"our own message"}},
		{otr.Restarted{}, []string{"lost the session"}},
		{otr.Resent{}, []string{"sent"}},
		{otr.SMPAsked{}, []string{"shared secret"}},
		{otr.SMPAsked{Question: "a\nb"}, []string{`"a\nb"`}},
		{otr.SMPShown{}, []string{"shown"}},
		{otr.SMPSucceeded{}, []string{"the same"}},
		{otr.SMPFailed{}, []string{"differ"}},
		{otr.SMPFailed{BrokenOff: true}, []string{"broken off"}},
		{otr.SMPAborted{}, []string{"aborted"}},
		{otr.SMPCrossed{}, []string{"both ends"}},
		{otr.ExtraKeyReceived{Use: 0x77, Key: secret}, []string{"0x00000077"}},
	} {
		got := c.event.String()
		for _, word := range c.says {
			if !strings.Contains(got, word) {
				t.Errorf("%T says %q, without %q", c.event, got, word)
			}
		}
		if strings.ContainsAny(got, "\n\x1b") || strings.Contains(got, string(secret)) {
			t.Errorf("%T says %q", c.event, got)
		}
	}
}
