package secret

import (
	"bytes"
	"errors"
	"strings"

	"otrpipe/commands/internal/exit"
	"otrpipe/commands/internal/terminal"
)

// Ask asks for a secret on the terminal, without echo. instead names the flags to use without a
// terminal. The caller wipes the secret.
func Ask(prompt, instead string) ([]byte, error) {
	return AskUntil(nil, prompt, instead)
}

// AskUntil is Ask until stop is closed, which makes it return terminal.ErrStopped.
func AskUntil(stop <-chan struct{}, prompt, instead string) ([]byte, error) {
	secret, err := terminal.ReadSecret(stop, prompt)
	return secret, notGiven(err, prompt, instead)
}

// notGiven explains an error of asking with a prompt, which may begin with a capital letter; the
// program's messages do not.
func notGiven(err error, prompt, instead string) error {
	what := strings.ToLower(prompt[:1]) + prompt[1:]
	switch {
	case errors.Is(err, terminal.ErrNoTerminal):
		return exit.Errorf(exit.KeyFile, "%s: there is no terminal to ask on", what).WithHint("give it with %s", instead)
	case errors.Is(err, terminal.ErrNoSecret):
		return exit.Errorf(exit.KeyFile, "%s: nothing was entered", what)
	}
	return err
}

// newAttempts is how often the two entries of a new secret may differ.
const newAttempts = 3

// AskNew asks twice, so that a typing error does not become the secret, and begins again if the
// two entries differ.
func AskNew(prompt, instead string) ([]byte, error) {
	return askNew(func(prompt string) ([]byte, error) { return Ask(prompt, instead) }, prompt)
}

func askNew(ask func(prompt string) ([]byte, error), prompt string) ([]byte, error) {
	first := prompt
	for range newAttempts {
		secret, err := ask(first)
		if err != nil {
			return nil, err
		}
		again, err := ask(prompt + ", again")
		if err != nil {
			clear(secret)
			return nil, err
		}
		same := bytes.Equal(secret, again)
		clear(again)
		if same {
			return secret, nil
		}
		clear(secret)
		first = "passphrases do not match; " + prompt
	}
	return nil, exit.Errorf(exit.KeyFile, "%s: passphrases do not match", prompt)
}
