package commands

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"otrpipe/commands/internal/chat"
	"otrpipe/commands/internal/cmdline"
	"otrpipe/commands/internal/events"
	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/halves"
	"otrpipe/commands/internal/options"
)

// manFolder is where the manual pages are.
const manFolder = "../man"

func manPage(t *testing.T, name string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(manFolder, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// manPages are the names of all of them.
func manPages(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(manFolder, "*.[0-9]"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	return names
}

// manFlags are the flags that a page explains, by each of their names; the value
// says whether one takes a value there.
func manFlags(page string) map[string]bool {
	flags := map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		item, ok := strings.CutPrefix(line, ".It Fl ")
		if !ok {
			continue
		}
		words := append([]string{"Fl"}, strings.Fields(item)...)
		takes := slices.Contains(words, "Ar") || slices.Contains(words, "Cm")
		for i, word := range words[1:] {
			if words[i] == "Fl" {
				flags[strings.TrimPrefix(word, "-")] = takes
			}
		}
	}
	return flags
}

// commandFlags are the same of flags of ours.
func commandFlags(flags map[string]bool, of []cli.Flag) {
	for _, f := range of {
		if f == cli.HelpFlag || f == cli.VersionFlag || !cmdline.Visible(f) {
			continue
		}
		for _, name := range f.Names() {
			flags[name] = cmdline.TakesValue(f)
		}
	}
}

func TestEveryFlagIsInItsPageAndTheOtherWayRound(t *testing.T) {
	app := testApp()
	compare := func(page string, ours map[string]bool) {
		t.Helper()
		theirs := manFlags(manPage(t, page))
		for name, takes := range ours {
			if inPage, ok := theirs[name]; !ok {
				t.Errorf("%s does not explain %s", page, cmdline.Dashed(name))
			} else if inPage != takes {
				t.Errorf("%s: whether %s takes a value: %v, but in the program %v", page, cmdline.Dashed(name), inPage, takes)
			}
		}
		for name := range theirs {
			if _, ok := ours[name]; !ok {
				t.Errorf("%s explains %s, which there is not", page, cmdline.Dashed(name))
			}
		}
	}
	global := map[string]bool{"help": false, "h": false, "version": false}
	commandFlags(global, app.Flags)
	compare("otrpipe.1", global)
	pages := map[string]map[string]bool{} // a page may be about several commands
	for _, c := range app.Commands {
		if c.Hidden {
			continue
		}
		page := "otrpipe-" + c.Name + ".1"
		if real, err := os.Readlink(filepath.Join(manFolder, page)); err == nil {
			page = real
		}
		if pages[page] == nil {
			pages[page] = map[string]bool{}
		}
		commandFlags(pages[page], c.Flags)
		for _, sub := range c.Subcommands {
			commandFlags(pages[page], sub.Flags)
		}
	}
	for page, ours := range pages {
		compare(page, ours)
	}
}

// TestEveryCommandHasAPage: the page names it, its subcommands and their
// arguments, and otrpipe(1) and this page name each other.
func TestEveryCommandHasAPage(t *testing.T) {
	first := manPage(t, "otrpipe.1")
	known := map[string]bool{"otrpipe.1": true, "otrpipe-stream.5": true, "otrpipe-keys.5": true}
	for _, c := range testApp().Commands {
		if c.Hidden {
			continue
		}
		name := "otrpipe-" + c.Name
		page := manPage(t, name+".1")
		known[name+".1"] = true
		if !regexp.MustCompile(`(?m)^\.Nm ` + name + `( ,)?$`).MatchString(page) {
			t.Errorf("%s.1 is about something else", name)
		}
		if !strings.Contains(page, "\n.Nm otrpipe "+c.Name) {
			t.Errorf("the synopsis of %s.1 has no otrpipe %s", name, c.Name)
		}
		for _, sub := range c.Subcommands {
			if !regexp.MustCompile(`(?m)^\.It Cm ` + sub.Name + `$`).MatchString(page) {
				t.Errorf("%s.1 does not explain %s", name, sub.Name)
			}
		}
		if !regexp.MustCompile(`(?m)^\.It .*Xr ` + name + ` 1( ,.*)?$`).MatchString(first) {
			t.Errorf("otrpipe.1 does not list %s", name)
		}
		if !strings.Contains(page, "\n.Xr otrpipe 1") {
			t.Errorf("%s.1 does not name otrpipe(1)", name)
		}
	}
	for _, page := range manPages(t) {
		if !known[page] {
			t.Errorf("there is a page for no command: %s", page)
		}
	}
}

// TestWhatIsTheSameIsSaidInTheSameWords: the flags of a stream stand in several
// pages, since nobody wants to read two to know one command.
func TestWhatIsTheSameIsSaidInTheSameWords(t *testing.T) {
	const begin, end = `.\" The flags of connect, serve, encrypt-stream and decrypt-stream: one text.`, `.\" End of the flags.`
	// These mean something else where an end has two halves, or serves many callers.
	differ := []string{"s , Fl -session", "-ephemeral", "-timeout", "-wait"}
	texts := map[string]map[string]string{} // by flag and text: the pages that have it
	pages := []string{commandConnect, commandServe, halves.Encrypt}
	for _, name := range pages {
		_, text, ok := strings.Cut(manPage(t, "otrpipe-"+name+".1"), begin)
		text, _, closed := strings.Cut(text, end)
		if !ok || !closed {
			t.Fatalf("otrpipe-%s.1 has no such text", name)
		}
		for _, item := range strings.Split(text, "\n.It Fl ") {
			flag, _, _ := strings.Cut(item, " Ar ")
			flag, _, _ = strings.Cut(flag, "\n")
			if texts[flag] == nil {
				texts[flag] = map[string]string{}
			}
			texts[flag][item] += " " + name
		}
	}
	for flag, versions := range texts {
		switch {
		case len(versions) > 1 && !slices.Contains(differ, flag):
			t.Errorf("%q is explained in different words: in%s", flag, strings.Join(slices.Sorted(maps.Values(versions)), "; in"))
		case len(versions) == 1 && slices.Contains(differ, flag):
			t.Errorf("%q is explained in the same words everywhere, so it is not an exception", flag)
		}
		all := strings.Fields(strings.Join(slices.Collect(maps.Values(versions)), ""))
		if len(all) != len(pages) {
			t.Errorf("%q is explained only in %q", flag, all)
		}
	}
}

// TestPagesKnowTheValuesThatAreFixed: what completion offers for a flag, the page
// of each command that has the flag names.
func TestPagesKnowTheValuesThatAreFixed(t *testing.T) {
	for _, c := range testApp().Commands {
		if c.Hidden {
			continue
		}
		page := manPage(t, "otrpipe-"+c.Name+".1")
		for _, test := range options.Table() {
			if test.Completion != options.Fixed {
				continue
			}
			item := regexp.MustCompile(`(?m)^\.It Fl -` + test.Name + ` (.*)$`).FindStringSubmatch(page)
			if item == nil {
				continue
			}
			for _, value := range test.Values {
				if !slices.Contains(strings.Fields(item[1]), value) {
					t.Errorf("otrpipe-%s.1 does not name %s of --%s", c.Name, value, test.Name)
				}
			}
		}
	}
}

func TestTheExitStatusIsInOtrpipe1(t *testing.T) {
	_, table, _ := strings.Cut(manPage(t, "otrpipe.1"), "\n.Sh EXIT STATUS\n")
	table, _, _ = strings.Cut(table, "\n.Sh ")
	var got []int
	for _, item := range regexp.MustCompile(`(?m)^\.It (.*)$`).FindAllStringSubmatch(table, -1) {
		for _, number := range strings.Split(item[1], ", ") {
			code, err := strconv.Atoi(number)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, code)
		}
	}
	want := []int{
		exit.OK, exit.Failure, exit.Usage, exit.Refused, exit.SMP, exit.Broken, exit.KeyFile, exit.Timeout, exit.Session, exit.CannotRun,
		129, 130, 131, 141, 143,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the table has %d, not %d", got, want)
	}
}

func TestTheEventsAreInOtrpipe1(t *testing.T) {
	_, section, _ := strings.Cut(manPage(t, "otrpipe.1"), "\n.Sh EVENTS\n")
	section, _, _ = strings.Cut(section, "\n.Sh ")
	var got []string
	for _, item := range regexp.MustCompile(`(?m)^\.It Cm (.*)$`).FindAllStringSubmatch(section, -1) {
		got = append(got, strings.Split(item[1], " , ")...)
	}
	want := []string{
		events.Started, events.Listening, events.TurnedAway, events.Secure, events.Refreshed, events.Told, events.Vouched, events.Downgraded,
		events.SecondClient, events.OtherKey, events.SMPAsked, events.SMPSucceeded,
		events.SMPFailed, events.SMPAborted, events.Unencrypted, events.Unreadable, events.PeerError, events.ExtraKey,
		events.Lost, events.Late, events.StreamEnded, events.PeerEnded, events.Ended,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the page has %q, not %q", got, want)
	}
}

func TestTheCommandsOfAChatAreInItsPage(t *testing.T) {
	page := manPage(t, "otrpipe-chat.1")
	var got []string
	for _, item := range regexp.MustCompile(`(?m)^\.It Cm (/\w+)( .*)?$`).FindAllStringSubmatch(page, -1) {
		got = append(got, item[1])
	}
	want := chat.Commands()
	if !slices.Equal(got, want) {
		t.Errorf("the page has %q, not %q", got, want)
	}
}

// TestWhatIsTypedFitsATerminal: a page has 80 columns, of which the margin and
// the display take seven.
func TestWhatIsTypedFitsATerminal(t *testing.T) {
	const columns = 80 - 7
	for _, page := range manPages(t) {
		for _, line := range strings.Split(manPage(t, page), "\n") {
			if strings.HasSuffix(line, `\`) {
				t.Errorf("%s: roff joins this line and the next one; \\e shows a backslash: %s", page, line)
			}
			line = strings.ReplaceAll(line, `\e`, `\`)
			if regexp.MustCompile(`^((here|there|)\$ |      )`).MatchString(line) && len(line) > columns {
				t.Errorf("%s: %d columns: %s", page, len(line), line)
			}
		}
	}
}
