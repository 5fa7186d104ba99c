package keyfile

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"otrpipe/otr/keys"
)

// minInstanceTag is the smallest valid instance tag (version 3, "Instance Tags").
const minInstanceTag = 0x100

// maxPrivate is the maximum length of the text of a private key file, in bytes, and maxSealed
// that of a protected file. The keys of all versions together have less than 4 KiB.
const (
	maxPrivate = 16 << 10
	maxSealed  = 2 * maxPrivate
)

// An Identity is one of our identities, opened, with its private keys. It prints without its
// secrets. An identity from a libotr file, or from before version 4 was supported, has no
// version 4 keys until AddVersion4 or Home.Upgrade makes them.
type Identity struct {
	Name        string
	InstanceTag uint32 // at least 0x100; 0: from a libotr file, which has none
	DSA         *keys.DSAPrivateKey
	Ed448       *keys.Ed448PrivateKey // version 4's key; may be nil
	Forging     *keys.ForgingKey      // nil if Ed448 is nil
	Protected   bool                  // the file it was opened from has a passphrase

	// ForgingPrivate is the private half of Forging, if the user wanted to keep it; the
	// protocol never needs it. Otherwise it is nil, and nobody has it.
	ForgingPrivate *keys.Ed448PrivateKey

	// The hash of the file it was opened from, so that changes can be noticed.
	file [sha256.Size]byte
}

// Public is the part of an identity that can be read without its passphrase.
type Public struct {
	Name        string
	InstanceTag uint32             // 0: from a libotr file, which has none
	Keys        []keys.Fingerprint // of the DSA key, then of the version 4 key if there is one
	Protected   bool
}

// Generate makes an identity with new keys of all versions and an instance tag. It keeps the
// private half of the forging key only if keepForging is set. It writes nothing; Create does
// that. It reads all randomness from rand.
func Generate(name string, rand io.Reader, keepForging bool) (*Identity, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	key, err := keys.GenerateDSA(rand)
	if err != nil {
		return nil, fmt.Errorf("keyfile: %w", err)
	}
	tag, err := NewInstanceTag(rand)
	if err != nil {
		return nil, err
	}
	id := &Identity{Name: name, InstanceTag: tag, DSA: key}
	if err := id.AddVersion4(rand, keepForging); err != nil {
		id.Wipe()
		return nil, err
	}
	return id, nil
}

// AddVersion4 makes version 4 keys for an identity; if it has some already the error is
// ErrExists. Unless keepForging is set, nobody has the private half of the forging key
// (version 4, "Public keys, Shared Prekeys, Forging keys and Fingerprints"). It writes
// nothing.
func (id *Identity) AddVersion4(rand io.Reader, keepForging bool) error {
	if id.Ed448 != nil {
		return fmt.Errorf("%w: identity %q has keys of version 4", ErrExists, id.Name)
	}
	key, err := keys.GenerateEd448(rand)
	if err != nil {
		return fmt.Errorf("keyfile: %w", err)
	}
	var forging *keys.ForgingKey
	var private *keys.Ed448PrivateKey
	if !keepForging {
		forging, err = keys.GenerateForgingKey(rand)
	} else if private, err = keys.GenerateEd448(rand); err == nil {
		forging = private.ForgingKey()
	}
	if err != nil {
		key.Wipe()
		return fmt.Errorf("keyfile: %w", err)
	}
	id.Ed448, id.Forging, id.ForgingPrivate = key, forging, private
	return nil
}

// NewInstanceTag draws an instance tag from rand.
func NewInstanceTag(rand io.Reader) (uint32, error) {
	for {
		var b [4]byte
		if _, err := io.ReadFull(rand, b[:]); err != nil {
			return 0, fmt.Errorf("keyfile: %w", err)
		}
		if tag := binary.BigEndian.Uint32(b[:]); tag >= minInstanceTag {
			return tag, nil
		}
	}
}

