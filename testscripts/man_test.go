//go:build unix

package testscripts

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// TestExamplesOfTheManualPages runs the EXAMPLES of every page as they stand
// there, on two machines, here and there, which are two homes on this one. In
// a literal display, a line that begins with "$", "here$" or "there$" is typed
// into the shell of that machine ("$" is here); where it ends with "|" or "\"
// it goes on in the next line. Lines behind it are what the terminal shows then, if
// there are any: "..." stands for anything, and a fingerprint, a time or a
// number for another one. What belongs to both machines in one display happens
// at the same time.
//
// Comments of the page say what a reader need not be told:
//
//	.\" here$ COMMAND     is run, too
//	.\" exits N           the next command leaves with N, not with 0
//	.\" stays             it runs until the rest of the display has ended
//	.\" expect REGEXP     it is run at a terminal of its own, which shows this
//	.\" type TEXT         and then this is typed
//	.\" zsh               this display is for another shell than bash
//	.\" not run: REASON   this display is not run, because
//
// Hosts are this machine, and port 9000 is a free one: nc, socat and ssh are
// small scripts that see to it, and the values of --tcp and --listen are replaced.
//
// Where slow tests are left out, the examples of quickPages remain.
func TestExamplesOfTheManualPages(t *testing.T) {
	long(t)
	t.Parallel()
	pages, err := filepath.Glob("../man/*.[0-9]")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no manual pages: %v", err)
	}
	for _, page := range pages {
		info, err := os.Lstat(page)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode()&os.ModeSymlink != 0 {
			continue // a page that is another, too
		}
		t.Run(filepath.Base(page), func(t *testing.T) {
			slowtest.SkipUnless(t, slices.Contains(quickPages, filepath.Base(page)))
			t.Parallel()
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			displays, err := readExamples(string(text))
			if err != nil {
				t.Fatal(err)
			}
			shown := 0
			for _, d := range displays {
				if !d.hidden {
					shown++
				}
			}
			if shown == 0 {
				t.Fatal("the page has no example")
			}
			runExamples(t, displays)
		})
	}
}

var quickPages = []string{
	"otrpipe.1", "otrpipe-chat.1", "otrpipe-contacts.1", "otrpipe-keygen.1", "otrpipe-send.1",
}

// A display is commands that happen together.
type display struct {
	hidden   bool // it is not in the page, but a comment
	shell    string
	notRun   string // why
	commands []*example
}

// An example is one command.
type example struct {
	line     string // of the page, for messages
	machine  string
	command  string
	shows    []string // what the terminal shows; empty: the page does not say
	exits    int
	stays    bool
	dialogue string // with a terminal; empty: there is none
}

var (
	prompt        = regexp.MustCompile(`^(here|there|)\$ +(.*)$`)
	hiddenPrompt  = regexp.MustCompile(`^\.\\" ((?:here|there|)\$ .*)$`)
	exampleRemark = regexp.MustCompile(`^\.\\" (exits|stays|expect|type|bash|zsh|fish|not run:) ?(.*)$`)
)

