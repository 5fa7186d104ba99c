//go:build unix

package secret

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
)

// inherit returns a descriptor as a caller gives it: without FD_CLOEXEC.
func inherit(t *testing.T, text string) int {
	t.Helper()
	f, err := os.Open(write(t, text))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

func TestDescriptorsAreReadAndClosedAtTheStartEvenIfTheirSecretsAreNotNeeded(t *testing.T) {
	first, second := inherit(t, "one\n"), inherit(t, "two")
	sources, err := Open([]Flags{
		{Name: "passphrase", HasFD: true, FD: first},
		{Name: "smp-secret", HasFD: true, FD: second},
	}, os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	for i, fd := range []int{first, second} {
		if isOpen(fd) {
			t.Errorf("descriptor %d of --%s-fd is still open", fd, sources[i].Name())
		}
	}
	for i, want := range []string{"one", "two"} {
		for range 2 {
			got, ok, err := sources[i].Read()
			if string(got) != want || !ok || err != nil {
				t.Errorf("--%s-fd is %q, %v, %v", sources[i].Name(), got, ok, err)
			}
			clear(got) // the next caller gets its own copy
		}
	}
}

func TestStandardInputIsReadAtTheStartAndStaysOpen(t *testing.T) {
	stdin, err := os.Open(write(t, "word\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	sources, err := Open([]Flags{{Name: "secret", HasFD: true, FD: 0}}, stdin)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := sources[0].Read(); string(got) != "word" {
		t.Errorf("standard input gave %q", got)
	}
	if _, err := stdin.Stat(); err != nil {
		t.Errorf("standard input: %v", err)
	}
}

func TestDescriptorsThatTheCallerDidNotGiveAreRefusedBeforeAnyIsRead(t *testing.T) {
	ours, err := os.Open(os.DevNull) // has FD_CLOEXEC, as the runtime's own
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	for _, test := range []struct {
		name  string
		wrong Flags
		code  int
		text  string
	}{
		{"opened by ourselves", Flags{Name: "b", HasFD: true, FD: int(ours.Fd())}, exit.KeyFile, "not open"},
		{"not open", Flags{Name: "b", HasFD: true, FD: 987}, exit.KeyFile, "not open"},
		{"negative", Flags{Name: "b", HasFD: true, FD: -1}, exit.Usage, "no file descriptor"},
		{"standard output", Flags{Name: "b", HasFD: true, FD: 1}, exit.Usage, "for output"},
		{"standard error", Flags{Name: "b", HasFD: true, FD: 2}, exit.Usage, "for output"},
		{"two sources", Flags{Name: "b", HasFD: true, FD: 987, HasFile: true, File: "x"}, exit.Usage, "contradict"},
	} {
		given := inherit(t, "secret")
		_, err := Open([]Flags{{Name: "a", HasFD: true, FD: given}, test.wrong}, os.Stdin)
		var e *exit.Error
		if !errors.As(err, &e) || e.Code != test.code || !strings.Contains(e.Error(), test.text) {
			t.Errorf("%s: %v, not %q with code %d", test.name, err, test.text, test.code)
		}
		if !isOpen(given) {
			t.Errorf("%s: the other descriptor was read before this one was checked", test.name)
		}
		unix.Close(given)
	}
}

func TestTwoFlagsCannotNameOneDescriptor(t *testing.T) {
	fd := inherit(t, "secret")
	defer unix.Close(fd)
	_, err := Open([]Flags{{Name: "a", HasFD: true, FD: fd}, {Name: "b", HasFD: true, FD: fd}}, os.Stdin)
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != exit.Usage || !strings.Contains(e.Error(), "--a-fd and --b-fd") {
		t.Errorf("the error is %v", err)
	}
}

func TestASourceTakesTheEnvironmentsSecretWhereNoFlagWasGiven(t *testing.T) {
	path := write(t, "from the file")
	unused := []byte("unused")
	sources, err := Open([]Flags{
		{Name: "a", Env: []byte("from the environment")},
		{Name: "b", Env: unused, HasFile: true, File: path},
		{Name: "c"},
	}, os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"from the environment", "from the file", ""} {
		got, ok, err := sources[i].Read()
		if string(got) != want || ok != (want != "") || err != nil {
			t.Errorf("source %s is %q, %v, %v", sources[i].Name(), got, ok, err)
		}
		if sources[i].FromFlags() != (i == 1) {
			t.Errorf("source %s says that it comes from flags: %v", sources[i].Name(), sources[i].FromFlags())
		}
	}
	if !bytes.Equal(unused, make([]byte, len(unused))) {
		t.Errorf("the secret that is not needed is left: %q", unused)
	}
	kept := sources[0].value
	sources[0].Wipe()
	if !bytes.Equal(kept, make([]byte, len(kept))) {
		t.Errorf("after Wipe the secret is left: %q", kept)
	}
}

func TestAFileIsCheckedBeforeItIsRead(t *testing.T) {
	refusal := errors.New("too open")
	path := write(t, "secret")
	sources, err := Open([]Flags{{Name: "a", HasFile: true, File: path, CheckFile: func(got string, info fs.FileInfo) error {
		if got != path || info.Mode().Perm() != 0o600 {
			t.Errorf("checked %s of mode %v", got, info.Mode())
		}
		return refusal
	}}}, os.Stdin)
	if err != nil {
		t.Fatal(err)
	}
	if got, ok, err := sources[0].Read(); !errors.Is(err, refusal) || ok || got != nil {
		t.Errorf("read %q, %v, %v", got, ok, err)
	}
	sources, _ = Open([]Flags{{Name: "a", HasFile: true, File: path + "x"}}, os.Stdin)
	_, _, err = sources[0].Read()
	var e *exit.Error
	if !errors.As(err, &e) || e.Code != exit.KeyFile || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestAVariableIsOverwrittenAndRemoved(t *testing.T) {
	t.Setenv("OTRPIPE_TEST_SECRET", "hunter2")
	held := os.Getenv("OTRPIPE_TEST_SECRET") // shares the runtime's memory
	data := unsafe.Slice(unsafe.StringData(held), len(held))
	if got := TakeEnv("OTRPIPE_TEST_SECRET"); string(got) != "hunter2" {
		t.Errorf("taken: %q", got)
	}
	if !bytes.Equal(data, make([]byte, len(data))) {
		t.Errorf("the runtime's copy still holds %q", data)
	}
	if _, set := os.LookupEnv("OTRPIPE_TEST_SECRET"); set {
		t.Error("the variable is still set")
	}
	if got := TakeEnv("OTRPIPE_TEST_SECRET"); got != nil {
		t.Errorf("taken again: %q", got)
	}
}

func TestOneNewlineIsDroppedFromASecret(t *testing.T) {
	long := strings.Repeat("x", MaxLen)
	for text, want := range map[string]string{
		"":            "",
		"\n":          "",
		"secret":      "secret",
		"secret\n":    "secret",
		"secret\r\n":  "secret",
		"secret\n\n":  "secret\n",
		" two\nlines": " two\nlines",
		"secret\r":    "secret\r",
		long:          long,
		long + "\r\n": long,
	} {
		if got, err := read(strings.NewReader(text)); err != nil || string(got) != want {
			t.Errorf("%.20q is %.20q, %v", text, got, err)
		}
	}
	for _, text := range []string{long + "x", long + "x\n", long + "\n\n", long + long + long} {
		if _, err := read(strings.NewReader(text)); err == nil {
			t.Errorf("%d bytes are taken", len(text))
		}
	}
}

func TestAnErrorOfAskingIsAMessageWithAHint(t *testing.T) {
	for _, test := range []struct {
		err        error
		text, hint string
	}{
		{terminal.ErrNoTerminal, "secret to compare: there is no terminal to ask on", "give it with --secret-file"},
		{terminal.ErrNoSecret, "secret to compare: nothing was entered", ""},
		{terminal.ErrStopped, terminal.ErrStopped.Error(), ""},
	} {
		if e := exit.As(notGiven(test.err, "Secret to compare", "--secret-file")); e.Error() != test.text || e.Hint != test.hint {
			t.Errorf("%v: %q with the hint %q", test.err, e.Error(), e.Hint)
		}
	}
	if err := notGiven(nil, "Secret to compare", ""); err != nil {
		t.Error(err)
	}
}

func TestANewSecretIsAskedForAgainWhereTheTwoDiffer(t *testing.T) {
	for typed, want := range map[string]string{
		"one one":                 "one",
		"one two two two":         "two",
		"a b c d one one":         "one",
		"a b c d e f one one":     "", // three times are enough
		"one":                     "",
		"one two three (nothing)": "",
	} {
		answers := strings.Fields(typed)
		var prompts []string
		got, err := askNew(func(prompt string) ([]byte, error) {
			prompts = append(prompts, prompt)
			if len(answers) == 0 || answers[0] == "(nothing)" {
				return nil, errors.New("nothing was entered")
			}
			answer := []byte(answers[0])
			answers = answers[1:]
			return answer, nil
		}, "passphrase")
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", typed, got, err)
		}
		if len(prompts) > 2*newAttempts || len(prompts) > 2 && prompts[2] != "passphrases do not match; passphrase" {
			t.Errorf("%s: %q", typed, prompts)
		}
	}
}
