//go:build unix

package testscripts

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	ossignal "os/signal"
	"strconv"
	"syscall"
	"testing"

	"otrpipe/testscripts/release"
)

// Programs that the tests run beside otrpipe, so that a bare machine has them. Those that
// are started seldom are this test binary under another name. The others, otrpipe among
// them, are programs of their own, which start in half the time. With -short, where few are
// started, otrpipe is the test binary too, and dial is not there: building them would take longer.

// buildPrograms compiles otrpipe, as the stories run it, and dial into a folder. Where coverage
// is measured, otrpipe stays the test binary, since go test counts only what that has covered.
func buildPrograms(folder string) error {
	programs := []string{"./otrpipe", "./dial"}
	if testing.CoverMode() != "" {
		programs = programs[1:]
	}
	for _, program := range programs {
		// Package story is part of the tests; this has go test notice that these files change.
		if _, err := os.Stat(program + "/main.go"); err != nil {
			return err
		}
	}
	return release.Build(folder, programs...)
}

// measured is what `measure` found out about a program.
type measured struct {
	Code   int   // exit code as a shell has it
	MaxRSS int64 // the most memory it had at once, in bytes
}

// measureMain runs a program and writes how it went to a file as JSON:
// `measure FILE PROGRAM ARGS...`. A process between the test and the program is
// what makes the figure the program's own: Linux counts into a child's peak
// what its parent had when the child was forked.
func measureMain(args []string) int {
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: measure FILE PROGRAM ARGS...")
		return 2
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// A program that is alone with its measurer gone would go on for ever.
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	dieWithTest(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		return 127
	}
	signals := make(chan os.Signal, 8)
	ossignal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	code, err := exitCode(cmd.Wait())
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		return 127
	}
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	text, err := json.Marshal(measured{Code: code, MaxRSS: usage.Maxrss << 10})
	if err == nil {
		err = os.WriteFile(args[0], text, 0o600)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		return 1
	}
	return code
}

// randomMain writes bytes that no compression makes smaller and that are the
// same every time: `random BYTES [SEED]`.
func randomMain(args []string) int {
	if len(args) < 1 || len(args) > 2 {
		fmt.Fprintln(os.Stderr, "usage: random BYTES [SEED]")
		return 2
	}
	n, err := strconv.ParseInt(args[0], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "random:", err)
		return 2
	}
	seed := ""
	if len(args) == 2 {
		seed = args[1]
	}
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	if _, err := io.Copy(out, randomBytes(n, seed)); err != nil {
		return 1
	}
	if err := out.Flush(); err != nil {
		return 1
	}
	return 0
}

// randomBytes returns n bytes that the seed decides.
func randomBytes(n int64, seed string) io.Reader {
	return io.LimitReader(rand.NewChaCha8(sha256.Sum256([]byte(seed))), n)
}

// ptyMain runs a program at a terminal of its own and has a dialogue with it:
// `pty [-tty] DIALOGUE PROGRAM ARGS...`. With -tty the terminal is only the
// controlling one (/dev/tty), and the standard streams stay what they are. What
// the terminal showed goes to standard output, or with -tty to standard error.
// The exit code is the program's; 99 is a dialogue that went wrong.
//
// A dialogue has one command a line:
//
//	expect REGEXP   waits until what the terminal showed since the last match matches
//	type TEXT       types a line and the enter key
//	keys "GO STRING"  types these bytes, such as "\x04" or "\x1b[A"
//	size COLUMNS ROWS
//	hangup          closes the terminal; it is the last command
func ptyMain(args []string) int {
	ttyOnly := len(args) > 0 && args[0] == "-tty"
	if ttyOnly {
		args = args[1:]
	}
	if len(args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pty [-tty] DIALOGUE PROGRAM ARGS...")
		return 2
	}
	show := io.Writer(os.Stdout)
	if ttyOnly {
		show = os.Stderr
	}
	code, err := runAtTerminal(args[0], args[1:], ttyOnly, show)
	if err != nil {
		fmt.Fprintln(os.Stderr, "\npty:", err)
		if errors.Is(err, exec.ErrNotFound) {
			return 127
		}
		return 99
	}
	return code
}
