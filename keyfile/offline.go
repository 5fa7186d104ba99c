package keyfile

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/crypto/chacha20poly1305"
)

const (
	offlineFile = "offline"      // the state, see below
	offlineLock = "offline.lock" // held by the process that reads or replies

	// offlineHead is the beginning of the file: its kind and the version of its format. A
	// nonce of 24 bytes and the sealed state follow.
	offlineHead   = "otrpipe offline 1\n"
	offlineFamily = "otrpipe offline "
	// MaxOffline bounds the size of the state, in bytes. Package offline keeps within it: there it
	// is enough for a thousand prekeys and the sessions of one person, with room for the keys of
	// lost messages.
	MaxOffline = 32 << 20
	// offlinePause is the time between two attempts to take offlineLock.
	offlinePause = 50 * time.Millisecond
)

// An identity's offline state is its prekeys and sessions for messages to and from people who
// are away. Package offline defines its content; here it is only bytes.
//
// It is sealed with XChaCha20-Poly1305 with a key that is derived from the identity's Ed448
// key. So it has the same protection as that key: the identity's passphrase, even if that was
// set later, and otherwise the file's mode.

// ErrNoVersion4 means that an identity has no version 4 keys, which messages to people who
// are away require.
var ErrNoVersion4 = errors.New("keyfile: the identity has no key of version 4")

// Offline returns the offline state of an identity that was opened from this home, or nil if
// there is none yet. The caller has to wipe it. If the state is damaged, or belongs to
// another identity, the error is ErrFormat.
func (h *Home) Offline(id *Identity) ([]byte, error) {
	folder, err := h.identity(id.Name)
	if err != nil {
		return nil, err
	}
	return h.readOffline(folder, id)
}

// UpdateOffline replaces the offline state of an identity with the result of change, in one
// step and without interference from other processes. change must not keep or return the
// bytes that it is given. If it fails, nothing is written and its error is returned.
func (h *Home) UpdateOffline(id *Identity, change func(state []byte) ([]byte, error)) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	folder, err := h.identity(id.Name)
	if err != nil {
		return err
	}
	old, err := h.readOffline(folder, id)
	if err != nil {
		return err
	}
	defer clear(old)
	state, err := change(old)
	if err != nil {
		return err
	}
	defer clear(state)
	if len(state) > MaxOffline {
		return fmt.Errorf("%w: the offline state of %q has %d bytes, and at most %d are kept", ErrFormat, id.Name, len(state), MaxOffline)
	}
	sealed, err := sealOffline(id, state)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(folder, offlineFile), sealed)
}

// LockOffline takes a lock of the identity, and waits while another process holds it. A
// process that reads an offline message, or writes in a stored session, holds it from
// beginning to end. If ctx ends first the error is ErrLocked. A process that dies loses the
// lock.
func (h *Home) LockOffline(ctx context.Context, name string) (unlock func(), err error) {
	folder, err := h.identity(name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, offlineLock)
	lock := flock.New(path, flock.SetPermissions(fileMode),
		flock.SetFlag(os.O_CREATE|os.O_RDONLY|openItself))
	_, err = lock.TryLockContext(ctx, offlinePause)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return nil, symlinkError(path)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, fmt.Errorf("%w: another process reads or replies with identity %q", ErrLocked, name)
	case err != nil:
		return nil, pathError(err)
	}
	return func() { lock.Close() }, nil
}

func (h *Home) readOffline(folder string, id *Identity) ([]byte, error) {
	path := filepath.Join(folder, offlineFile)
	file, err := h.readPrivate(path, len(offlineHead)+MaxOffline+chacha20poly1305.NonceSizeX+chacha20poly1305.Overhead)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer clear(file)
	sealed, ok := bytes.CutPrefix(file, []byte(offlineHead))
	if !ok {
		if bytes.HasPrefix(file, []byte(offlineFamily)) {
			return nil, fmt.Errorf("%w: %s", ErrNewer, path)
		}
		return nil, fmt.Errorf("%w: %s", ErrFormat, path)
	}
	key, err := offlineKey(id)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	if len(sealed) < aead.NonceSize() {
		return nil, fmt.Errorf("%w: %s is cut off", ErrFormat, path)
	}
	state, err := aead.Open(nil, sealed[:aead.NonceSize()], sealed[aead.NonceSize():], []byte(offlineHead))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is damaged or of another key", ErrFormat, path)
	}
	return state, nil
}

func sealOffline(id *Identity, state []byte) ([]byte, error) {
	key, err := offlineKey(id)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	file := make([]byte, len(offlineHead)+aead.NonceSize(), len(offlineHead)+aead.NonceSize()+len(state)+aead.Overhead())
	nonce := file[copy(file, offlineHead):]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return aead.Seal(file, nonce, state, []byte(offlineHead)), nil
}

// offlineKey derives the key with which an identity's offline state is sealed.
func offlineKey(id *Identity) ([]byte, error) {
	if id.Ed448 == nil {
		return nil, fmt.Errorf("%w: %q", ErrNoVersion4, id.Name)
	}
	symmetric := id.Ed448.Symmetric()
	defer clear(symmetric)
	key, err := hkdf.Key(sha256.New, symmetric, nil, "otrpipe: the offline state of an identity", chacha20poly1305.KeySize)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	return key, nil
}