// Public returns the part that is not secret.
func (id *Identity) Public() Public {
	public := Public{
		Name:        id.Name,
		InstanceTag: id.InstanceTag,
		Keys:        []keys.Fingerprint{id.DSA.Public().Fingerprint()},
		Protected:   id.Protected,
	}
	if id.Ed448 != nil {
		public.Keys = append(public.Keys, keys.Ed448Fingerprint(id.Ed448.Public(), id.Forging))
	}
	return public
}

// Wipe overwrites the private keys. The identity cannot be used afterwards.
func (id *Identity) Wipe() {
	id.DSA.Wipe()
	if id.Ed448 != nil {
		id.Ed448.Wipe()
	}
	if id.ForgingPrivate != nil {
		id.ForgingPrivate.Wipe()
	}
}

// Vacant returns nil if Create could use this name for a new identity, and otherwise ErrName
// or ErrExists.
func (h *Home) Vacant(name string) error {
	_, err := h.identity(name)
	switch {
	case err == nil:
		return existsError(name, h.dir)
	case errors.Is(err, ErrNotFound):
		return nil
	}
	return err
}

func existsError(name, home string) error {
	return fmt.Errorf("%w: identity %q in %s", ErrExists, name, home)
}

// Create writes a new identity, protected if passphrase is not empty. It never overwrites an
// identity of the same name; the error is then ErrExists.
func (h *Home) Create(id *Identity, passphrase []byte) error {
	file, err := fileName(id.Name)
	if err != nil {
		return err
	}
	if id.InstanceTag < minInstanceTag {
		return fmt.Errorf("%w: instance tag %08x is below 00000100", ErrFormat, id.InstanceTag)
	}
	private, err := h.privateText(id, passphrase)
	if err != nil {
		return err
	}
	defer clear(private)
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	all := filepath.Join(h.dir, identitiesFolder)
	if err := os.Mkdir(all, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return pathError(err)
	}
	if err := h.checkFolder(all); err != nil {
		return err
	}
	return createFolder(all, file, id.Name, map[string][]byte{
		privateFile: private,
		publicFile:  appendPublic(nil, id.Public()),
	})
}

// createFolder makes a folder with its files appear in one step. It does not replace an
// existing folder of that name.
func createFolder(parent, file, name string, files map[string][]byte) error {
	path := filepath.Join(parent, file)
	if _, err := os.Lstat(path); err == nil {
		return existsError(name, filepath.Dir(parent))
	}
	pending, err := os.MkdirTemp(parent, newPrefix)
	if err != nil {
		return errorAt(path, err)
	}
	defer os.RemoveAll(pending)
	for file, data := range files {
		if err := writeNew(filepath.Join(pending, file), data); err != nil {
			return errorAt(filepath.Join(path, file), err)
		}
	}
	if err := syncFolder(pending); err != nil {
		return err
	}
	if err := os.Rename(pending, path); err != nil {
		return pathError(err)
	}
	return syncFolder(parent)
}

// privateText returns the content of the private key file.
func (h *Home) privateText(id *Identity, passphrase []byte) ([]byte, error) {
	text := appendIdentity(nil, id)
	if len(passphrase) == 0 {
		return text, nil
	}
	defer clear(text)
	return seal(text, passphrase, h.workFactor)
}

// Folder returns the folder of an identity, or ErrNotFound if there is none of the name.
func (h *Home) Folder(name string) (string, error) { return h.identity(name) }

// Identity opens an identity. The error is ErrNotFound if there is none of the name, and
// ErrPassphrase if it is protected and the passphrase is missing or wrong.
func (h *Home) Identity(name string, pass PassphraseFunc) (*Identity, error) {
	folder, err := h.identity(name)
	if err != nil {
		return nil, err
	}
	// Read the public file first, because it is written last: see save.
	public, err := h.readPublic(folder, name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, privateFile)
	file, err := h.readPrivate(path, maxSealed)
	if err != nil {
		return nil, err
	}
	defer clear(file)
	id, err := openIdentity(file, path, fmt.Sprintf("identity %q", name), pass)
	if err != nil {
		return nil, err
	}
	own := id.Public()
	halfUpgraded := id.Ed448 != nil && slices.Equal(public.Keys, own.Keys[:1])
	if own.Name != name || own.InstanceTag != public.InstanceTag || !slices.Equal(own.Keys, public.Keys) && !halfUpgraded {
		id.Wipe()
		return nil, fmt.Errorf("%w: %s", ErrMismatch, folder)
	}
	if halfUpgraded {
		h.warnOnce(fmt.Sprintf("identity %q has a key of version 4 that its public part does not show: "+
			"its upgrade was interrupted, do it again", name))
	}
	id.file = sha256.Sum256(file)
	return id, nil
}

