package keyfile

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"

	"filippo.io/age"
	"filippo.io/age/armor"
	"golang.org/x/crypto/chacha20poly1305"

	"otrpipe/internal/secret"
)

// A PassphraseFunc gets a passphrase, for example from a terminal. It is called at most once
// per identity, and only if that identity is protected. The returned passphrase is
// overwritten after use.
type PassphraseFunc func(prompt string) ([]byte, error)

// isSealed reports whether a private key file is protected.
func isSealed(file []byte) bool { return bytes.HasPrefix(file, []byte(armor.Header)) }

// seal encrypts a private key file's text with a passphrase. The result is an armored age
// file with age's default work factor, unless another one is given.
func seal(text, passphrase []byte, workFactor int) (file []byte, err error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w is empty", ErrPassphrase)
	}
	if workFactor == 0 {
		workFactor = usualWorkFactor
	}
	secret.Do(func() { file, err = sealAge(text, passphrase, workFactor) })
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return file, nil
}

// unseal decrypts the output of seal; what names it in prompts and errors. It checks the
// armor and the header before it calls pass, so that nobody types a passphrase for a file that
// cannot be opened.
func unseal(file []byte, what string, pass PassphraseFunc) (text []byte, err error) {
	sealed, err := dearmor(file, what)
	if err != nil {
		return nil, err
	}
	if err := checkHeader(sealed); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, what, err)
	}
	passphrase, err := ask(what, pass)
	if err != nil {
		return nil, err
	}
	defer clear(passphrase)
	secret.Do(func() { text, err = openAge(sealed, passphrase) })
	var mismatch *age.NoIdentityMatchError
	switch {
	case errors.As(err, &mismatch) && slices.Contains(mismatch.StanzaTypes, scryptStanza):
		return nil, fmt.Errorf("%w is wrong for %s", ErrPassphrase, what)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrFormat, what, err)
	}
	return text, nil
}

// dearmor removes the armor of an age file.
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

// The following is the part of the age format (c2sp.org/age) that handles secrets. The age
// library does the rest: armor, header and the header's authenticator. Its own code for
// passphrases takes a string, which cannot be wiped, and its code for the payload leaves
// copies of the text behind.

const (
	scryptStanza = "scrypt"
	scryptLabel  = "age-encryption.org/v1/scrypt"
	scryptSalt   = 16 // bytes
	scryptR      = 8  // scrypt's block size parameter

	// defaultWorkFactor and maxWorkFactor are age's own. The default takes about one second;
	// a file from someone else takes at most 15 seconds and 4 GiB.
	defaultWorkFactor = 18
	maxWorkFactor     = 22

	ageFileKey = 16 // bytes
	ageNonce   = 16 // bytes, before the payload
	// ageChunk is the size of a chunk of the payload in bytes. The payload of a private key
	// file is always a single chunk.
	ageChunk = 64 << 10
)

// usualWorkFactor is the work factor of new files. The program never changes it. Only package
// testscripts, which runs the program inside its own test binary and would spend most of its
// time in scrypt, links to it by name and lowers it.
var usualWorkFactor = defaultWorkFactor

// sealAge encrypts text as an armored age file.
func sealAge(text, passphrase []byte, workFactor int) ([]byte, error) {
	if len(text) > ageChunk {
		return nil, fmt.Errorf("a text of %d bytes", len(text))
	}
	p := &passphraseStanza{passphrase: passphrase, workFactor: workFactor}
	defer p.wipe()
	var sealed bytes.Buffer
	// This writes the header and the nonce. We write the text ourselves.
	if _, err := age.Encrypt(&sealed, p); err != nil {
		return nil, err
	}
	nonce := sealed.Bytes()[sealed.Len()-ageNonce:]
	aead, err := payloadCipher(p.fileKey, nonce)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(aead)
	sealed.Write(aead.Seal(nil, onlyChunk[:], text, nil))

	var file bytes.Buffer
	armored := armor.NewWriter(&file)
	if _, err := armored.Write(sealed.Bytes()); err != nil {
		return nil, err
	}
	if err := armored.Close(); err != nil {
		return nil, err
	}
	return file.Bytes(), nil
}

