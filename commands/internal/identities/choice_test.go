package identities

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
	"otrpipe/keyfile"
)

func TestTheFlagOutweighsTheEnvironment(t *testing.T) {
	work, empty, odd := "work", "", "two\nlines"
	for _, test := range []struct {
		flag *string
		env  string
		want string // "": refused
	}{
		{nil, "", Default},
		{nil, "home", "home"},
		{&work, "home", "work"},
		{&empty, "home", ""},
		{&odd, "", ""},
	} {
		name, err := Choice{Flag: test.flag, Env: test.env}.Name()
		if test.want == "" {
			if err == nil || exit.As(err).Code != exit.Usage || !strings.HasPrefix(err.Error(), "--identity: ") {
				t.Errorf("%q: %q, %v", *test.flag, name, err)
			}
		} else if name != test.want || err != nil {
			t.Errorf("%q, %v; want %q", name, err, test.want)
		}
	}
}

func TestAMissingIdentityIsMadeByTheCommandOfTheHint(t *testing.T) {
	home := keyfile.Open(filepath.Join(t.TempDir(), "home"))
	other := "my work"
	for _, test := range []struct {
		choice Choice
		hint   string
	}{
		{Choice{Home: home}, "make it: otrpipe keygen"},
		{Choice{Home: home, Flag: &other}, "make it: otrpipe keygen -i 'my work'"},
	} {
		_, open := test.choice.Open()
		_, public := test.choice.Public()
		_, upgrade := test.choice.Upgrade(false)
		for _, err := range []error{open, public, upgrade} {
			if e := exit.As(err); e.Code != exit.KeyFile || e.Hint != test.hint {
				t.Errorf("%v, hint %q; want %q", err, e.Hint, test.hint)
			}
		}
	}
}

func TestAnIdentityAndAFileContradictEachOther(t *testing.T) {
	name, file := "work", "otr.private_key"
	choice := Choice{Home: keyfile.Open(filepath.Join(t.TempDir(), "home")), Flag: &name, File: &file}
	if _, err := choice.Open(); err == nil || exit.As(err).Code != exit.Usage {
		t.Error(err)
	}
	if _, err := choice.OpenForOffline(); err == nil || !strings.Contains(exit.As(err).Hint, "keys import otr.private_key") {
		t.Error(err)
	}
}

// A passphrase that is typed may be mistyped; one from a file or the environment is wrong for
// good.
func TestOnlyATypedPassphraseIsAskedForAgain(t *testing.T) {
	wrong := fmt.Errorf("%w is wrong", keyfile.ErrPassphrase)
	other := errors.New("another failure")
	for _, test := range []struct {
		story string
		given string
		fails []error // of the attempts, in order; then it succeeds
		tries int
		err   error
	}{
		{"right at once", "", nil, 1, nil},
		{"right at the third attempt", "", []error{wrong, wrong}, 3, nil},
		{"wrong three times", "", []error{wrong, wrong, wrong}, 3, wrong},
		{"another failure", "", []error{other}, 1, other},
		{"wrong in a file", "one", []error{wrong}, 1, wrong},
	} {
		null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		tries := 0
		s := source{
			given: func() ([]byte, error) {
				if test.given == "" {
					return nil, nil
				}
				return []byte(test.given), nil
			},
			ask: func(string) ([]byte, error) { return []byte("typed"), nil },
		}
		err = s.open(terminal.NewIO("otrpipe", null, null, null), func(pass keyfile.PassphraseFunc) error {
			tries++
			if _, err := pass("passphrase"); err != nil {
				return err
			}
			if tries <= len(test.fails) {
				return test.fails[tries-1]
			}
			return nil
		})
		if tries != test.tries || !errors.Is(err, test.err) {
			t.Errorf("%s: %d tries, %v", test.story, tries, err)
		}
		null.Close()
	}
}

// Somebody who has pressed Ctrl-C while a mistyped passphrase was tried is not asked again.
func TestAPassphraseIsNotAskedForAgainOnceTheUserLeaves(t *testing.T) {
	file, err := os.Create(filepath.Join(t.TempDir(), "messages"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	stop, asked := make(chan struct{}), 0
	s := source{
		given: func() ([]byte, error) { return nil, nil },
		ask: func(string) ([]byte, error) {
			asked++
			return []byte("typed"), nil
		},
		stop: stop,
	}
	err = s.open(terminal.NewIO("otrpipe", file, file, file), func(pass keyfile.PassphraseFunc) error {
		if _, err := pass("passphrase"); err != nil {
			return err
		}
		close(stop)
		return fmt.Errorf("%w is wrong", keyfile.ErrPassphrase)
	})
	if asked != 1 || !errors.Is(err, terminal.ErrStopped) {
		t.Errorf("asked %d times, %v", asked, err)
	}
	if said, err := os.ReadFile(file.Name()); err != nil || len(said) > 0 {
		t.Errorf("%q, %v", said, err)
	}
}
