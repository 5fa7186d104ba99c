//go:build unix

// Package testscripts runs the real program the way a person or a script
// does: every *.txtar file here is one story, told with the commands of
// github.com/rogpeppe/go-internal/testscript, those of script_test.go and the
// helper programs of programs_test.go. What a script cannot say (a wire that
// is tampered with, a gibibyte in little memory) is a Go test beside it.
package testscripts

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"otrpipe/testscripts/slowtest"
	"otrpipe/testscripts/story"
)

func TestMain(m *testing.M) {
	testscript.Main(cleaned{m}, map[string]func(){
		"otrpipe": func() { story.Main(0) }, // with -short, and where coverage is measured: see buildPrograms
		"measure": func() { os.Exit(measureMain(os.Args[1:])) },
		"pty":     func() { os.Exit(ptyMain(os.Args[1:])) },
		"random":  func() { os.Exit(randomMain(os.Args[1:])) },
	})
}

// cleaned runs the tests in temporary folders of its own and removes them.
type cleaned struct{ m *testing.M }

func (c cleaned) Run() int {
	defer sharedFolders.remove()
	// The engine leaves its folder behind when not every script was run. With
	// -testwork that is what is wanted.
	if keep := flag.Lookup("testwork"); keep == nil || keep.Value.String() == "false" {
		folder, err := sharedFolders.make("otrpipe-scripts")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Setenv("GOTMPDIR", folder)
	}
	// With the race detector every process would linger for a second at its end.
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=10")
	}
	// A story waits for its programs most of the time, so that several can share a core.
	// The command line's -parallel, which is read later, counts more.
	if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	flag.Parse()
	if !testing.Short() {
		folder, err := sharedFolders.make("otrpipe-programs")
		if err == nil {
			err = buildPrograms(folder)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		os.Setenv("PATH", folder+string(filepath.ListSeparator)+os.Getenv("PATH"))
	}
	return c.m.Run()
}

// TestScripts runs every story in this folder as it is told: two otrpipes
// choose version 4.
func TestScripts(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		tell(t, "4", quickStories)
		return
	}
	stories, err := filepath.Glob("*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	tell(t, "4", stories)
}

// quickStories are those that are told with -short: help, a key that somebody has changed, and a
// transfer. No program but otrpipe is there for them.
var quickStories = []string{"help.txtar", "keys_tampered.txtar", "transfer_terminal.txtar"}

// long skips a test that takes seconds where -short asks for the quick ones.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
}

// version3Stories are those that are told over version 3 even where slow tests are left out: one of
// a stream, of a session in two halves, and of commands that ask a session. What the version makes a difference to is in the library, whose own tests run with both.
var version3Stories = []string{
	"stream_chat.txtar", "session_halves.txtar", "control_session.txtar",
}

// TestScriptsOverVersion3 runs the stories that have streams again, with ends
// that speak version 3 only.
func TestScriptsOverVersion3(t *testing.T) {
	long(t)
	t.Parallel()
	var stories []string
	for _, pattern := range []string{"stream_*.txtar", "session_*.txtar", "control_*.txtar", "transport_*.txtar", "helper_*.txtar"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		stories = append(stories, some...)
	}
	stories = slices.DeleteFunc(stories, func(story string) bool {
		if !slowtest.LeftOut() || slices.Contains(version3Stories, story) {
			return false
		}
		t.Run(strings.TrimSuffix(story, ".txtar"), func(t *testing.T) { slowtest.Skip(t) })
		return true
	})
	tell(t, "3", stories)
}

// tell runs stories. Each finds in $OTR the version that its ends choose.
func tell(t *testing.T, version string, stories []string) {
	testscript.Run(t, testscript.Params{
		Files: stories,
		Setup: func(env *testscript.Env) error {
			env.Vars = append(env.Vars, "OTR="+version)
			return setUpHome(env)
		},
		Cmds:                scriptCommands,
		Condition:           condition,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

// condition is what stories may ask for beyond testscript's own conditions: [cgo] is a Go
// that builds programs with cgo, which can see what was closed before they began.
func condition(name string) (bool, error) {
	if name == "cgo" {
		return withCgo, nil
	}
	return false, fmt.Errorf("unknown condition %s", name)
}

// setUpHome gives a script folders of its own for everything the program
// keeps, tells it where the repository's scripts are ($SCRIPTS), and sees to it that no process outlives its script.
func setUpHome(env *testscript.Env) error {
	vars, cleanUp, err := home(env.WorkDir)
	if err != nil {
		return err
	}
	scripts, err := filepath.Abs("../scripts")
	if err != nil {
		cleanUp()
		return err
	}
	env.Vars = append(append(env.Vars, vars...), "SCRIPTS="+scripts)
	running := &processes{}
	env.Values[processesKey{}] = running
	env.Values[testKey{}] = env.T()
	env.Defer(func() {
		running.killAll()
		cleanUp()
	})
	return nil
}

// home makes the folders of one end below work and returns the environment
// that points to them. The folder for sockets is a short one elsewhere, since
// the path of a Unix socket has a hundred bytes or so; cleanUp removes it.
func home(work string) (vars []string, cleanUp func(), err error) {
	run, err := shortFolder()
	if err != nil {
		return nil, nil, err
	}
	cleanUp = func() { os.RemoveAll(run) }
	folders := map[string]string{
		"HOME":            filepath.Join(work, "home"),
		"XDG_DATA_HOME":   filepath.Join(work, "home", "data"),
		"XDG_CONFIG_HOME": filepath.Join(work, "home", "config"),
		"XDG_CACHE_HOME":  filepath.Join(work, "home", "cache"),
		"XDG_RUNTIME_DIR": run,
		"TMPDIR":          filepath.Join(work, ".tmp"),
	}
	for name, folder := range folders {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			cleanUp()
			return nil, nil, err
		}
		vars = append(vars, name+"="+folder)
	}
	return vars, cleanUp, nil
}
