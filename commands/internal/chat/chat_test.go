package chat

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fatih/color"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/live"
	"otrpipe/commands/internal/trust"
)

// suggest knows two misspellings.
func suggest(name string, _ []string) string {
	return map[string]string{"/hlep": "/help", "/ansewr": "/answer"}[name]
}

func TestALineIsATextOrACommand(t *testing.T) {
	for _, test := range []struct {
		line string
		want entry
	}{
		{"hello", entry{text: "hello"}},
		{" /quit", entry{command: "/quit"}},
		{"\t\u00a0/smp sesame", entry{command: "/smp", argument: "sesame"}},
		{" // a comment", entry{text: " // a comment"}},
		{" hello /quit", entry{text: " hello /quit"}},
		{"//quit", entry{text: "/quit"}},
		{"///", entry{text: "//"}},
		{"/quit", entry{command: "/quit"}},
		{"/smp  where did we meet? ", entry{command: "/smp", argument: "where did we meet?"}},
		{"/etc/passwd\nroot", entry{command: "/etc/passwd", argument: "root"}},
		{"/", entry{command: "/"}},
	} {
		if got := readEntry(test.line); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.line, got, test.want)
		}
	}
}

func TestACommandThatThereIsNotIsRefusedWithASuggestion(t *testing.T) {
	for _, test := range []struct{ line, hint string }{
		{"/hlep", "did you mean /help?"},
		{"/ansewr", "did you mean /answer?"},
		{"/etc/passwd", "begin it with //"},
		{"/", "begin it with //"},
		{"/HELP", "did you mean /help?"},
		{"/Hlep", "did you mean /help?"},
		{"/exit", "did you mean /quit?"},
		{"/verify bob", "did you mean /smp?"},
		{"/answer sesame", ""},
		{"/quit now", ""},
	} {
		_, err := readEntry(test.line).find(suggest)
		if err == nil || !strings.Contains(exit.As(err).Hint, test.hint) {
			t.Errorf("%q: %v, and the hint %q", test.line, err, exit.As(err).Hint)
		}
		if err != nil && strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: what may be a secret is repeated: %v", test.line, err)
		}
	}
	for _, s := range slashes() {
		for _, line := range []string{s.name, s.name + " "} {
			if found, err := readEntry(line).find(suggest); err != nil || found.name != s.name {
				t.Errorf("%q: %v", line, err)
			}
		}
	}
}

func TestThePromptSaysHowFarThePeerIsTrusted(t *testing.T) {
	for _, test := range []struct {
		encrypted bool
		trust     trust.Standing
		prompt    string
		colour    color.Attribute
	}{
		{false, "", "[bob unencrypted]", color.FgRed},
		{false, trust.Verified, "[bob unencrypted]", color.FgRed},
		{true, trust.Unverified, "[bob new]", color.FgYellow},
		{true, trust.New, "[bob new]", color.FgYellow},
		{true, trust.Known, "[bob known]", color.FgYellow},
		{true, trust.Verified, "[bob verified]", color.FgGreen},
	} {
		s := standing{who: "bob", connected: true, encrypted: test.encrypted, trust: test.trust}
		if s.prompt() != test.prompt || s.colour() != test.colour {
			t.Errorf("%+v: %s in colour %d", s, s.prompt(), s.colour())
		}
	}
	if s := (standing{who: "bob"}); s.prompt() != "[bob not connected]" || s.colour() != color.FgRed {
		t.Errorf("without a connection: %s in colour %d", s.prompt(), s.colour())
	}
	for contact, who := range map[string]string{
		"":                      "peer",
		"bob\x1b[31m":           `bob\x1b[31m`,
		"otrpipe":               "<otrpipe>",
		"You":                   "<You>",
		strings.Repeat("é", 40): strings.Repeat("é", maxWho-1) + "…",
	} {
		h := New(Config{Program: "otrpipe", Contact: contact})
		if got := h.standingOf(live.Snapshot{}).who; got != who {
			t.Errorf("%q is called %q, not %q", contact, got, who)
		}
	}
}

func TestATransportsMessagesComeLineByLine(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 16)
	go func() {
		defer close(lines)
		eachLine(r, func(line []byte) { lines <- string(line) })
	}()
	long := strings.Repeat("x", maxLine)
	io.WriteString(w, "one\r\ntwo\n\nhalf a question? ")
	// What does not come to its end is shown all the same.
	for _, want := range []string{"one", "two", "", "half a question? "} {
		select {
		case got := <-lines:
			if got != want {
				t.Errorf("%q, want %q", got, want)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("no %q", want)
		}
	}
	io.WriteString(w, long+"end")
	w.Close()
	var rest string
	for line := range lines {
		if len(line) > 2*maxLine {
			t.Errorf("a line of %d bytes", len(line))
		}
		rest += line
	}
	if rest != long+"end" {
		t.Errorf("%d bytes came at the end", len(rest))
	}
}

func TestNoNameOfAPeerIsOneThatTheChatShowsForItself(t *testing.T) {
	h := New(Config{Program: "otrpipe"})
	for _, name := range []string{
		"you", "You", "(you)", "* (you)", "you:", "[YOU]", "you (alice)", "otrpipe", "OTRpipe:", "otrpipe: your key",
		"UNENCRYPTED", "unencrypted:", "*", "* alice",
	} {
		if got := h.notOurs(name); got != "<"+name+">" {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
	for _, name := range []string{"bob", "young", "thank you", "(bob)", "🧅", "peer"} {
		if got := h.notOurs(name); got != name {
			t.Errorf("%q is shown as %q", name, got)
		}
	}
}