// openIdentity parses one of our private key files. what names it in prompts.
func openIdentity(file []byte, path, what string, pass PassphraseFunc) (*Identity, error) {
	text, sealed := file, isSealed(file)
	if sealed {
		var err error
		if text, err = unseal(file, what, pass); err != nil {
			return nil, err
		}
		defer clear(text)
	}
	id, err := parseIdentity(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, path)
	}
	id.Protected = sealed
	return id, nil
}

// Public reads the public part of an identity, without its passphrase. Tampering with it is
// noticed only when the identity is opened.
func (h *Home) Public(name string) (Public, error) {
	folder, err := h.identity(name)
	if err != nil {
		return Public{}, err
	}
	return h.publicOf(folder, name)
}

// Publics is Public for all identities, ordered by name. The error joins the errors of single
// identities; the others are returned nevertheless.
func (h *Home) Publics() ([]Public, error) {
	folder, err := h.identities()
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, pathError(err)
	}
	var list []Public
	var wrong []error
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") {
			continue
		}
		path := filepath.Join(folder, entry.Name())
		name, ok := nameOfFile(entry.Name())
		if !ok {
			wrong = append(wrong, fmt.Errorf("%w: %s is not the folder of an identity", ErrFormat, path))
			continue
		}
		public, err := h.publicIn(path, name)
		switch {
		case err == nil:
			list = append(list, public)
		case !errors.Is(err, fs.ErrNotExist) || stillThere(path):
			wrong = append(wrong, err)
		}
	}
	slices.SortFunc(list, func(a, b Public) int { return strings.Compare(a.Name, b.Name) })
	return list, errors.Join(wrong...)
}

