//go:build unix

package testscripts

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"otrpipe/testscripts/slowtest"
)

// A completingShell is a shell at a terminal that knows otrpipe's completion.
type completingShell struct {
	name string
	args []string
	// setUp is what the shell reads first. Control-T is to write the line that
	// stands there to the file $TYPED, with a line feed behind it.
	setUp string
}

var completingShells = []completingShell{
	{"bash", []string{"--norc", "--noprofile", "-i"}, `
HISTFILE= PS1='ready> '
bind -x '"\C-t": printf "%s\n" "$READLINE_LINE" >>"$TYPED"'
bind '"\C-u": unix-line-discard'
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
source <(otrpipe completion bash)
`},
	{"zsh", []string{"-f", "-i"}, `
HISTFILE= PS1='ready> '
bindkey -e
autoload -Uz compinit && compinit -D
show() { print -r -- "$BUFFER" >>"$TYPED" }
zle -N show
bindkey '^T' show
setopt no_beep
source <(otrpipe completion zsh)
`},
	{"fish", []string{"--no-config", "-i"}, `
function fish_prompt; echo 'ready> '; end
set -g fish_greeting
bind \ct 'commandline >>$TYPED'
otrpipe completion fish | source
`},
}

// TestCompletionInRealShells types lines and the tabulator key, and looks at
// what stands there then.
func TestCompletionInRealShells(t *testing.T) {
	long(t)
	t.Parallel()
	work := t.TempDir()
	vars, cleanUp, err := home(work)
	if err != nil {
		t.Fatal(err)
	}
	defer cleanUp()
	environment := append(os.Environ(), append(vars, "OTR=", "TERM=xterm", "LANG=C.UTF-8", "LC_ALL=C.UTF-8")...)
	prepareCompletion(t, work, environment)

	for _, shell := range completingShells {
		t.Run(shell.name, func(t *testing.T) {
			slowtest.SkipUnless(t, shell.name == "bash")
			if _, err := exec.LookPath(shell.name); err != nil {
				message := fmt.Sprintf("%s is not installed: apt-get install %s", shell.name, shell.name)
				if os.Getenv("CI") == "true" {
					t.Fatal(message)
				}
				t.Skip(message)
			}
			s := startShell(t, shell, work, environment)
			for _, test := range completions {
				want, ok := test.want[shell.name]
				if !ok {
					want = test.want[""]
				}
				if got := s.complete(test.typed); got != want {
					t.Errorf("%s and the tabulator key make %q, not %q", test.typed, got, want)
				}
			}
			for _, name := range []string{"owned", "owned2"} {
				if _, err := os.Stat(filepath.Join(work, name)); err == nil {
					t.Errorf("a contact's name was run: there is a file %s", name)
				}
			}
		})
	}
}