// readExamples takes the EXAMPLES of a page apart.
func readExamples(page string) ([]*display, error) {
	_, section, ok := strings.Cut(page, "\n.Sh EXAMPLES\n")
	if !ok {
		return nil, errors.New("the page has no section EXAMPLES")
	}
	section, _, _ = strings.Cut(section, "\n.Sh ")
	var all []*display
	next, inside := &display{}, false
	remarks := &example{}
	var last *example // whose further lines come
	for _, line := range strings.Split(section, "\n") {
		if remark := exampleRemark.FindStringSubmatch(line); remark != nil {
			switch what, rest := remark[1], remark[2]; what {
			case "exits":
				if _, err := fmt.Sscan(rest, &remarks.exits); err != nil {
					return nil, fmt.Errorf("%s: %w", line, err)
				}
			case "stays":
				remarks.stays = true
			case "expect", "type":
				remarks.dialogue += what + " " + rest + "\n"
			case "not run:":
				if next.notRun = rest; rest == "" {
					return nil, fmt.Errorf("%s: no reason is given", line)
				}
			default:
				next.shell = what
			}
			continue
		}
		hidden := hiddenPrompt.FindStringSubmatch(line)
		typed := prompt.FindStringSubmatch(literal(line))
		if hidden != nil {
			typed = prompt.FindStringSubmatch(hidden[1])
		}
		switch {
		case strings.HasPrefix(line, ".Bd -literal"):
			if len(next.commands) > 0 {
				all = append(all, next)
				next = &display{shell: next.shell}
			}
			inside, next.hidden = true, false
		case line == ".Ed":
			all = append(all, next)
			inside, next, last = false, &display{}, nil
		case hidden == nil && strings.HasPrefix(line, "."):
			// a macro: prose around the displays
		case hidden == nil && !inside:
			// prose
		case typed != nil:
			one := *remarks
			one.line, one.machine, one.command = line, typed[1], typed[2]
			if one.machine == "" {
				one.machine = "here"
			}
			if !inside {
				next.hidden = true
			}
			next.commands = append(next.commands, &one)
			remarks, last = &example{}, &one
		case last == nil:
			return nil, fmt.Errorf("%q is nobody's output", line)
		case len(last.shows) == 0 && strings.HasSuffix(last.command, "|"):
			last.command += " " + strings.TrimSpace(literal(line))
		case len(last.shows) == 0 && strings.HasSuffix(last.command, `\`):
			last.command = strings.TrimSuffix(last.command, `\`) + strings.TrimSpace(literal(line))
		default:
			last.shows = append(last.shows, literal(line))
		}
	}
	if len(next.commands) > 0 {
		all = append(all, next)
	}
	return all, nil
}

// literal is a line of a display as it is printed.
func literal(line string) string {
	return strings.NewReplacer(`\&`, "", `\e`, `\`).Replace(line)
}

// standIns are what examples find in place of the programs that leave this machine.
var standIns = map[string]string{
	"nc": `listen= host=127.0.0.1 options=
for word; do
	case $word in
	-l) listen=-l ;;
	-*) options="$options $word" ;;
	esac
done
port=$(cat "$SANDBOX/port")
if [ -z "$listen" ]; then
	hex=$(printf ':%04X 00000000:0000 0A' "$port")
	until grep -q "$hex" /proc/net/tcp; do sleep 0.1; done
fi
exec REAL $options $listen $host "$port"
`,
	"socat": `port=$(cat "$SANDBOX/port")
first=TCP-LISTEN:$port,bind=127.0.0.1,${1#TCP-LISTEN:9000,}
shift
exec REAL "$first" "$@"
`,
	"ssh": `machine=$1
shift
. "$SANDBOX/$machine.env"
cd "$SANDBOX/$machine" || exit 255
exec sh -c "$*"
`,
}

// tcpFlag is a flag that names the port, which no stand-in sees.
var tcpFlag = regexp.MustCompile(`--(tcp|listen) (?:[a-z.]+:)?9000\b`)

// runExamples runs displays one after another.
func runExamples(t *testing.T, displays []*display) {
	sandbox, err := os.MkdirTemp("", "man")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(sandbox) })
	bin := filepath.Join(sandbox, "bin")
	if err := os.Mkdir(bin, 0o700); err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(commandsOf(displays))
	for name, script := range standIns {
		if !strings.Contains(all, name+" ") {
			continue
		}
		program := "true"
		if strings.Contains(script, "REAL") {
			program = needed(t, name)
		}
		script = "#!/bin/sh\n" + strings.ReplaceAll(script, "REAL", program)
		if err := os.WriteFile(filepath.Join(bin, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Contains(all, "age ") {
		needed(t, "age")
	}
	machines := map[string]*machine{}
	for _, name := range []string{"here", "there"} {
		machines[name] = startMachine(t, sandbox, name)
	}
	for _, d := range displays {
		if d.notRun != "" {
			t.Logf("not run, because %s: %s", d.notRun, d.commands[0].line)
			continue
		}
		if err := newPort(sandbox); err != nil {
			t.Fatal(err)
		}
		if d.shell != "" && d.shell != "bash" {
			runIn(t, needed(t, d.shell), d, machines["here"])
			continue
		}
		runDisplay(t, d, machines)
		if t.Failed() {
			return
		}
	}
}

func commandsOf(displays []*display) []string {
	var all []string
	for _, d := range displays {
		for _, e := range d.commands {
			all = append(all, e.command)
		}
	}
	return all
}

func needed(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		message := program + " is not installed, which the examples use"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	return path
}

// newPort puts a free port into the sandbox.
func newPort(sandbox string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	return os.WriteFile(filepath.Join(sandbox, "port"), fmt.Append(nil, port), 0o600)
}

// A machine is a home and a shell.
type machine struct {
	name   string
	folder string
	env    []string
	typed  *os.File // the shell's input
	number int      // of commands that were typed
	pid    int
	ended  chan struct{}
}

func startMachine(t *testing.T, sandbox, name string) *machine {
	t.Helper()
	m := &machine{name: name, folder: filepath.Join(sandbox, name), ended: make(chan struct{})}
	vars, cleanUp, err := home(m.folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cleanUp)
	// The pages speak of a home as it is where nothing else was said.
	vars = slices.DeleteFunc(vars, func(v string) bool { return strings.HasPrefix(v, "XDG_") && !strings.HasPrefix(v, "XDG_RUNTIME") })
	vars = append(vars, "SANDBOX="+sandbox, "OTR=", "PATH="+filepath.Join(sandbox, "bin")+":"+os.Getenv("PATH"))
	m.env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "XDG_") || strings.HasPrefix(v, "OTRPIPE_")
	})
	m.env = append(m.env, vars...)
	var script strings.Builder
	for _, v := range vars {
		key, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&script, "export %s='%s'\n", key, value)
	}
	if err := os.WriteFile(filepath.Join(sandbox, name+".env"), []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(needed(t, "bash"), "--norc", "--noprofile")
	cmd.Dir, cmd.Env, cmd.Stdin = m.folder, m.env, in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	err = cmd.Start()
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	m.typed, m.pid = typed, cmd.Process.Pid
	go func() {
		cmd.Wait()
		close(m.ended)
	}()
	t.Cleanup(func() {
		syscall.Kill(-m.pid, syscall.SIGKILL)
		<-m.ended
		typed.Close()
	})
	return m
}

// file is a file of command n.
func (m *machine) file(n int, what string) string {
	return filepath.Join(m.folder, ".tmp", fmt.Sprintf("%d.%s", n, what))
}

// run types a command and waits for its end.
func (m *machine) run(e *example, over <-chan struct{}) error {
	m.number++
	n := m.number
	text := tcpFlag.ReplaceAllString(e.command, `--$1 127.0.0.1:$$(cat "$$SANDBOX/port")`)
	if e.dialogue != "" {
		if err := os.WriteFile(m.file(n, "dialogue"), []byte(e.dialogue), 0o600); err != nil {
			return err
		}
		if err := os.WriteFile(m.file(n, "typed"), []byte(text+"\n"), 0o600); err != nil {
			return err
		}
		text = fmt.Sprintf("pty %s bash %s", m.file(n, "dialogue"), m.file(n, "typed"))
	}
	if e.stays {
		text = fmt.Sprintf("set -m\n%s &\necho $! >%s\nset +m", text, m.file(n, "pid"))
	}
	if err := os.WriteFile(m.file(n, "sh"), []byte(text+"\n"), 0o600); err != nil {
		return err
	}
	_, err := fmt.Fprintf(m.typed, ". %s </dev/null >%s 2>&1; echo $? >%s; mv %[3]s %[4]s\n",
		m.file(n, "sh"), m.file(n, "out"), m.file(n, "c"), m.file(n, "code"))
	if err != nil {
		return err
	}
	var out []byte
	err = until("it has not ended", func() bool {
		_, err := os.Stat(m.file(n, "code"))
		return err == nil
	})
	out, _ = os.ReadFile(m.file(n, "out"))
	if err != nil {
		return fmt.Errorf("%w; the terminal shows:\n%s", err, out)
	}
	if e.stays {
		<-over
		pid, err := os.ReadFile(m.file(n, "pid"))
		if err != nil {
			return err
		}
		var leader int
		if _, err := fmt.Sscan(string(pid), &leader); err != nil {
			return err
		}
		return syscall.Kill(-leader, syscall.SIGKILL)
	}
	code, err := os.ReadFile(m.file(n, "code"))
	if err != nil {
		return err
	}
	if got := strings.TrimSpace(string(code)); got != fmt.Sprint(e.exits) {
		return fmt.Errorf("it leaves with %s, not with %d; the terminal shows:\n%s", got, e.exits, out)
	}
	if len(e.shows) > 0 && !shows(string(out), e.shows, e.dialogue != "") {
		return fmt.Errorf("the terminal shows:\n%s\nand the page:\n%s", out, strings.Join(e.shows, "\n"))
	}
	return nil
}

// runDisplay runs the commands of each machine in their order, both machines at
// the same time.
func runDisplay(t *testing.T, d *display, machines map[string]*machine) {
	t.Helper()
	over := make(chan struct{})
	results := make(chan error)
	waits, stays := 0, 0
	for name, m := range machines {
		var list []*example
		for _, e := range d.commands {
			if e.machine == name {
				list = append(list, e)
			}
		}
		if len(list) == 0 {
			continue
		}
		if list[len(list)-1].stays {
			stays++
		}
		waits++
		go func() {
			var err error
			for _, e := range list {
				if err = m.run(e, over); err != nil {
					err = fmt.Errorf("%s: %w", e.line, err)
					break
				}
			}
			results <- err
		}()
	}
	for n := waits; n > 0; n-- {
		if n == stays {
			close(over)
		}
		if err := <-results; err != nil {
			t.Error(err)
			if stays > 0 && n > stays {
				close(over)
				stays = n // closed
			}
		}
	}
}

// runIn runs a display in a shell of its own.
func runIn(t *testing.T, shell string, d *display, m *machine) {
	t.Helper()
	var script strings.Builder
	for _, e := range d.commands {
		fmt.Fprintln(&script, e.command, "|| exit 1")
	}
	cmd := exec.Command(shell, "-f", "-c", script.String())
	cmd.Dir, cmd.Env = m.folder, m.env
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("in %s: %v: %s", shell, err, out)
	}
}

// What changes from one run to the next.
var changing = []struct {
	pattern *regexp.Regexp
	stands  string
}{
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`), "TIME"},
	{regexp.MustCompile(`\b[0-9A-F]{8}( [0-9A-F]{8})*`), "GROUPS"},
	{regexp.MustCompile(`\b[0-9a-f]{8,}\b`), "DIGITS"},
	{regexp.MustCompile(`(?m)^(  process +)\d+$`), "${1}NUMBER"},
}

