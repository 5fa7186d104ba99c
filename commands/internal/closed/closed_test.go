//go:build unix

package closed

import (
	"errors"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestClosedStandardStreamsFailAgain(t *testing.T) {
	if streams := os.Getenv("OTRPIPE_TEST_CLOSED"); streams != "" {
		if err := Restore(uint(streams[0] - '0')); err != nil {
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
	for redirection, test := range map[string]struct {
		streams string
		want    int
	}{
		"<&- >&-":               {"3", 10},
		"</dev/null >&-":        {"2", 12},
		"<&- >/dev/null":        {"1", 11},
		"</dev/null >/dev/null": {"0", 13},
	} {
		cmd := exec.Command("sh", "-c", `exec "$0" -test.run "$1" `+redirection, os.Args[0], "^"+t.Name()+"$")
		cmd.Env = append(os.Environ(), "OTRPIPE_TEST_CLOSED="+test.streams)
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != test.want {
			t.Errorf("%s: %v, want exit code %d", redirection, err, test.want)
		}
	}
}
