package commands

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/control"
	"otrpipe/commands/internal/fingerprint"
	"otrpipe/commands/internal/terminal"
	"otrpipe/commands/internal/trust"
	"otrpipe/otr/keys"
)

func statusCommand() *cli.Command {
	return &cli.Command{
		Name:  "status",
		Usage: "show the live sessions and their state",
		Description: "Without --session all are shown; if there are none, nothing is printed.\n\n" +
			"  otrpipe status\n" +
			"  otrpipe status -s work --json",
		Flags: append(controlFlagsFor("all"), jsonFlag()),
		Action: func(c *cli.Context) error {
			if err := noArguments(c, "-s"); err != nil {
				return err
			}
			if c.IsSet(flagSession) {
				return statusOfOne(c)
			}
			return statusOfAll(c)
		},
	}
}

func statusOfOne(c *cli.Context) error {
	session, err := theSession(c)
	if err != nil {
		return err
	}
	session.Close()
	return answer(c, statusDocument{session.Status, ioOf(c).Verbose})
}

func statusOfAll(c *cli.Context) error {
	dir, filter, err := meantSessions(c)
	if err != nil {
		return err
	}
	all := statusList{}
	answered, silent := control.Find(dir, control.AnswerTime, filter)
	for _, client := range answered {
		all = append(all, statusDocument{client.Status, ioOf(c).Verbose})
		client.Close()
	}
	for _, s := range silent {
		all = append(all, statusDocument{s.Status(), ioOf(c).Verbose})
	}
	return answer(c, all)
}

// A statusList is the list of sessions that status prints.
type statusList []statusDocument

// Text joins the texts of the sessions.
func (l statusList) Text() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.Text())
	}
	return b.String()
}

// TerminalText joins the terminal texts of the sessions.
func (l statusList) TerminalText() string {
	var b strings.Builder
	for _, d := range l {
		b.WriteString(d.TerminalText())
	}
	return b.String()
}

// A statusDocument is the description of one session that status prints.
type statusDocument struct {
	*control.Status
	verbose bool // text shows the peer's key even if it is known
}

// Text describes the session on several lines.
func (d statusDocument) Text() string {
	return statusText(d.Status, d.verbose, func(fp keys.Fingerprint) []string { return []string{fp.String()} })
}

// TerminalText shows the peer's key in rows that are easy to read.
func (d statusDocument) TerminalText() string {
	return statusText(d.Status, d.verbose, fingerprint.Rows)
}

// statusText describes the session in text of several lines. It shows the peer's key if the key
// is new or verbose is set, laid out by rows.
func statusText(s *control.Status, verbose bool, rows func(keys.Fingerprint) []string) string {
	var b strings.Builder
	field := func(name, format string, a ...any) {
		fmt.Fprintf(&b, "  %-12s %s\n", name, terminal.Visible(fmt.Sprintf(format, a...)))
	}
	fmt.Fprintf(&b, "%s: %s\n", terminal.Visible(s.Session), s.State)
	field("identity", "%s", s.Identity)
	if s.State == control.StateSilent {
		field("process", "%d does not answer: it may be stopped", s.PID)
		return b.String()
	}
	if s.Contact != nil {
		field("contact", "%s", *s.Contact)
	}
	field("mode", "%s", s.Mode)
	if s.Fingerprint != nil {
		standing := trust.Standing(*s.Trust).ForPeople()
		if s.By != nil {
			standing += " by " + *s.By
		}
		peerKey(field, s, verbose || standing == string(trust.New), rows)
		field("trust", "%s", standing)
		field("session id", "%s", *s.SSID)
		if s.Instance != nil {
			field("instance", "%s", *s.Instance)
		}
		field("keys since", "%s", *s.KeysSince)
	}
	field("sent", "%s in %s", terminal.Count(int(s.Sent.Bytes), "byte"), terminal.Count(int(s.Sent.Messages), "message"))
	field("received", "%s in %s", terminal.Count(int(s.Received.Bytes), "byte"), terminal.Count(int(s.Received.Messages), "message"))
	field("process", "%d", s.PID)
	return b.String()
}

// peerKey describes the peer's key, and includes its fingerprint if whole is set.
func peerKey(field func(name, format string, a ...any), s *control.Status, whole bool, rows func(keys.Fingerprint) []string) {
	fp, err := keys.ParseFingerprint(*s.Fingerprint)
	if err != nil {
		return
	}
	kind := ""
	if weaker := fingerprint.Weaker(fp); weaker != "" {
		kind = " (" + weaker + ")"
	}
	if !whole {
		field("peer", "OTRv%d%s", *s.Version, kind)
		return
	}
	for i, row := range rows(fp) {
		if i == 0 {
			field("peer", "OTRv%d %s%s", *s.Version, row, kind)
		} else {
			field("", "      %s", row)
		}
	}
}