// stillThere distinguishes a damaged identity from one that was removed in the meantime.
func stillThere(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (h *Home) publicIn(folder, name string) (Public, error) {
	if err := h.checkFolder(folder); err != nil {
		return Public{}, err
	}
	return h.publicOf(folder, name)
}

// publicOf reads the public file in a checked folder, and finds out from the private file
// whether it is protected.
func (h *Home) publicOf(folder, name string) (Public, error) {
	public, err := h.readPublic(folder, name)
	if err != nil {
		return Public{}, err
	}
	file, err := h.readPrivate(filepath.Join(folder, privateFile), maxSealed)
	if err != nil {
		return Public{}, err
	}
	defer clear(file)
	public.Protected = isSealed(file)
	return public, nil
}

func (h *Home) readPublic(folder, name string) (Public, error) {
	path := filepath.Join(folder, publicFile)
	file, err := h.readPrivate(path, maxPrivate)
	if err != nil {
		return Public{}, err
	}
	public, err := parsePublic(file)
	if err != nil {
		return Public{}, fmt.Errorf("%w: %s", err, path)
	}
	if public.Name != name {
		return Public{}, fmt.Errorf("%w: %s is about %q", ErrMismatch, path, public.Name)
	}
	return public, nil
}

// SetPassphrase protects an identity that was opened from this home with a new passphrase; an
// empty one removes the protection. If the identity's file has changed since it was opened,
// nothing is written and the error is ErrChanged.
func (h *Home) SetPassphrase(id *Identity, passphrase []byte) error {
	if err := h.save(id, passphrase); err != nil {
		return err
	}
	id.Protected = len(passphrase) != 0
	return nil
}

// Upgrade adds version 4 keys to an identity, as AddVersion4 makes them. The DSA key, the
// instance tag and the passphrase stay the same. If the identity has version 4 keys already,
// it keeps them, and its public part is completed if an upgrade was interrupted. The error is
// then ErrExists if keepForging is set, but the private half of the forging key does not
// exist.
func (h *Home) Upgrade(name string, rand io.Reader, keepForging bool, pass PassphraseFunc) error {
	// The passphrase that opens the identity protects it again.
	var passphrase []byte
	defer func() { clear(passphrase) }()
	opening := pass
	if pass != nil {
		opening = func(prompt string) ([]byte, error) {
			given, err := pass(prompt)
			passphrase = bytes.Clone(given)
			return given, err
		}
	}
	id, err := h.Identity(name, opening)
	if err != nil {
		return err
	}
	defer id.Wipe()
	if id.Ed448 == nil {
		err = id.AddVersion4(rand, keepForging)
	} else if keepForging && id.ForgingPrivate == nil {
		err = fmt.Errorf("%w: identity %q has a forging key, without its private half", ErrExists, name)
	}
	if err != nil {
		return err
	}
	return h.save(id, passphrase)
}

// save writes an identity that was opened from this home. It writes the private file first:
// an interruption between the two files may leave a key that is not shown, but never a shown
// key that nobody has. A reader that begins with the public file finds the two either equal
// or in just this state, even during a write.
func (h *Home) save(id *Identity, passphrase []byte) error {
	private, err := h.privateText(id, passphrase)
	if err != nil {
		return err
	}
	defer clear(private)
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	folder, err := h.identity(id.Name)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, privateFile)
	file, err := h.readPrivate(path, maxSealed)
	if err != nil {
		return err
	}
	defer clear(file)
	now := sha256.Sum256(file)
	if subtle.ConstantTimeCompare(now[:], id.file[:]) != 1 {
		return fmt.Errorf("%w: %s", ErrChanged, path)
	}
	write := []fileText{{path, private}}
	path = filepath.Join(folder, publicFile)
	shown, err := h.readPrivate(path, maxPrivate)
	if err != nil {
		return err
	}
	if public := appendPublic(nil, id.Public()); !bytes.Equal(shown, public) {
		write = append(write, fileText{path, public})
	}
	if err := replaceFiles(write...); err != nil {
		return err
	}
	id.file = sha256.Sum256(private)
	return nil
}

// Ephemeral makes an identity that is never written to disk, with new keys of all versions
// and an instance tag, from rand. It is for one run between people who verify each other by a
// shared secret; nothing connects it to another run. Its name is only for display.
func Ephemeral(rand io.Reader) (*Identity, error) { return Generate("ephemeral", rand, false) }

// Remove removes an identity, even one that is damaged. Its disk space is not
// overwritten.
func (h *Home) Remove(name string) error {
	if _, err := h.identity(name); err != nil {
		return err
	}
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	folder, err := h.identity(name)
	if err != nil {
		return err
	}
	// The rename makes it disappear in one step; then its files can be removed.
	parent := filepath.Dir(folder)
	grave, err := os.MkdirTemp(parent, removedPrefix)
	if err != nil {
		return pathError(err)
	}
	if err := os.Rename(folder, filepath.Join(grave, "identity")); err != nil {
		os.Remove(grave)
		return pathError(err)
	}
	if err := os.RemoveAll(grave); err != nil {
		return pathError(err)
	}
	return syncFolder(parent)
}

// PrivateFile returns the content of an identity's private key file: the text if it is
// unprotected, otherwise the age file. If it is damaged, as far as this shows without its
// passphrase, the error is ErrFormat. The caller has to wipe the content.
func (h *Home) PrivateFile(name string) ([]byte, error) {
	folder, err := h.identity(name)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(folder, privateFile)
	file, err := h.readPrivate(path, maxSealed)
	if err != nil {
		return nil, err
	}
	if isSealed(file) {
		_, err = dearmor(file, path)
	} else if id, openErr := openIdentity(file, path, path, nil); openErr == nil {
		id.Wipe()
	} else {
		err = openErr
	}
	if err != nil {
		clear(file)
		return nil, err
	}
	return file, nil
}
