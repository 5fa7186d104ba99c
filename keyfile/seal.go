package keyfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"filippo.io/age"
	"filippo.io/age/armor"
)

// A PassphraseFunc gets a passphrase, from a terminal for example. It is called
// at most once for each identity, and only if that identity is protected. What
// it returns is overwritten after use.
type PassphraseFunc func(prompt string) ([]byte, error)

// isSealed tells whether a private key file is protected.
func isSealed(file []byte) bool { return bytes.HasPrefix(file, []byte(armor.Header)) }

// seal encrypts a private key file's text to a passphrase: an armored age file
// with age's default work factor, unless another is given.
func seal(text, passphrase []byte, workFactor int) ([]byte, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w is empty", ErrPassphrase)
	}
	recipient, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	if workFactor != 0 {
		recipient.SetWorkFactor(workFactor)
	}
	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	sealed, err := age.Encrypt(armored, recipient)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if _, err := sealed.Write(text); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if err := errors.Join(sealed.Close(), armored.Close()); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return file.Bytes(), nil
}

// unseal decrypts what seal has made; what names it in prompts and errors. The
// armor is checked before pass is asked, so that nobody types a passphrase for
// a file that cannot be opened.
func unseal(file []byte, what string, pass PassphraseFunc) ([]byte, error) {
	sealed, err := dearmor(file, what)
	if err != nil {
		return nil, err
	}
	passphrase, err := ask(what, pass)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	identity, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPassphrase, err)
	}
	text, err := age.Decrypt(bytes.NewReader(sealed), identity)
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch) && slices.Contains(mismatch.StanzaTypes, "scrypt"):
		return nil, fmt.Errorf("%w is wrong for %s", ErrPassphrase, what)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, what, err)
	}
	plain, err := readBounded(text, what, maxPrivate)
	if err != nil && !errors.Is(err, ErrFormat) {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, what, err)
	}
	return plain, err
}

// dearmor returns the age file in an armored one.
func dearmor(file []byte, what string) ([]byte, error) {
	sealed, err := io.ReadAll(armor.NewReader(bytes.NewReader(file)))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, what, err)
	}
	return sealed, nil
}

func ask(what string, pass PassphraseFunc) ([]byte, error) {
	if pass == nil {
		return nil, fmt.Errorf("%w needed for %s", ErrPassphrase, what)
	}
	passphrase, err := pass("passphrase for " + what)
	if err != nil {
		return nil, err
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w for %s is empty", ErrPassphrase, what)
	}
	return passphrase, nil
}
