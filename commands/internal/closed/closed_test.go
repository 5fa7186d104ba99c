//go:build cgo && unix

package closed

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestClosedStandardStreamsFailAgain(t *testing.T) {
	if os.Getenv("OTRPIPE_TEST_CLOSED") != "" {
		if err := Restore(); err != nil {
			os.Exit(3)
		}
		// Not os.Stdout: its EPIPE is a SIGPIPE.
		_, written := unix.Write(unix.Stdout, []byte("x"))
		_, read := unix.Read(unix.Stdin, make([]byte, 1))
		code := 10
		if written == nil {
			code += 1
		} else if !errors.Is(written, unix.EPIPE) {
			os.Exit(4)
		}
		if read == nil {
			code += 2
		} else if !errors.Is(read, ErrInput) {
			os.Exit(5)
		}
		os.Exit(code)
	}
	t.Setenv("OTRPIPE_TEST_CLOSED", "1")
	for redirection, want := range map[string]int{
		"<&- >&-":               10,
		"</dev/null >&-":        12,
		"<&- >/dev/null":        11,
		"</dev/null >/dev/null": 13,
		// As the runtime opens it, and other programs for their children.
		"0<>/dev/null 1<>/dev/null": 13,
	} {
		cmd := exec.Command("sh", "-c", `exec "$0" -test.run "$1" `+redirection, os.Args[0], "^"+t.Name()+"$")
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%s: %v, want exit code %d", redirection, err, want)
		}
	}
}
