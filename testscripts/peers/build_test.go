//go:build unix

// Package peers runs our library, and the program, against other
// implementations of OTR: libotr, pure-python-otr and x/crypto/otr as commands,
// and irssi on an IRC server. README.md describes the commands.
package peers

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"otrpipe/testscripts/release"
)

// buildDir holds what the tests compile, for as long as they run.
var buildDir string

func TestMain(m *testing.M) {
	os.Exit(runAll(m))
}

func runAll(m *testing.M) int {
	dir, err := os.MkdirTemp("", "otrpipe-peers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	buildDir = dir
	// A test waits for its programs most of the time, so that several can share a core.
	// The command line's -parallel, which is read later, counts more.
	if err := flag.Set("test.parallel", strconv.Itoa(3*runtime.GOMAXPROCS(0))); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// long skips a test that takes seconds where -short asks for the quick ones.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("short: takes seconds")
	}
}

// A kind is one of the other implementations.
type kind struct {
	name     string
	install  string
	versions []string // what --versions can be set to
	build    func() (argv []string, err error)

	tags      bool // it sends and understands whitespace tags
	complains bool // it says so when it gets messages of a session that it has lost
	abortsSMP bool // it can abort SMP
	staleSMP  bool // after a failed SMP the next one may fail too
}

var libotr = &kind{
	name:     "libotr",
	install:  "apt install gcc pkg-config libotr5-dev libgcrypt20-dev",
	versions: []string{"3", "2"},
	build:    sync.OnceValues(buildLibotr),
	tags:     true, abortsSMP: true,
}

var potr = &kind{
	name:     "potr",
	install:  "apt install python3-potr",
	versions: []string{"2"},
	build:    sync.OnceValues(findPotr),
	tags:     true, complains: true, abortsSMP: true,
}

var xcrypto = &kind{
	name:     "xcrypto",
	install:  "go",
	versions: []string{"2"},
	build: func() ([]string, error) {
		program, err := helper("xcrypto")
		return []string{program}, err
	},
	staleSMP: true,
}

var kinds = []*kind{libotr, potr, xcrypto}

// command returns what starts a peer of this kind. One that is not installed
// skips the test on a user's machine and fails it in continuous integration.
func (k *kind) command(t *testing.T) []string {
	t.Helper()
	argv, err := k.build()
	if err != nil {
		missing(t, k.name, k.install, err)
	}
	return argv
}

func missing(t *testing.T, name, install string, err error) {
	t.Helper()
	text := fmt.Sprintf("%s is missing (%v); install it with: %s", name, err, install)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}

func buildLibotr() ([]string, error) {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "libotr").Output()
	if err != nil {
		return nil, fmt.Errorf("pkg-config libotr: %w", err)
	}
	program := filepath.Join(buildDir, "libotr-peer")
	args := []string{"-Wall", "-Wextra", "-Werror", "-O1", "-o", program, "libotr/peer.c"}
	args = append(args, strings.Fields(string(flags))...)
	if out, err := exec.Command("cc", append(args, "-lgcrypt")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w\n%s", err, out)
	}
	return []string{program}, nil
}

// findPotr finds a Python that has potr: the distribution's packages belong to
// its own Python, which need not be the first of the path.
func findPotr() ([]string, error) {
	for _, python := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(python, "-c", "import potr, Cryptodome").Run() == nil {
			return []string{python, "potr/peer.py"}, nil
		}
	}
	return nil, errors.New("no python3 can import potr and Cryptodome")
}

// helpers compiles the programs in Go that the tests meet into buildDir, all at once.
var helpers = sync.OnceValue(func() error { return release.Build(buildDir, "./xcrypto", "./hostile", "./mitm") })

// helper returns the path of one of these programs.
func helper(name string) (string, error) { return filepath.Join(buildDir, name), helpers() }