// openAge decrypts an age file without armor.
func openAge(sealed, passphrase []byte) ([]byte, error) {
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	payload := sealed[len(header):] // the header is as long as in the file
	p := &passphraseStanza{passphrase: passphrase}
	defer p.wipe()
	if _, err := age.DecryptHeader(header, p); err != nil {
		return nil, err
	}
	switch {
	case len(payload) < ageNonce+chacha20poly1305.Overhead:
		return nil, io.ErrUnexpectedEOF
	case len(payload) > ageNonce+maxPrivate+chacha20poly1305.Overhead:
		return nil, fmt.Errorf("more than %d bytes", maxPrivate)
	}
	aead, err := payloadCipher(p.fileKey, payload[:ageNonce])
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(aead)
	text, err := aead.Open(nil, onlyChunk[:], payload[ageNonce:], nil)
	if err != nil {
		return nil, errors.New("the payload was damaged")
	}
	return text, nil
}

// onlyChunk is the nonce of a chunk that is both the first and the last of its payload.
var onlyChunk = [chacha20poly1305.NonceSize]byte{chacha20poly1305.NonceSize - 1: 1}

// payloadCipher returns the cipher for the payload of a file. The caller has to wipe it.
func payloadCipher(fileKey, nonce []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.New(key)
}

// A passphraseStanza wraps and unwraps a file key with a passphrase. It implements
// age.Recipient and age.Identity.
type passphraseStanza struct {
	passphrase []byte // the caller's
	workFactor int    // for Wrap
	fileKey    []byte // the last wrapped or unwrapped key
}

func (p *passphraseStanza) wipe() { clear(p.fileKey) }

// Wrap makes the stanza for a file key.
func (p *passphraseStanza) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	p.fileKey = fileKey
	salt := make([]byte, scryptSalt)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	aead, err := p.cipher(salt, p.workFactor)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(aead)
	return []*age.Stanza{{
		Type: scryptStanza,
		Args: []string{ageBase64.EncodeToString(salt), strconv.Itoa(p.workFactor)},
		Body: aead.Seal(nil, make([]byte, aead.NonceSize()), fileKey, nil),
	}}, nil
}

// Unwrap returns the file key from the stanzas of a file. A passphrase stanza must be the
// only one.
func (p *passphraseStanza) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	salt, workFactor, body, err := readStanza(stanzas)
	if err != nil {
		return nil, err
	}
	aead, err := p.cipher(salt, workFactor)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(aead)
	if p.fileKey, err = aead.Open(nil, make([]byte, aead.NonceSize()), body, nil); err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return p.fileKey, nil
}

// readStanza reads the stanza of a file that a passphrase opens.
func readStanza(stanzas []*age.Stanza) (salt []byte, workFactor int, body []byte, err error) {
	if !slices.ContainsFunc(stanzas, func(s *age.Stanza) bool { return s.Type == scryptStanza }) {
		return nil, 0, nil, errNoPassphrase
	}
	s := stanzas[0]
	if len(stanzas) != 1 || len(s.Args) != 2 || len(s.Body) != ageFileKey+chacha20poly1305.Overhead {
		return nil, 0, nil, errScryptStanza
	}
	salt, err = ageBase64.DecodeString(s.Args[0])
	if err != nil || ageBase64.EncodeToString(salt) != s.Args[0] || len(salt) != scryptSalt {
		return nil, 0, nil, errScryptStanza
	}
	workFactor, err = strconv.Atoi(s.Args[1])
	if err != nil || strconv.Itoa(workFactor) != s.Args[1] {
		return nil, 0, nil, errScryptStanza
	}
	return salt, workFactor, s.Body, checkCost(workFactor, scryptR)
}

// checkHeader checks that a passphrase could open an age file without armor.
func checkHeader(sealed []byte) error {
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		return err
	}
	var c stanzaCheck
	_, err = age.DecryptHeader(header, &c)
	if c.err != nil {
		return c.err
	}
	if mismatch := (*age.NoIdentityMatchError)(nil); errors.As(err, &mismatch) {
		return nil
	}
	return err
}

// A stanzaCheck is an age.Identity that only checks the stanzas of a file.
type stanzaCheck struct{ err error }

// Unwrap checks the stanzas, and opens none.
func (c *stanzaCheck) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	_, _, _, c.err = readStanza(stanzas)
	return nil, age.ErrIncorrectIdentity
}

var (
	ageBase64       = base64.RawStdEncoding.Strict()
	errScryptStanza = errors.New("its stanza for a passphrase is not as age writes it")
	errNoPassphrase = errors.New("it is encrypted to a key of age, not with a passphrase")
)

// cipher returns the cipher for wrapping a file key. The caller has to wipe it.
func (p *passphraseStanza) cipher(salt []byte, workFactor int) (cipher.AEAD, error) {
	labelled := append([]byte(scryptLabel), salt...)
	key, err := scryptKey(p.passphrase, labelled, workFactor, scryptR)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return chacha20poly1305.New(key[:])
}