// completions are lines and what the tabulator key makes of them; shells differ
// in how they quote. A line that stays as it is has nothing to complete.
var completions = []struct {
	typed string
	want  map[string]string
}{
	{"otrpipe stat", same("otrpipe status ")},
	{"otrpipe help conn", same("otrpipe help connect ")},
	{"otrpipe contacts dis", same("otrpipe contacts distrust ")},
	{"otrpipe keys passph", same("otrpipe keys passphrase ")},
	{"otrpipe --verb", same("otrpipe --verbose ")},
	{"otrpipe status --js", same("otrpipe status --json ")},
	{"otrpipe status --json --js", same("otrpipe status --json --js")},
	{"otrpipe zzz --js", same("otrpipe zzz --js")},
	// the scripts, which have the flags of connect or chat
	{"otr-nc --smp-secret-fi", same("otr-nc --smp-secret-file ")},
	{"otr-ssh --trust ver", same("otr-ssh --trust verified ")},
	{"otr-irc --contact=alice@ex", same("otr-irc --contact=alice@example.org ")},
	{"otr-xmpp --contact=alice@ex", same("otr-xmpp --contact=alice@example.org ")},
	{"otr-prekeys cou", same("otr-prekeys count ")},
	{"otr-prekeys put --contac", same("otr-prekeys put --contact ")},
	// values that are fixed
	{"otrpipe connect --trust ver", same("otrpipe connect --trust verified ")},
	{"otrpipe connect --trust=ver", same("otrpipe connect --trust=verified ")},
	{"otrpipe connect --mode li", same("otrpipe connect --mode lines ")},
	{"otrpipe serve --html te", same("otrpipe serve --html text ")},
	{"otrpipe connect --otr 23", same("otrpipe connect --otr 23")},
	{"otrpipe chat --mode ", same("otrpipe chat --mode lines ")},
	{"otrpipe keys export --format li", same("otrpipe keys export --format libotr ")},
	{"otrpipe completion z", same("otrpipe completion zsh ")},
	// names
	{"otrpipe fingerprint -i wo", same("otrpipe fingerprint -i work ")},
	{"otrpipe keys remove wo", same("otrpipe keys remove work ")},
	{"otrpipe connect --contact ali", same("otrpipe connect --contact alice@example.org ")},
	{"otrpipe connect --contact alice@ex", same("otrpipe connect --contact alice@example.org ")},
	{"otrpipe connect --contact=alice@ex", same("otrpipe connect --contact=alice@example.org ")},
	{"otrpipe chat my", same(`otrpipe chat my\ friend `)},
	{"otrpipe connect my", same(`otrpipe connect my\ friend `)},
	{"otrpipe send a-file --to my", same(`otrpipe send a-file --to my\ friend `)},
	{"otrpipe receive --from ali", same("otrpipe receive --from alice@example.org ")},
	{"otrpipe contacts trust my", same(`otrpipe contacts trust my\ friend `)},
	{"otrpipe contacts trust 'my fr", same("otrpipe contacts trust 'my friend' ")},
	{"otrpipe contacts trust \"my fr", same("otrpipe contacts trust \"my friend\" ")},
	{"otrpipe contacts trust my\\ fr", same(`otrpipe contacts trust my\ friend `)},
	{"otrpipe contacts trust $(touch\\ ow", same("otrpipe contacts trust $(touch\\ ow")},
	{"otrpipe contacts trust \\$", same(`otrpipe contacts trust \$\(touch\ owned\) `)},
	{"otrpipe contacts trust \\`", map[string]string{
		"":     "otrpipe contacts trust \\`touch\\ owned2\\` ",
		"fish": "otrpipe contacts trust \\`touch\\ owned2` ", // where it means nothing
	}},
	{"otrpipe contacts trust alice@example.org 0123", same("otrpipe contacts trust alice@example.org 0123456789012345678901234567890123456789 ")},
	{"otrpipe contacts trust alice@example.org 4", same("otrpipe contacts trust alice@example.org 4")},
	{"otrpipe --home other contacts trust el", same("otrpipe --home other contacts trust elsewhere ")},
	{"otrpipe contacts trust --home=other el", same("otrpipe contacts trust --home=other elsewhere ")},
	// live sessions
	{"otrpipe status -s talk", same("otrpipe status -s talking ")},
	{"otrpipe decrypt-stream -s wai", same("otrpipe decrypt-stream -s waiting ")},
	{"otrpipe decrypt-stream -s talk", same("otrpipe decrypt-stream -s talk")},
	{"otrpipe connect -s talk", same("otrpipe connect -s talk")},
	// files and folders
	{"otrpipe connect --identity-file a-fi", same("otrpipe connect --identity-file a-file ")},
	{"otrpipe connect --identity-file=a-fi", same("otrpipe connect --identity-file=a-file ")},
	{"otrpipe connect --events 'a f", same("otrpipe connect --events 'a file with blanks' ")},
	{"otrpipe keys import a-fo", same("otrpipe keys import a-folder/")},
	{"otrpipe --home a-f", same("otrpipe --home a-folder/")},
	// after --
	{"otrpipe connect -- a-prog", same("otrpipe connect -- a-program ")},
	{"otrpipe connect a-prog", same("otrpipe connect a-program ")},
	{"otrpipe connect --contact bob -- a-program a-fi", same("otrpipe connect --contact bob -- a-program a-file ")},
	{"true | otrpipe stat", same("true | otrpipe status ")},
	{"otrpipe connect <a-file --tru", same("otrpipe connect <a-file --trust ")},
}

