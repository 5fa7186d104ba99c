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

// A PassphraseFunc gets a passphrase, from a terminal for example. It is called
// at most once for each identity, and only if that identity is protected. What
// it returns is overwritten after use.
type PassphraseFunc func(prompt string) ([]byte, error)

// isSealed tells whether a private key file is protected.
func isSealed(file []byte) bool { return bytes.HasPrefix(file, []byte(armor.Header)) }

// seal encrypts a private key file's text to a passphrase: an armored age file
// with age's default work factor, unless another is given.
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

// unseal decrypts what seal has made; what names it in prompts and errors. The
// armor is checked before pass is asked, so that nobody types a passphrase for
// a file that cannot be opened.
func unseal(file []byte, what string, pass PassphraseFunc) (text []byte, err error) {
	sealed, err := dearmor(file, what)
	if err != nil {
		return nil, err
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

// What follows is the part of the age format (c2sp.org/age) that sees a secret. The age
// library does the rest: armor, header and the header's authenticator. Its own code for
// passphrases takes a string, which nobody can wipe, and its code for the payload leaves
// copies of the text behind.

const (
	scryptStanza = "scrypt"
	scryptLabel  = "age-encryption.org/v1/scrypt"
	scryptSalt   = 16 // bytes
	scryptR      = 8  // scrypt's block size parameter

	// defaultWorkFactor and maxWorkFactor are age's own: about one second and, at most, 15
	// seconds and 4 GiB for a file that somebody else has made.
	defaultWorkFactor = 18
	maxWorkFactor     = 22

	ageFileKey = 16 // bytes
	ageNonce   = 16 // bytes, in front of the payload
	// ageChunk is how much of the payload, in bytes, is encrypted at once. Private keys are
	// never longer: their payload is one chunk.
	ageChunk = 64 << 10
)

// usualWorkFactor is that of new files. It never changes in the program: only the stories of
// package testscripts, which have the program in their own test binary and would spend most
// of their time in scrypt, link to it by name and lower it.
var usualWorkFactor = defaultWorkFactor

// sealAge makes an armored age file of text.
func sealAge(text, passphrase []byte, workFactor int) ([]byte, error) {
	if len(text) > ageChunk {
		return nil, fmt.Errorf("a text of %d bytes", len(text))
	}
	p := &passphraseStanza{passphrase: passphrase, workFactor: workFactor}
	defer p.wipe()
	var sealed bytes.Buffer
	// This writes the header and the nonce. Writing the text is left to us.
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

// openAge returns the text in an age file without armor.
func openAge(sealed, passphrase []byte) ([]byte, error) {
	header, err := age.ExtractHeader(bytes.NewReader(sealed))
	if err != nil {
		return nil, err
	}
	payload := sealed[len(header):] // what was read as a header is written the same
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

// onlyChunk is the nonce of a payload's first chunk that is also the last.
var onlyChunk = [chacha20poly1305.NonceSize]byte{chacha20poly1305.NonceSize - 1: 1}

// payloadCipher is the cipher for the payload of a file. The caller wipes it.
func payloadCipher(fileKey, nonce []byte) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, fileKey, nonce, "payload", chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	return chacha20poly1305.New(key)
}

// A passphraseStanza wraps and unwraps the key of a file with a passphrase. It is an
// age.Recipient and an age.Identity.
type passphraseStanza struct {
	passphrase []byte // the caller's
	workFactor int    // for Wrap
	fileKey    []byte // the last one that was wrapped or unwrapped
}

func (p *passphraseStanza) wipe() { clear(p.fileKey) }

// Wrap makes the stanza of a file's key.
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

// Unwrap returns the key of the file whose stanzas these are. A stanza for a passphrase is
// the only one of its file.
func (p *passphraseStanza) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if !slices.ContainsFunc(stanzas, func(s *age.Stanza) bool { return s.Type == scryptStanza }) {
		return nil, age.ErrIncorrectIdentity
	}
	s := stanzas[0]
	if len(stanzas) != 1 || len(s.Args) != 2 || len(s.Body) != ageFileKey+chacha20poly1305.Overhead {
		return nil, errScryptStanza
	}
	salt, err := ageBase64.DecodeString(s.Args[0])
	if err != nil || ageBase64.EncodeToString(salt) != s.Args[0] || len(salt) != scryptSalt {
		return nil, errScryptStanza
	}
	workFactor, err := strconv.Atoi(s.Args[1])
	if err != nil || strconv.Itoa(workFactor) != s.Args[1] {
		return nil, errScryptStanza
	}
	aead, err := p.cipher(salt, workFactor)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(aead)
	if p.fileKey, err = aead.Open(nil, make([]byte, aead.NonceSize()), s.Body, nil); err != nil {
		return nil, age.ErrIncorrectIdentity
	}
	return p.fileKey, nil
}

var (
	ageBase64       = base64.RawStdEncoding.Strict()
	errScryptStanza = errors.New("its stanza for a passphrase is not as age writes it")
)

// cipher is the cipher for a file's key. The caller wipes it.
func (p *passphraseStanza) cipher(salt []byte, workFactor int) (cipher.AEAD, error) {
	labelled := append([]byte(scryptLabel), salt...)
	key, err := scryptKey(p.passphrase, labelled, workFactor, scryptR)
	if err != nil {
		return nil, err
	}
	defer clear(key[:])
	return chacha20poly1305.New(key[:])
}
