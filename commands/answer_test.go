package commands

import (
	"os"
	"testing"
)

func TestAnAnswerThatCannotBeWrittenIsAFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, args := range [][]string{{"--help"}, {"--version"}, {"help", "connect"}, {"connect", "--help"}, {"completion", "bash"}} {
		args = append([]string{"otrpipe"}, args...)
		if code := Run(args, 0, null, full, null); code != 1 {
			t.Errorf("%q to a full disk: exit code %d", args, code)
		}
		if code := Run(args, 0, null, null, null); code != 0 {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}
