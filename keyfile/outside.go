package keyfile

import (
	"bytes"
	"fmt"
	"os"
)

// The formats of files with private keys.
const (
	FormatOTRPipe = "otrpipe"
	FormatLibotr  = "libotr"
)

// IdentityFile opens an identity from a file outside of any home: one of ours, or libotr's
// private keys, in which account selects the key (empty fields match all). The file must be
// as private as those in the home. An identity from a libotr file has the account's name, no
// instance tag and no version 4 keys. If not exactly one key matches account, the error is a
// *ChoiceError.
func (h *Home) IdentityFile(path string, account Account, pass PassphraseFunc) (*Identity, error) {
	file, err := h.readPrivate(path, maxLibotrKeys)
	if err != nil {
		return nil, err
	}
	defer clear(file)
	id, _, err := ReadIdentity(file, path, account, pass)
	return id, err
}

// ReadIdentity is IdentityFile for a file that has been read already, regardless of its
// permissions; path names it in prompts and errors. It also returns the format.
func ReadIdentity(file []byte, path string, account Account, pass PassphraseFunc) (id *Identity, format string, err error) {
	file = withoutMark(file)
	if !looksLikeLibotr(file) {
		if len(file) > maxSealed {
			return nil, "", fmt.Errorf("%w: %s has more than %d bytes", ErrFormat, path, maxSealed)
		}
		id, err = openIdentity(file, path, path, pass)
		return id, FormatOTRPipe, err
	}
	list, err := ParseLibotrKeys(file)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %s", err, path)
	}
	chosen, err := choose(path, list, account)
	for i, key := range list {
		if err != nil || i != chosen {
			key.Key.Wipe()
		}
	}
	if err != nil {
		return nil, "", err
	}
	return &Identity{Name: list[chosen].Account.Name, DSA: list[chosen].Key}, FormatLibotr, nil
}

// choose returns the index of the only key that matches account.
func choose(path string, list []LibotrKey, account Account) (int, error) {
	if len(list) == 0 {
		return 0, fmt.Errorf("%w: %s has no private key", ErrFormat, path)
	}
	chosen, fitting := 0, 0
	all := make([]Account, len(list))
	for i, key := range list {
		all[i] = key.Account
		if key.Account.matches(account) {
			chosen = i
			fitting++
		}
	}
	if fitting != 1 {
		return 0, &ChoiceError{Path: path, Accounts: all, None: fitting == 0}
	}
	return chosen, nil
}

// ReadOutside reads a file from outside the home, of at most limit bytes, regardless of its
// permissions. public is true if users other than its owner can read it.
func ReadOutside(path string, limit int) (b []byte, public bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, false, pathError(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, false, pathError(err)
	}
	b, err = readFile(f, info, path, limit)
	return b, info.Mode().IsRegular() && modeError(path, info, fileMode) != nil, err
}

// withoutMark returns a file without the meaningless byte order mark that some editors put
// before UTF-8.
func withoutMark(file []byte) []byte { return bytes.TrimPrefix(file, []byte("\ufeff")) }

// MaxKeyFile is the maximum length of a file with private keys that is read, in bytes.
const MaxKeyFile = maxLibotrKeys