// shows says whether out is what the page says; of what was asked at a terminal
// it says nothing.
func shows(out string, page []string, asked bool) bool {
	plain := func(s string) string {
		for _, c := range changing {
			s = c.pattern.ReplaceAllString(s, c.stands)
		}
		return s
	}
	pattern := regexp.QuoteMeta(plain(strings.Join(page, "\n")))
	pattern = strings.ReplaceAll(pattern, `GROUPS \.\.\.`, `GROUPS`)

	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `(?s:.*)`)
	if asked {
		pattern = `(?s:.*)` + pattern
	}
	return regexp.MustCompile(`^` + pattern + `\n*$`).MatchString(strings.ReplaceAll(plain(out), "\r", ""))
}

// TestAnExampleIsReadAsItIsPrinted: what stands in a page and is not understood
// must not be left out.
func TestAnExampleIsReadAsItIsPrinted(t *testing.T) {
	const page = `
.Sh EXAMPLES
Prose.
.\" $ hidden
.Bd -literal -offset 2n
.\" exits 3
here$ one |
      two
shown
.\" stays
there$ printf 'a\en' \e
      -b
.Ed
.\" not run: nobody is there
.Bd -literal
$ three
.Ed
.Sh SEE ALSO
$ not an example
`
	displays, err := readExamples(page)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i, d := range displays {
		for _, e := range d.commands {
			got = append(got, fmt.Sprintf("%d %v %q %s: %s, %d %v %q", i, d.hidden, d.notRun, e.machine, e.command, e.exits, e.stays, e.shows))
		}
	}
	want := []string{
		`0 true "" here: hidden, 0 false []`,
		`1 false "" here: one | two, 3 false ["shown"]`,
		`1 false "" there: printf 'a\n' -b, 0 true []`,
		`2 false "nobody is there" here: three, 0 false []`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("it is read as\n%s\nnot as\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, wrong := range []string{
		"\n.Sh NAME\n",
		"\n.Sh EXAMPLES\n.Bd -literal\noutput of nothing\n.Ed\n",
		"\n.Sh EXAMPLES\n.\\\" not run:\n.Bd -literal\n$ x\n.Ed\n",
		"\n.Sh EXAMPLES\n.\\\" exits\n.Bd -literal\n$ x\n.Ed\n",
	} {
		if displays, err := readExamples(wrong); err == nil {
			t.Errorf("%q is read as %d displays", wrong, len(displays))
		}
	}
}

func TestWhatATerminalShowsIsComparedWithThePage(t *testing.T) {
	for _, test := range []struct {
		out, page string
		want      bool
	}{
		{"one\n", "one", true},
		{"one\ntwo\n", "one", false},
		{"one\n", "one\ntwo", false},
		{"", "one", false},
		{"one\ntwo\n", "one\n...", true},
		{"one: no.\n", "one: ...", true},
		{"OTRv3 00000000 11111111\n", "OTRv3 3E5C94EB 79E3A5E5", true},
		{"OTRv3 00000000 11111111 22222222\n", "OTRv3 3E5C94EB ...", true},
		{"OTRv4 00000000 11111111\n", "OTRv3 3E5C94EB 79E3A5E5", false},
		{"at 2027-01-02T03:04:05Z\n", "at 2026-11-23T12:34:56Z", true},
		{"2 messages\n", "3 messages", false},
	} {
		if got := shows(test.out, strings.Split(test.page, "\n"), false); got != test.want {
			t.Errorf("%q for %q: %v", test.out, test.page, got)
		}
	}
}