func same(want string) map[string]string { return map[string]string{"": want} }

// prepareCompletion makes the names that completion is to find.
func prepareCompletion(t *testing.T, work string, environment []string) {
	t.Helper()
	otrpipe := func(args ...string) {
		t.Helper()
		cmd := exec.Command("otrpipe", args...)
		cmd.Dir, cmd.Env = work, environment
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("otrpipe %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	otrpipe("keygen", "-i", "work")
	for i, name := range []string{"alice@example.org", "bob", "my friend", "$(touch owned)", "`touch owned2`"} {
		otrpipe("contacts", "add", name, fmt.Sprintf("%d12345678901234567890123456789012345678 9", i))
	}
	otrpipe("contacts", "address", "my friend", "--tcp", "localhost:9000")
	otrpipe("--home", "other", "contacts", "add", "elsewhere", "0123456789012345678901234567890123456789")
	for name, mode := range map[string]os.FileMode{"a-file": 0o600, "a file with blanks": 0o600, "bin/a-program": 0o700, "a-folder/x": 0o600} {
		path := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, args := range map[string][]string{
		"talking": {"connect", "-i", "work", "-s", "talking", "--timeout", "0", "--", "cat"},
		"waiting": {"encrypt-stream", "-i", "work", "-s", "waiting", "--timeout", "0"},
	} {
		cmd := exec.Command("otrpipe", args...)
		cmd.Dir, cmd.Env = work, environment
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			in.Close()
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
		})
		err = until(name+" is not live", func() bool {
			status := exec.Command("otrpipe", "status", "-s", name)
			status.Env = environment
			return status.Run() == nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A shellAtTerminal is a completingShell that runs.
type shellAtTerminal struct {
	t       *testing.T
	control *os.File
	lines   string // the file
	read    int    // lines of it
	screen  *screen
}

func startShell(t *testing.T, shell completingShell, work string, environment []string) *shellAtTerminal {
	t.Helper()
	control, terminal, err := openTerminal()
	if err != nil {
		t.Fatal(err)
	}
	var shown bytes.Buffer
	s := &shellAtTerminal{t: t, control: control, lines: filepath.Join(work, shell.name+".lines"),
		screen: &screen{show: &shown, changed: make(chan struct{}, 1), closed: make(chan struct{})}}
	setUp := filepath.Join(work, shell.name+".setup")
	if err := os.WriteFile(setUp, []byte(shell.setUp), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell.name, shell.args...)
	cmd.Dir = work
	cmd.Env = append(environment, "TYPED="+s.lines, "PATH="+filepath.Join(work, "bin")+":"+os.Getenv("PATH"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	dieWithTest(cmd.SysProcAttr)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = terminal, terminal, terminal
	err = cmd.Start()
	terminal.Close()
	if err != nil {
		t.Fatal(err)
	}
	go s.screen.read(control)
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		<-s.screen.closed
		control.Close()
		if t.Failed() {
			t.Logf("the terminal showed:\n%q", shown.String())
		}
	})
	s.send(". " + setUp + "\r")
	if err := s.screen.expect(regexp.MustCompile("ready> ")); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *shellAtTerminal) send(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.control, keys); err != nil {
		s.t.Fatal(err)
	}
}

// complete types a line and the tabulator key, and returns the line then.
func (s *shellAtTerminal) complete(typed string) string {
	s.t.Helper()
	s.send(typed + "\t\x14\x15")
	var line string
	err := until("the shell does not say what stands there: "+typed, func() bool {
		text, _ := os.ReadFile(s.lines)
		lines := strings.SplitAfter(string(text), "\n")
		if len(lines) <= s.read || !strings.HasSuffix(lines[s.read], "\n") {
			return false
		}
		line = strings.TrimSuffix(lines[s.read], "\n")
		return true
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.read++
	return line
}
